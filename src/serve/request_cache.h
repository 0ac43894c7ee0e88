/* request_cache.h - what a request does with its model's response cache.
 *
 *     check_contract: request_cache_plan   may it be used, digest of what is asked
 *     predict:        request_cache_find   the answer of an earlier request: nothing is computed
 *     observe:        request_cache_end    keep the new answer, count, say so in the reply
 *
 * A hit is a request as any other: it was admitted and checked before, and is counted, watched,
 * held for review and recorded after.
 *
 * The digest is SipHash-2-4-128 of the version in memory (loaded->serial), the tensors as the model
 * gets them, the wanted outputs, and the parameters that the model sees, under a secret of this
 * cache. Nobody who does not know it can make two inputs of one digest, and by chance 2^64 of them
 * would be needed; so inputs are not kept to be compared.
 */
#ifndef SLIPWAY_SERVE_REQUEST_CACHE_H
#define SLIPWAY_SERVE_REQUEST_CACHE_H

#include "serve/pipeline.h"
#include "serve/response_cache.h"

/* req->in is set, and its endpoint has a cache. ERR_INVALID when the request's own word about it
 * cannot be read. Any thread. */
enum err_code request_cache_plan(struct request *req, struct err *err);

/* False: it has to be computed. Data thread, or a bulk thread for a large request. */
bool request_cache_find(struct request *req);

/* The request has its answer. Data thread. */
void request_cache_end(struct request *req);

#endif
