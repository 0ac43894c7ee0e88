/* grpc_schema.h - the services and messages of our gRPC API, as reflection tells them. */
#ifndef SLIPWAY_API_GRPC_SCHEMA_H
#define SLIPWAY_API_GRPC_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* The numbers are those of google.protobuf.FieldDescriptorProto.Type. */
enum schema_type {
    SCHEMA_DOUBLE = 1,
    SCHEMA_FLOAT = 2,
    SCHEMA_INT64 = 3,
    SCHEMA_UINT64 = 4,
    SCHEMA_INT32 = 5,
    SCHEMA_BOOL = 8,
    SCHEMA_STRING = 9,
    SCHEMA_MESSAGE = 11,
    SCHEMA_BYTES = 12,
    SCHEMA_UINT32 = 13,
    SCHEMA_ENUM = 14,
};

enum schema_label {
    SCHEMA_ONE,
    SCHEMA_MANY,
    SCHEMA_CHOICE /* of the message's oneof */,
    SCHEMA_MAP
};

struct schema_field {
    const char *name;
    uint32_t number;
    enum schema_type type;
    const char *type_name; /* of messages and enums, in the file's package; of a map's values */
    enum schema_label label;
};

struct schema_message {
    const char *name; /* "ModelInferRequest.InferInputTensor": inside the one before the dot */
    const struct schema_field *fields; /* ends with one without a name; NULL: none */
};

struct schema_value {
    const char *name;
    uint32_t number;
};

struct schema_enum {
    const char *name;
    const struct schema_value *values; /* ends with one without a name */
};

struct schema_method {
    const char *name, *request, *response;
    bool is_client_stream, is_server_stream;
};

struct schema_service {
    const char *name;
    const struct schema_method *methods; /* ends with one without a name */
};

struct schema_file {
    const char *path, *package;
    const struct schema_message *messages; /* ends with one without a name */
    const struct schema_enum *enums;       /* the same; NULL: none */
    const struct schema_service *services; /* the same */
};

/* Every file; ends with one without a path. */
extern const struct schema_file schema_files[];

/* The file of that path, and the file in which a symbol is defined ("inference.ModelInferRequest",
 * "inference.GRPCInferenceService.ModelInfer"); NULL: there is none. */
const struct schema_file *schema_find_path(struct str path);
const struct schema_file *schema_find_symbol(struct str symbol);

#endif
