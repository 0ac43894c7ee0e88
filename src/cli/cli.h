/* cli.h - what a command of the command line gets, and what its row in commands.c says.
 *
 *     argv -> parse.c: the row, its arguments and flags -> the row's function
 *          -> cli_request(): one HTTP call by transport.h -> text or JSON on standard output
 *
 * A command is a thin client of the HTTP API. Help, completion, man pages and docs/cli.md are made
 * from the rows.
 *
 * TO ADD A COMMAND: its function in the file of its group, a row in commands.c.
 */
#ifndef SLIPWAY_CLI_CLI_H
#define SLIPWAY_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "cli/terminal.h"
#include "net/http_client.h"

enum {
    CLI_ARGS_MAX = 8,
    CLI_FLAGS_MAX = 128, /* given on one line */
    CLI_MEMORY_BYTES_MAX = 1024 * 1024 * 1024,
    CLI_REPLY_BYTES_MAX = 1024 * 1024 * 1024,
    CLI_FILE_BYTES_MAX = 1024 * 1024 * 1024, /* of a file that is uploaded or checked */
};

/* What scripts rely on; the texts are in exit_codes.c. */
enum cli_exit {
    CLI_OK = 0,
    CLI_NO = 1,
    CLI_USAGE = 2,
    CLI_UNKNOWN = 2, /* of a gate; standard output tells it from wrong usage */
    CLI_NOT_FOUND = 3,
    CLI_CONFLICT = 4,
    CLI_DENIED = 5,
    CLI_UNREACHABLE = 6,
    CLI_FAILED = 7,
    CLI_REFUSED = 8,
    CLI_PIPE_CLOSED = 141, /* what a shell reports of a program that SIGPIPE ended */
};

/* What a word on the line is: for completion, and for what parse.c checks. */
enum word_kind {
    WORD_TEXT,
    WORD_FILE,
    WORD_FOLDER,
    WORD_MODEL,
    WORD_NUMBER, /* whole, >= 0 */
    WORD_CHOICE, /* one of `choices` */
    WORD_COMMAND,
};

struct command_arg {
    const char *name; /* "NAME[:VERSION]" */
    const char *help;
    enum word_kind kind;
    const char *choices; /* "bash|zsh" */
    bool is_optional;
};

struct command_flag {
    const char *name;  /* "owner", for --owner */
    const char *value; /* "EMAIL"; NULL: the flag stands alone */
    const char *help;
    enum word_kind kind;
    const char *choices;
    bool may_repeat;
    bool is_required;
};

struct cli;
typedef enum err_code command_fn(struct cli *cli, struct err *err);

struct command {
    const char *name; /* "model register" */
    const char *summary;
    command_fn *run;
    const struct command_arg *args;   /* ends with {0}; NULL: none */
    const struct command_flag *flags; /* ends with {0}; NULL: none but the common ones */
    const char *example;              /* lines to paste */
    const char *detail;               /* paragraphs, or NULL */
    bool is_local;                    /* asks no server: takes no --data, --server, --key, --ca */
    bool takes_words;                 /* what follows goes to cli->rest, unread */
    bool takes_options;               /* the same, and it is flags of base/option.h */
    bool is_hidden;
    bool takes_rows_by_data; /* its --data may also name a file of rows; folders are the folder */
};

/* Every command; ends with a row of zeros. */
extern const struct command commands[];

/* Flags of every command, and of those that call the API; both end with {0}. */
extern const struct command_flag cli_common_flags[];
extern const struct command_flag cli_api_flags[];

struct given_flag {
    const struct command_flag *flag;
    const char *value; /* "" for flags that stand alone */
};

struct cli {
    const struct command *command;
    struct arena *arena; /* until the program ends */
    struct terminal terminal;
    const char *args[CLI_ARGS_MAX]; /* [arg_count] */
    int arg_count;
    struct given_flag flags[CLI_FLAGS_MAX]; /* [flag_count] */
    int flag_count;
    const char *const *rest; /* [rest_count] when the command takes options */
    int rest_count;
    bool wants_json;
    bool is_no;                  /* the command worked and its answer is no: exit status 1 */
    bool is_unknown;             /* the same, and it cannot tell: exit status 2 */
    bool is_usage;               /* its failure is one of the command line: exit status 2 */
    struct transport *transport; /* opened by the first cli_request() */
};

/* The program: everything behind argv[0]. Returns the exit status. */
int cli_main(int argc, const char *const *argv);

/* ---- for commands ---- */

/* The value of a flag; NULL when it was not given. `name` must be in the command's row. */
const char *cli_flag(const struct cli *cli, const char *name);
bool cli_has(const struct cli *cli, const char *name);

/* The same for flags that may repeat: the i-th one; NULL behind the last. */
const char *cli_flag_at(const struct cli *cli, const char *name, int i);
int64_t cli_flag_i64(const struct cli *cli, const char *name, int64_t otherwise);

/* The argument, or NULL when it was left out. */
const char *cli_arg(const struct cli *cli, int i);

/* The API key that --key (or @FILE) or SLIPWAY_KEY gives; NULL: none. */
enum err_code cli_key(struct cli *cli, const char **key, struct err *err);

/* What --ca, --cert and --cert-key say, or the environment. */
struct http_tls_client cli_tls(const struct cli *cli);

/* What the row cannot check is wrong with the command line: exit status 2. */
enum err_code cli_usage(struct cli *cli, struct err *err, const char *message);

/* One call of the API. */
struct cli_request {
    const char *method;
    const char *target; /* cli_target() */
    struct str body;
    const char *content_type;  /* NULL: application/json when there is a body */
    struct http_header header; /* (optional) one more */
    struct progress *progress; /* (optional) while uploading */
    struct arena *arena;       /* of the reply; NULL: cli->arena */
    bool is_change;            /* sends an Idempotency-Key: got twice, it is made once */
    bool takes_bytes;          /* the reply is no JSON object */
};
struct cli_reply {
    int status;
    struct str body;
    yyjson_val *root;       /* of the body when it is JSON, else NULL */
    struct str next_cursor; /* where a list goes on; empty: it ends here */
};

/* A status >= 400 becomes `err`, with the server's own words and hint; *reply has it then too. */
enum err_code cli_request(struct cli *cli, const struct cli_request *request,
                          struct cli_reply *reply, struct err *err);
enum err_code cli_get(struct cli *cli, const char *target, struct cli_reply *reply,
                      struct err *err);
enum err_code cli_get_bytes(struct cli *cli, const char *target, struct cli_reply *reply,
                            struct err *err);

/* A reply as people read it: `print` gets its member of that name (NULL: the whole); with --json
 * the reply as it came. And the same for the reply to a GET of `target`. */
typedef void cli_print_fn(struct cli *cli, yyjson_val *value, struct buf *out);
enum err_code cli_print_reply(struct cli *cli, const struct cli_reply *reply, const char *member,
                              cli_print_fn *print);
enum err_code cli_show(struct cli *cli, const char *target, const char *member, cli_print_fn *print,
                       struct err *err);

/* For commands that open a folder of their own: the API on that folder, which nobody may have. */
enum err_code cli_open_folder(struct cli *cli, const char *path, struct err *err);
void cli_close(struct cli *cli);

/* "/api/models/{}/aliases/{}" with each {} replaced by a percent-encoded text. */
const char *cli_target(struct cli *cli, const char *pattern, ...);

/* "churn:3" -> "churn", "3"; "churn" -> "churn", NULL. Copies. */
struct model_ref {
    const char *model, *version;
};
struct model_ref cli_model_ref(struct cli *cli, const char *text);

/* Is the word a file rather than the name of a model? It has a slash or ends in .yaml, .yml or
 * .json. */
bool cli_is_file(const char *word);

/* Standard output. cli_main() checks at the end that all of it arrived. */
void cli_print(struct buf *out);      /* and empties it */
void cli_print_json(struct str body); /* the reply as it came, and a line end */

/* What the API's way is called in messages: "folder ./slipway-data". After a cli_request(). */
const char *cli_server_name(const struct cli *cli);

/* Texts of members for tables: "" when absent; numbers as they are. Valid until the arena ends. */
const char *cli_text(struct cli *cli, yyjson_val *object, const char *key);
/* "-" when the number is 0 or absent: versions that are not there. */
const char *cli_version_text(struct cli *cli, yyjson_val *object, const char *key);
/* A time of the API in the reader's own time zone. */
const char *cli_time(struct cli *cli, yyjson_val *object, const char *key);

#endif
