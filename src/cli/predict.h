/* predict.h - rows of a CSV file through the API in batches, bad ones set aside. */
#ifndef SLIPWAY_CLI_PREDICT_H
#define SLIPWAY_CLI_PREDICT_H

#include "cli/cli.h"

enum {
    PREDICT_BATCH_ROWS_MAX = 1000,
    PREDICT_BATCH_BYTES_MAX = 8 * 1024 * 1024, /* of the rows' JSON: below what a server takes */
};

/* What a field takes, as its JSON Schema says. */
enum cell_form { CELL_SKIP, CELL_NUMBER, CELL_BOOLEAN, CELL_TEXT };

/* The form of a property of the row's schema. */
enum cell_form cell_form_of(yyjson_val *property);

/* A cell of a CSV file as a JSON value: what is no number where one belongs goes as text, so that
 * the server can say what is wrong with it or knows it as a marker of missing values. */
void cell_write(struct buf *out, enum cell_form form, struct str cell);

/* `slipway predict NAME --csv FILE`. */
enum err_code predict_csv(struct cli *cli, struct model_ref ref, struct err *err);

#endif
