/* response_cache_json.h - what a model's response cache holds and has done, as JSON. */
#ifndef SLIPWAY_SERVE_RESPONSE_CACHE_JSON_H
#define SLIPWAY_SERVE_RESPONSE_CACHE_JSON_H

#include "base/json.h"
#include "serve/snapshot.h"

/* A member "responses" of the open object. The endpoint has a cache. */
void response_cache_json(struct json_writer *w, const struct endpoint *endpoint);

#endif
