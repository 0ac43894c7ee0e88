/* grpc_describe.h - a file of the schema as google.protobuf.FileDescriptorProto. */
#ifndef SLIPWAY_API_GRPC_DESCRIBE_H
#define SLIPWAY_API_GRPC_DESCRIBE_H

#include "api/grpc_schema.h"
#include "base/buf.h"

/* Append the fields of its FileDescriptorProto. */
void grpc_describe(const struct schema_file *file, struct buf *out);

#endif
