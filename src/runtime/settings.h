/* settings.h - what YAML files that describe models have in common: numbers, sizes, times, tensors.
 *
 *     inputs:
 *       - {name: pixels, dtype: FP32, shape: [-1, 28, 28]}
 *       - {name: hint, dtype: BYTES, shape: [-1], optional: true}
 *
 * A key that is left out leaves the preset alone. Errors are ERR_INVALID and name the file and the
 * key.
 */
#ifndef SLIPWAY_RUNTIME_SETTINGS_H
#define SLIPWAY_RUNTIME_SETTINGS_H

#include "base/json.h"
#include "runtime/runtime.h"

enum { SETTINGS_NAME_BYTES_MAX = 255 /* of a tensor or feature */ };

struct settings_file {
    const char *name; /* for messages: "slipway.yaml" */
    yyjson_val *root;
    struct arena *arena; /* what is read lives here */
    struct err *err;
};

/* "slipway.yaml: 'key' must be <expected>". */
enum err_code settings_refuse(struct settings_file *file, const char *key, const char *expected);

enum err_code settings_int(struct settings_file *file, const char *key, int64_t min, int64_t max,
                           int *out);
enum err_code settings_size(struct settings_file *file, const char *key, uint64_t min, uint64_t max,
                            size_t *out);
enum err_code settings_time(struct settings_file *file, const char *key, int64_t max_ms,
                            int64_t *out_ms);

/* A text that can name a tensor or a feature? */
bool settings_is_name(yyjson_val *value);

/* A list of 1 to count_max tensors. */
enum err_code settings_tensors(struct settings_file *file, yyjson_val *list, const char *key,
                               size_t count_max, const struct signature_tensor **out,
                               int *out_count);

/* Can requests be joined along the first dimension of every tensor? *other is one where not. */
bool settings_can_batch(const struct signature *signature, const struct signature_tensor **other);

#endif
