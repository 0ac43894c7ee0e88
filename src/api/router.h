/* router.h - method and path -> route row and its parameters. */
#ifndef SLIPWAY_API_ROUTER_H
#define SLIPWAY_API_ROUTER_H

#include "api/api.h"

struct route_match {
    const struct route *route;           /* NULL: no such path, or not with this method */
    struct str params[ROUTE_PARAMS_MAX]; /* decoded; in the path or in `arena` */
    bool is_path_known;                  /* with route NULL: the path exists with other methods */
    const char *allowed;                 /* then: "GET, PUT" */
};

/* Match the still percent-encoded path. ERR_INVALID for bad escapes. A HEAD request matches the
 * GET row when there is no HEAD row. */
enum err_code router_match(enum http_method method, struct str path, struct arena *arena,
                           struct route_match *match, struct err *err);

#endif
