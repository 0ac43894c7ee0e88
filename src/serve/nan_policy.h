/* nan_policy.h - what replies in JSON say where a float is NaN or infinite. */
#ifndef SLIPWAY_SERVE_NAN_POLICY_H
#define SLIPWAY_SERVE_NAN_POLICY_H

#include "base/buf.h"
#include "base/err.h"
#include "base/tensor.h"

enum nan_policy {
    NAN_NULL,   /* null, which every reader takes */
    NAN_STRING, /* "NaN", "Infinity", "-Infinity": what was meant, still JSON */
    NAN_BARE,   /* NaN, Infinity, -Infinity: no JSON, but what Triton and Python write */
    NAN_REJECT, /* the request fails with ERR_VIOLATION that names the output */
};

/* "null", "string", "bare", "reject"; false for any other text. */
bool nan_policy_find(struct str name, enum nan_policy *policy);
const char *nan_policy_name(enum nan_policy policy);

void nan_put_f32(struct buf *out, float value, enum nan_policy policy);
void nan_put_f64(struct buf *out, double value, enum nan_policy policy);

/* ERR_VIOLATION when the tensor has an element that is NaN or infinite. */
enum err_code nan_check(const struct tensor *output, struct err *err);

#endif
