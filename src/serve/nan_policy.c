/* nan_policy.c - NaN and infinities in JSON replies. */
#include "serve/nan_policy.h"

#include <math.h>

#include "base/check.h"
#include "base/tensor_element.h"

static const char *const names[] = {"null", "string", "bare", "reject"};

bool nan_policy_find(struct str name, enum nan_policy *policy)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!str_equal_c(name, names[i]))
            continue;
        *policy = (enum nan_policy)i;
        return true;
    }
    return false;
}

const char *nan_policy_name(enum nan_policy policy)
{
    assert(policy < ARRAY_LEN(names));
    return names[policy];
}

static void put_special(struct buf *out, double value, enum nan_policy policy)
{
    const char *word = isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
    if (policy == NAN_STRING)
        buf_char(out, '"');
    if (policy == NAN_STRING || policy == NAN_BARE)
        buf_text(out, word);
    else
        buf_lit(out, "null");
    if (policy == NAN_STRING)
        buf_char(out, '"');
}

void nan_put_f32(struct buf *out, float value, enum nan_policy policy)
{
    if (isfinite(value))
        buf_f32(out, value);
    else
        put_special(out, (double)value, policy);
}

void nan_put_f64(struct buf *out, double value, enum nan_policy policy)
{
    if (isfinite(value))
        buf_f64(out, value);
    else
        put_special(out, value, policy);
}

enum err_code nan_check(const struct tensor *output, struct err *err)
{
    int64_t count = tensor_elements(output->shape, output->rank);
    bool is_float = output->dtype >= DTYPE_F16 && output->dtype <= DTYPE_F64;
    for (int64_t i = 0; is_float && i < count; i++) {
        double value = tensor_f64_at(output->data, output->dtype, i);
        if (isfinite(value))
            continue;
        err_set(err, ERR_VIOLATION,
                "the model's answer is no number: element %lld of output '%s' "
                "is %s",
                (long long)i, output->name, isnan(value) ? "NaN" : "infinite");
        return err_hint(err, "this model's serving settings say nan: reject");
    }
    return ERR_OK;
}
