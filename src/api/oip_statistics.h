/* oip_statistics.h - which versions a question for statistics means. */
#ifndef SLIPWAY_API_OIP_STATISTICS_H
#define SLIPWAY_API_OIP_STATISTICS_H

#include "api/api.h"
#include "serve/model_stats.h"

typedef void oip_statistics_fn(void *arg, const struct loaded *loaded,
                               const struct model_stats *stats);

/* Call `fn` with each version in memory: of all models when `model` is empty, of all its versions
 * when `version` is. Nothing of a model that is only not in memory: it counts from its loading on.
 * ERR_NOT_FOUND, ERR_UNAVAILABLE as for a prediction. */
enum err_code oip_statistics_each(struct call *call, struct str model, struct str version,
                                  oip_statistics_fn *fn, void *arg, struct err *err);

#endif
