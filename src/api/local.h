/* local.h - the API without a socket: what the command line uses on a folder nobody serves.
 *
 * The same routes and handlers answer as over HTTP, in this process, so a command behaves the same
 * whether a server runs or not. Everything is allowed: whoever can open the folder owns it.
 */
#ifndef SLIPWAY_API_LOCAL_H
#define SLIPWAY_API_LOCAL_H

#include "base/option.h"
#include "net/http_client.h"

struct api_local;

/* Lock and open the folder (made when absent and `create`). ERR_CONFLICT when a process has it:
 * then talk to its Unix socket. Models are loaded when a call first needs them. */
enum err_code api_local_open(const struct options *options, bool create, struct api_local **local,
                             struct err *err);

/* One call; url, unix_path, tls and timeout of `call` are not used. A status >= 400 is a result. */
enum err_code api_local_run(struct api_local *local, const struct http_call *call,
                            struct arena *arena, struct http_result *result, struct err *err);

void api_local_close(struct api_local *local); /* NULL is allowed */

#endif
