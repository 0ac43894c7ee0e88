/* oip_api.h - what the REST handlers of the Open Inference Protocol have in common. */
#ifndef SLIPWAY_API_OIP_API_H
#define SLIPWAY_API_OIP_API_H

#include "api/api.h"

/* Names of the protocol's extensions that there are; NULL ends them. oip_api.c */
extern const char *const oip_extensions[];

/* The version that the path names. One that is not in memory is brought there, and the call waits
 * (call->is_waiting). oip_api.c */
enum err_code oip_find_in_memory(struct call *call, const struct endpoint **endpoint,
                                 struct loaded **loaded, struct err *err);

#endif
