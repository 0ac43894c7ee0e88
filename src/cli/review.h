/* review.h - what the files of `slipway review` share. */
#ifndef SLIPWAY_CLI_REVIEW_H
#define SLIPWAY_CLI_REVIEW_H

#include "cli/cli.h"

enum { REVIEW_UUID_BYTES = 37 };

/* A random UUID (version 4) as text. */
const char *review_uuid(char uuid[REVIEW_UUID_BYTES]);

/* One act on an item: POST .../{item}/{verb} with uuid, and `key`: `value` when key is not NULL. */
enum err_code review_act_on(struct cli *cli, const char *item, const char *verb, const char *uuid,
                            const char *key, const char *value, const char *note,
                            struct cli_reply *reply, struct err *err);

/* The card of an item as text: inputs, answer, numbered choices. */
void review_card(struct cli *cli, yyjson_val *item, struct buf *out);

/* Cards one after another, answered from the terminal, until there is none or the reader leaves. */
enum err_code review_loop(struct cli *cli, yyjson_val *first, struct err *err);

/* Lease the next item; *item NULL when there is none. */
enum err_code review_fetch(struct cli *cli, struct cli_reply *reply, yyjson_val **item,
                           struct err *err);

#endif
