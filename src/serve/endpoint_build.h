/* endpoint_build.h - an endpoint made from the registry's rows and the versions in memory. */
#ifndef SLIPWAY_SERVE_ENDPOINT_BUILD_H
#define SLIPWAY_SERVE_ENDPOINT_BUILD_H

#include "serve/snapshot.h"

/* Where build finds loaded versions: returns a new reference, or NULL and says why in *problem (a
 * text that lives in `arena`; NULL: nothing is wrong, it will be loaded when somebody asks). */
struct loaded_finder {
    struct loaded *(*find)(void *arg, const char *model, int64_t version, struct arena *arena,
                           const char **problem);
    void *arg;
};

/* Read model and aliases from `store` (inside a transaction: with its changes). *endpoint gets one
 * reference. ERR_NOT_FOUND when the model does not exist. */
enum err_code endpoint_build(struct store *store, const char *model,
                             const struct loaded_finder *finder, struct endpoint **endpoint,
                             struct err *err);

/* Give `fresh` the response cache that its settings ask for: that of `old` (NULL: there is none),
 * the same model before, if it has the same size. What its versions have answered that are not in
 * memory any more goes. Control thread. */
void endpoint_take_responses(struct endpoint *fresh, const struct endpoint *old);

/* A reference on the version if the endpoint has it in memory, else NULL. */
struct loaded *endpoint_loaded(const struct endpoint *endpoint, int64_t version);

#endif
