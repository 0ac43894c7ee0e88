/* bench_rows.h - the bodies of prediction requests: rows drawn from a contract, or of a CSV file.
 */
#ifndef SLIPWAY_CLI_BENCH_ROWS_H
#define SLIPWAY_CLI_BENCH_ROWS_H

#include "base/rand.h"
#include "cli/cli.h"

enum {
    BENCH_ROWS_MAX = 100 * 1000,    /* in one request */
    BENCH_BODIES_MAX = 1000,        /* different requests of a version */
    BENCH_BODY_BYTES_MAX = 1 << 26, /* of all together */
};

enum bench_protocol { BENCH_ROWS, BENCH_OIP, BENCH_BINARY };

struct bench_body {
    struct str bytes;
    size_t json_bytes; /* BENCH_BINARY: of the JSON in front of the tensor; else 0 */
};

struct bench_rows {
    struct cli *cli;
    const char *model, *version; /* version "champion" when none was named */
    enum bench_protocol protocol;
    int64_t rows; /* in each request */
    struct rand rand;
    int body_count;
    struct bench_body *bodies; /* [body_count], in cli->arena */
};

/* Fill bodies. ERR_INVALID when the contract does not say enough, with a hint. */
enum err_code bench_rows_make(struct bench_rows *rows, struct err *err);

#endif
