/* oip_elements.h - the elements of an OIP input, JSON or binary, as a tensor in memory.
 *
 * JSON: flat, or nested as the shape says. Integers keep every digit of 64 bits and may be written
 * as 3.0; floats may also be null, "NaN" (both NaN), "Infinity", "-Infinity"; BOOL may be 0 and 1;
 * BYTES are texts. FP16 and BF16 have no JSON form.
 */
#ifndef SLIPWAY_API_OIP_ELEMENTS_H
#define SLIPWAY_API_OIP_ELEMENTS_H

#include "api/oip.h"

/* Read `input` into *tensor, whose data is in the arena or, when it came in binary and is aligned,
 * in the body. The name is that of the caller. ERR_INVALID names the input and the element. */
enum err_code oip_read_tensor(const struct oip_input *input, struct arena *arena,
                              struct tensor *tensor, struct err *err);

/* All elements of an FP32 input into out[element_count]. */
enum err_code oip_read_f32(const struct oip_input *input, float *out, struct err *err);

/* The same for an input of any numbers, rounded to float. */
enum err_code oip_read_as_f32(const struct oip_input *input, struct arena *arena, float *out,
                              struct err *err);

#endif
