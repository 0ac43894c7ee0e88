/* remote_settings.h - the YAML that is the artifact of a version served elsewhere.
 *
 *     remote: 1                  the form of this file; the first key
 *     endpoint: triton-a         a name of --remote-endpoints, never an address
 *     model: churn               what it is called there
 *     version: "3"               there; left out: whichever answers there
 *     protocol: http-binary      http: tensors as JSON; http-binary: as bytes
 *     connections: 8             calls at once
 *     batch_rows_max: 64         rows of one call, which may join requests; 0: never joined
 *     reply_max: 64M
 *     classes: 2                 a classifier: `answer` has probabilities
 *     answer: probabilities      the output that is watched and judged
 *     inputs:  [{name: x, dtype: FP32, shape: [-1, 4]}]
 *     outputs: [{name: y, dtype: FP32, shape: [-1]}]
 *
 * endpoint and model have to be given. What else is missing is asked of the endpoint once, when the
 * version is registered, and kept: the artifact that is stored says all of it.
 */
#ifndef SLIPWAY_RUNTIME_REMOTE_SETTINGS_H
#define SLIPWAY_RUNTIME_REMOTE_SETTINGS_H

#include "runtime/runtime.h"

enum {
    REMOTE_SETTINGS_BYTES_MAX = 4 * 1024 * 1024,
    REMOTE_CONNECTIONS_MAX = 64,
    REMOTE_BATCH_ROWS_MAX = 1 << 20,
};

enum remote_protocol {
    REMOTE_HTTP,        /* tensors as JSON */
    REMOTE_HTTP_BINARY, /* the binary tensor extension */
    REMOTE_PROTOCOL_COUNT,
};

struct remote_settings {
    const char *endpoint, *model;
    const char *version;           /* NULL: whichever answers there */
    enum remote_protocol protocol; /* REMOTE_PROTOCOL_COUNT: not known yet */
    int connections;
    int batch_rows_max; /* -1: not known yet */
    size_t reply_bytes_max;
    const char *answer;         /* NULL: the first output that can be one */
    struct signature signature; /* input_count 0, output_count 0: not known yet */
};

/* Could these first bytes be such a file? */
bool remote_settings_recognise(const void *head, size_t size);

/* Everything lives in the arena. ERR_INVALID names the place. */
enum err_code remote_settings_read(struct str yaml, struct arena *arena,
                                   struct remote_settings **settings, struct err *err);

/* Is nothing left to be asked? */
bool remote_settings_are_whole(const struct remote_settings *settings);

/* Once they are whole: check what belongs together and finish the signature. */
enum err_code remote_settings_finish(struct remote_settings *settings, struct err *err);

/* The file that reads as these settings. */
void remote_settings_write(const struct remote_settings *settings, struct buf *out);

#endif
