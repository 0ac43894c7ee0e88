/* option.h - what an operator can set, from four sources, checked before anything starts.
 *
 *     built-in default  <  YAML file (--config FILE)  <  environment SLIPWAY_<NAME>  <  flag --name
 *
 * The rows are in src/options.def. Every value is checked against its row, wherever it comes from;
 * the error names the place, what was there and what is expected.
 *
 *     struct options options;
 *     options_init(&options);
 *     if (options_load(&options, argc, argv, environ, &err)) ...
 *     ... options.http_body_bytes_max ...
 *     options_done(&options);
 */
#ifndef SLIPWAY_BASE_OPTION_H
#define SLIPWAY_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct option_list {
    const char *const *items; /* [count] */
    int count;
};

enum option_type {
    OPTION_BOOL,
    OPTION_INT,
    OPTION_SIZE,
    OPTION_DURATION_MS,
    OPTION_REAL,
    OPTION_CHOICE,
    OPTION_TEXT,
    OPTION_LIST,
};

/* Later sources win. */
enum option_source { OPTION_BY_DEFAULT, OPTION_BY_FILE, OPTION_BY_ENVIRONMENT, OPTION_BY_FLAG };

enum option_id {
#define OPTION(name, type, preset, min, max, unit, reload, help) OPTION_ID_##name,
#include "options.def"
    OPTION_COUNT,
};

#define OPTION_FIELD_BOOL bool
#define OPTION_FIELD_INT int64_t
#define OPTION_FIELD_SIZE size_t
#define OPTION_FIELD_DURATION_MS int64_t
#define OPTION_FIELD_REAL double
#define OPTION_FIELD_CHOICE int
#define OPTION_FIELD_TEXT const char *
#define OPTION_FIELD_LIST struct option_list

/* One field per row of options.def, then what belongs to this module. */
struct options {
#define OPTION(name, type, preset, min, max, unit, reload, help) OPTION_FIELD_##type name;
#include "options.def"
    struct arena *arena; /* owned; every text above lives in it */
    enum option_source source[OPTION_COUNT];
};

/* A row of options.def. */
struct option {
    const char *name; /* "http_body_bytes_max"; the flag has dashes, the variable is in capitals */
    enum option_type type;
    const char *preset, *min, *max; /* as text, see options.def */
    const char *unit;               /* "bytes", "ms", "" */
    bool reloads;                   /* SIGHUP reads it again */
    const char *help;               /* one sentence */
    size_t offset;                  /* of its field in struct options */
};
extern const struct option option_table[OPTION_COUNT];

/* Every option at its default. */
void options_init(struct options *options);
void options_done(struct options *options);

/* All sources in order, then options_check(). `argv` holds only flags: the caller has taken the
 * program's name and its command away. `environment` is as `environ`, NULL for none. The file is
 * that of --config or of SLIPWAY_CONFIG. On failure *options may be half loaded; end it. */
enum err_code options_load(struct options *options, int argc, const char *const *argv,
                           const char *const *environment, struct err *err);

/* The sources alone, for callers with flags of their own. A file's mapping has options' names as
 * keys. Variables that are empty count as unset; unknown ones are left to others unless they are
 * nearly an option's name. options_take_flag() looks at argv[0], and at argv[1] for its value:
 * *used is how many it took, 0 when argv[0] is no option. `--flag` and `--no-flag` set a BOOL; a
 * LIST flag may come several times. */
enum err_code options_take_file(struct options *options, const char *path, struct err *err);
enum err_code options_take_environment(struct options *options, const char *const *environment,
                                       struct err *err);
enum err_code options_take_flag(struct options *options, int argc, const char *const *argv,
                                int *used, struct err *err);

/* What no row can say alone: the certificate and its key come together. */
enum err_code options_check(const struct options *options, struct err *err);

/* The row of that name or alias, dashes or underscores; NULL when there is none. */
const struct option *option_find(struct str name);

/* A value as text that the same option would read. */
void option_format(const struct options *options, const struct option *option, struct buf *out);

/* For people, made from the rows: the flags of --help; a file to start from, all of it commented
 * out; the reference page's table in Markdown. */
void options_help(struct buf *out);
void options_sample_yaml(struct buf *out);
void options_reference(struct buf *out);

#endif
