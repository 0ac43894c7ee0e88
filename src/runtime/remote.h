/* remote.h - the runtime "remote": a model that another server serves, as a version here.
 *
 * The artifact is a small YAML (remote_settings.h) that names an endpoint of the operator's and a
 * model there. What it leaves open is learnt once, at registration, and kept in the artifact: a
 * start asks nobody. docs/runtimes/remote.md.
 */
#ifndef SLIPWAY_RUNTIME_REMOTE_H
#define SLIPWAY_RUNTIME_REMOTE_H

#include "runtime/runtime.h"

extern const struct runtime_ops runtime_remote;

#endif
