/* tensor_element.h - elements of every datatype as numbers, as float32 features, and on the wire.
 *
 * On the wire (the binary tensor extension of the Open Inference Protocol, gRPC's raw contents)
 * elements stand one after another, little-endian as every host here; a BYTES element is its
 * length as u32 and its bytes.
 */
#ifndef SLIPWAY_BASE_TENSOR_ELEMENT_H
#define SLIPWAY_BASE_TENSOR_ELEMENT_H

#include "base/buf.h"
#include "base/tensor.h"

/* Element i of data as a double; NaN for BYTES. 64-bit integers are rounded. `data` need not be
 * aligned. */
double tensor_f64_at(const void *data, enum dtype dtype, int64_t i);

/* Put `value` into element i. False, and nothing is put, when the datatype has no such value: NaN,
 * a fraction or what is out of range for an integer, anything but 0 and 1 for BOOL; always for
 * BYTES. */
bool tensor_put_f64(void *data, enum dtype dtype, int64_t i, double value);

/* Bytes of the tensor on the wire; SIZE_MAX when an element of BYTES is too long for it. */
size_t tensor_wire_bytes(const struct tensor *tensor);

/* Append the tensor as on the wire. */
void tensor_put_wire(struct buf *buf, const struct tensor *tensor);

/* The element of BYTES at *offset of what came by wire; false when the bytes do not fit. */
bool tensor_take_text(struct str wire, size_t *offset, struct str *element);

#endif
