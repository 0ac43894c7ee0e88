/* remote_reply.h - what another server answers: tensors, a model's metadata, or why not.
 *
 * The bytes are a stranger's: every name, datatype, shape and size is held against what the version
 * says of itself, and every failure is ERR_UPSTREAM and says what was expected.
 */
#ifndef SLIPWAY_RUNTIME_REMOTE_REPLY_H
#define SLIPWAY_RUNTIME_REMOTE_REPLY_H

#include "runtime/remote_settings.h"

enum {
    REMOTE_REASON_BYTES = 256, /* of an error text that is passed on */
    REMOTE_PARAMETERS_BYTES_MAX = 64 * 1024,
};

/* Fill call->out, out_count and reply_parameters, all in call->arena, from a body whose first
 * `json_bytes` are JSON. `scratch` is for reading. */
enum err_code remote_reply_read(const struct signature *signature, struct str body,
                                size_t json_bytes, struct arena *scratch, struct runtime_call *call,
                                struct err *err);

/* Why, in one line of printable text, from the body of an error; "" when it does not say. */
void remote_reply_reason(struct str body, struct arena *scratch, char reason[REMOTE_REASON_BYTES]);

/* GET /v2/models/M: the tensors that the settings do not name yet. */
enum err_code remote_metadata_read(struct str body, struct arena *arena,
                                   struct remote_settings *settings, struct err *err);

/* GET /v2: does the server have the binary tensor extension? */
bool remote_server_is_binary(struct str body, struct arena *scratch);

/* GET /v2/models/M/config as Triton has it: rows in one call; -1 when it does not say. */
int remote_config_batch(struct str body, struct arena *scratch);

#endif
