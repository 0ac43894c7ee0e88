/* owner.h - what a server does because the data folder is its own. */
#ifndef SLIPWAY_API_OWNER_H
#define SLIPWAY_API_OWNER_H

#include "api/api.h"

/* Everything that writes to the folder or reads what was left there. The recorder and the ticker
 * are the caller's to start. */
enum err_code owner_start(struct node *node, struct err *err);

/* The same in a server that answers already, once the process before has let go of the folder.
 * Calls and records that wait for it go on. */
enum err_code owner_take_over(struct node *node, struct err *err);

#endif
