/* cli.c - from argv to a command, its calls of the API, and the exit status. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/rand.h"
#include "base/version.h"
#include "cli/exit_codes.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "cli/progress.h"
#include "cli/transport.h"

enum {
    TARGET_BYTES_MAX = HTTP_TARGET_BYTES_MAX,
    IDEMPOTENCY_BYTES = 16,
    KEY_FILE_BYTES_MAX = 4096,
    REPORT_BYTES_MAX = 8 * (ERR_MSG_BYTES + ERR_HINT_BYTES)
};

/* ---- flags and arguments ---- */

const char *cli_flag_at(const struct cli *cli, const char *name, int i)
{
    assert(command_flag_find(cli->command, str_of(name)));
    for (int at = 0; at < cli->flag_count; at++)
        if (strcmp(cli->flags[at].flag->name, name) == 0 && i-- == 0)
            return cli->flags[at].value;
    return NULL;
}

const char *cli_flag(const struct cli *cli, const char *name)
{
    return cli_flag_at(cli, name, 0);
}

bool cli_has(const struct cli *cli, const char *name)
{
    return cli_flag(cli, name) != NULL;
}

int64_t cli_flag_i64(const struct cli *cli, const char *name, int64_t otherwise)
{
    const char *text = cli_flag(cli, name);
    int64_t value = otherwise;
    if (text)
        str_to_i64(str_of(text), &value); /* parse.c has checked it */
    return value;
}

const char *cli_arg(const struct cli *cli, int i)
{
    return i < cli->arg_count ? cli->args[i] : NULL;
}

struct model_ref cli_model_ref(struct cli *cli, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (!colon)
        return (struct model_ref){text, NULL};
    return (struct model_ref){arena_copy(cli->arena, text, (size_t)(colon - text)), colon + 1};
}

bool cli_is_file(const char *word)
{
    static const char *const endings[] = {".yaml", ".yml", ".json"};
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (str_ends_with(str_of(word), str_of(endings[i])))
            return true;
    return strchr(word, '/') != NULL;
}

enum err_code cli_usage(struct cli *cli, struct err *err, const char *message)
{
    cli->is_usage = true;
    err_set(err, ERR_INVALID, "%s", message);
    return err_hint(err, "usage and an example: slipway %s --help", cli->command->name);
}

/* ---- the way to the API ---- */

static const char *flag_or_environment(const struct cli *cli, const char *flag, const char *name)
{
    const char *value = cli_flag(cli, flag);
    value = value ? value : getenv(name);
    return value && value[0] ? value : NULL;
}

/* "@FILE" keeps the key off the command line, where every user of the machine can read it. */
enum err_code cli_key(struct cli *cli, const char **key, struct err *err)
{
    struct buf text;
    *key = flag_or_environment(cli, "key", "SLIPWAY_KEY");
    if (!*key || (*key)[0] != '@')
        return ERR_OK;
    enum err_code rc = file_read(*key + 1, KEY_FILE_BYTES_MAX, &text, err);
    if (!rc) {
        struct str line = str_trim((struct str){text.data, strcspn(buf_c(&text), "\r\n")});
        *key = arena_copy(cli->arena, line.ptr, line.len);
    }
    buf_done(&text);
    return rc;
}

/* What one does before the first start: a model to serve, a key without which a server that others
 * can reach does not start. */
static bool makes_folder(const char *command)
{
    return strcmp(command, "model register") == 0 || strcmp(command, "key create") == 0;
}

/* --data names the folder; for a command whose --data may be rows too, the one that is a folder. */
static const char *data_folder(const struct cli *cli)
{
    const char *path;
    struct stat status;
    if (!cli->command->takes_rows_by_data)
        return cli_flag(cli, "data");
    for (int i = 0; (path = cli_flag_at(cli, "data", i)); i++)
        if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
            return path;
    return NULL;
}

struct http_tls_client cli_tls(const struct cli *cli)
{
    return (struct http_tls_client){
        .ca_path = flag_or_environment(cli, "ca", "SLIPWAY_CA"),
        .cert_path = flag_or_environment(cli, "cert", "SLIPWAY_CERT"),
        .key_path = flag_or_environment(cli, "cert-key", "SLIPWAY_CERT_KEY"),
    };
}

static enum err_code open_transport(struct cli *cli, struct err *err)
{
    extern char **environ;
    struct transport_config config = {.environment = (const char *const *)environ};
    if (cli->transport)
        return ERR_OK;
    config.tls = cli_tls(cli);
    config.data_dir = data_folder(cli);
    config.create = makes_folder(cli->command->name);
    /* A folder that is named on the line is meant, whatever the environment says. */
    config.server_url = config.data_dir ? cli_flag(cli, "server")
                                        : flag_or_environment(cli, "server", "SLIPWAY_SERVER");
    if (config.data_dir && config.server_url)
        return cli_usage(cli, err, "--data and --server exclude each other");
    enum err_code rc = cli_key(cli, &config.key, err);
    return rc ? rc : transport_open(&config, &cli->transport, err);
}

enum err_code cli_open_folder(struct cli *cli, const char *path, struct err *err)
{
    const struct transport_config config = {.data_dir = path};
    assert(!cli->transport);
    return transport_open(&config, &cli->transport, err);
}

void cli_close(struct cli *cli)
{
    transport_close(cli->transport);
    cli->transport = NULL;
}

static const char safe_in_paths[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                    "0123456789-._~";

static void append_encoded(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr(safe_in_paths, *text))
            buf_char(out, *text);
        else
            buf_printf(out, "%%%02X", (unsigned)(uint8_t)*text);
    }
}

const char *cli_target(struct cli *cli, const char *pattern, ...)
{
    struct buf out;
    va_list texts;
    buf_init(&out, TARGET_BYTES_MAX);
    va_start(texts, pattern);
    for (; *pattern; pattern++) {
        if (pattern[0] == '{' && pattern[1] == '}') {
            append_encoded(&out, va_arg(texts, const char *));
            pattern++;
        } else {
            buf_char(&out, *pattern);
        }
    }
    va_end(texts);
    /* A word that is too long for any name: the server says so of the part that fits. */
    const char *target = arena_copy(cli->arena, out.data, out.len);
    buf_done(&out);
    assert(target);
    return target;
}

/* ---- replies ---- */

static enum err_code code_of_status(int status)
{
    static const struct {
        int status;
        enum err_code code;
    } codes[] = {
        {400, ERR_INVALID},     {401, ERR_UNAUTHORIZED}, {403, ERR_DENIED},
        {404, ERR_NOT_FOUND},   {408, ERR_TIMEOUT},      {409, ERR_CONFLICT},
        {412, ERR_CONFLICT},    {413, ERR_LIMIT},        {415, ERR_UNSUPPORTED},
        {422, ERR_VIOLATION},   {429, ERR_LIMIT},        {431, ERR_LIMIT},
        {501, ERR_UNSUPPORTED}, {502, ERR_UNAVAILABLE},  {503, ERR_UNAVAILABLE},
        {504, ERR_TIMEOUT},     {507, ERR_DISK_FULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (codes[i].status == status)
            return codes[i].code;
    return status < 500 ? ERR_INVALID : ERR_INTERNAL;
}

/* The words of application/problem+json; of anything else (a proxy's page) only the status. */
static enum err_code fail_with(const struct cli *cli, const struct cli_request *request,
                               const struct cli_reply *reply, struct err *err)
{
    struct str detail = {0}, hint = {0};
    struct err ignored = {0};
    enum err_code code = code_of_status(reply->status);
    if (yyjson_is_obj(reply->root)) {
        json_get_str_opt(reply->root, "the reply", "detail", &detail, &ignored);
        json_get_str_opt(reply->root, "the reply", "hint", &hint, &ignored);
    }
    if (detail.ptr)
        err_set(err, code, "%.*s", STR_ARG(detail));
    else
        err_set(err, code, "%s %s: %s answered %d %s", request->method, request->target,
                transport_name(cli->transport), reply->status, http_status_text(reply->status));
    if (code == ERR_UNAUTHORIZED)
        err_hint(err, "give a key with --key or SLIPWAY_KEY; on the server's machine slipway key "
                      "create makes one");
    else if (hint.len)
        err_hint(err, "%.*s", STR_ARG(hint));
    return code;
}

static void free_body(void *body)
{
    free(body);
}

static void show_progress(void *arg, uint64_t sent, uint64_t total)
{
    (void)total;
    progress_update(arg, sent, sent);
}

/* Is it that type, whatever parameters follow? application/jsonl is not application/json. */
static bool is_media_type(struct str content_type, struct str type)
{
    struct str name = {NULL, 0};
    return content_type.ptr && str_split(&content_type, ';', &name) &&
           str_equal_nocase(str_trim(name), type);
}

static enum err_code read_reply(const struct http_result *result, struct arena *arena,
                                struct cli_reply *reply, struct err *err)
{
    *reply = (struct cli_reply){.status = result->status, .body = buf_view(&result->body)};
    for (int i = 0; i < result->header_count; i++)
        if (str_equal_nocase(result->headers[i].name, STR_LIT("X-Next-Cursor")))
            reply->next_cursor = result->headers[i].value;
    bool is_json = is_media_type(result->content_type, STR_LIT("application/json")) ||
                   is_media_type(result->content_type, STR_LIT("application/problem+json"));
    if (!is_json || reply->body.len == 0)
        return ERR_OK;
    enum err_code rc = json_read(reply->body, arena, &reply->root, err);
    return rc ? err_wrap(err, "the server's reply") : ERR_OK;
}

/* Any other web server answers something too. */
static enum err_code check_form(const struct cli *cli, const struct cli_request *request,
                                const struct cli_reply *reply, struct err *err)
{
    bool is_ours = request->takes_bytes || yyjson_is_obj(reply->root);
    if (is_ours && reply->status < 300)
        return ERR_OK;
    err_set(err, ERR_UNAVAILABLE, "%s does not answer as Slipway does: %d %s to %s %s",
            transport_name(cli->transport), reply->status, http_status_text(reply->status),
            request->method, request->target);
    return err_hint(err, "is that the address of a server that slipway serve runs?");
}

/* A change carries a key, so that a server that gets it twice makes it once. */
static int add_headers(const struct cli *cli, const struct cli_request *request,
                       struct http_header headers[3])
{
    int count = 0;
    const char *type = request->content_type ? request->content_type : "application/json";
    if (request->body.len)
        headers[count++] = (struct http_header){STR_LIT("Content-Type"), str_of(type)};
    if (request->header.name.len)
        headers[count++] = request->header;
    if (request->is_change) {
        uint8_t random[IDEMPOTENCY_BYTES];
        char *hex = arena_alloc(cli->arena, 2 * sizeof(random));
        assert(hex);
        rand_secret(random, sizeof(random));
        str_hex(random, sizeof(random), hex);
        headers[count++] =
            (struct http_header){STR_LIT("Idempotency-Key"), {hex, 2 * sizeof(random)}};
    }
    return count;
}

enum err_code cli_request(struct cli *cli, const struct cli_request *request,
                          struct cli_reply *reply, struct err *err)
{
    struct http_result result = {0};
    struct http_header headers[3];
    struct arena *arena = request->arena ? request->arena : cli->arena;
    enum err_code rc = open_transport(cli, err);
    if (rc)
        return rc;
    struct http_call call = {
        .method = request->method,
        .target = str_of(request->target),
        .headers = headers,
        .header_count = add_headers(cli, request, headers),
        .body = request->body,
        .reply_bytes_max = CLI_REPLY_BYTES_MAX,
        .progress = request->progress ? show_progress : NULL,
        .progress_arg = request->progress,
    };
    rc = transport_run(cli->transport, &call, arena, &result, err);
    if (rc)
        return rc;
    if (arena_defer(arena, free_body, result.body.data)) {
        buf_done(&result.body);
        return err_set(err, ERR_LIMIT, "no room for the server's reply");
    }
    rc = read_reply(&result, arena, reply, err);
    if (rc)
        return rc;
    if (reply->status >= 400)
        return fail_with(cli, request, reply, err);
    return check_form(cli, request, reply, err);
}

enum err_code cli_get(struct cli *cli, const char *target, struct cli_reply *reply, struct err *err)
{
    return cli_request(cli, &(struct cli_request){.method = "GET", .target = target}, reply, err);
}

enum err_code cli_print_reply(struct cli *cli, const struct cli_reply *reply, const char *member,
                              cli_print_fn *print)
{
    struct buf out;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (cli->wants_json)
        cli_print_json(reply->body);
    else
        print(cli, member ? yyjson_obj_get(reply->root, member) : reply->root, &out);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}

enum err_code cli_show(struct cli *cli, const char *target, const char *member, cli_print_fn *print,
                       struct err *err)
{
    struct cli_reply reply;
    enum err_code rc = cli_get(cli, target, &reply, err);
    return rc ? rc : cli_print_reply(cli, &reply, member, print);
}

enum err_code cli_get_bytes(struct cli *cli, const char *target, struct cli_reply *reply,
                            struct err *err)
{
    const struct cli_request request = {.method = "GET", .target = target, .takes_bytes = true};
    return cli_request(cli, &request, reply, err);
}

/* ---- output ---- */

void cli_print(struct buf *out)
{
    assert(!out->is_full);
    if (out->len)
        fwrite(out->data, 1, out->len, stdout);
    buf_clear(out);
}

const char *cli_server_name(const struct cli *cli)
{
    return transport_name(cli->transport);
}

void cli_print_json(struct str body)
{
    if (body.len)
        fwrite(body.ptr, 1, body.len, stdout);
    if (body.len == 0 || body.ptr[body.len - 1] != '\n')
        putchar('\n');
}

const char *cli_text(struct cli *cli, yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    struct buf text;
    if (yyjson_is_str(value))
        return yyjson_get_str(value);
    if (!value || yyjson_is_null(value))
        return "";
    buf_init(&text, CLI_MEMORY_BYTES_MAX);
    json_write(&text, value);
    const char *copy = arena_copy(cli->arena, text.data, text.len);
    buf_done(&text);
    return copy ? copy : "";
}

const char *cli_version_text(struct cli *cli, yyjson_val *object, const char *key)
{
    const char *text = cli_text(cli, object, key);
    return text[0] == '\0' || strcmp(text, "0") == 0 ? "-" : text;
}

const char *cli_time(struct cli *cli, yyjson_val *object, const char *key)
{
    char text[TERMINAL_TIME_BYTES];
    terminal_time(str_of(cli_text(cli, object, key)), text);
    const char *copy = arena_copy(cli->arena, text, strlen(text));
    return copy ? copy : "";
}

/* ---- the program ---- */

static void report(const struct cli *cli, const struct err *err)
{
    struct buf text;
    buf_init(&text, REPORT_BYTES_MAX);
    buf_lit(&text, "slipway: ");
    terminal_append_tinted(&text, str_of(err->msg), TINT_RED, cli->terminal.has_err_color);
    buf_char(&text, '\n');
    if (err->hint[0]) {
        buf_lit(&text, "hint: ");
        terminal_append(&text, str_of(err->hint));
        buf_char(&text, '\n');
    }
    fflush(stdout);
    fwrite(text.data, 1, text.len, stderr);
    buf_done(&text);
}

static int show_help(const struct cli *cli, const struct parsed *parsed)
{
    struct buf text;
    bool is_asked = parsed->wants_help;
    buf_init(&text, CLI_MEMORY_BYTES_MAX);
    if (cli->command)
        help_command(cli->command, cli->terminal.has_out_color, &text);
    else if (parsed->group)
        help_group(parsed->group, &text);
    else
        help_overview(&text);
    fwrite(text.data, 1, text.len, is_asked ? stdout : stderr);
    buf_done(&text);
    return is_asked ? CLI_OK : CLI_USAGE;
}

static int run_command(struct cli *cli)
{
    struct err err = {0};
    cli->wants_json = cli_has(cli, "json");
    enum err_code rc = cli->command->run(cli, &err);
    cli_close(cli);
    if (rc) {
        report(cli, &err);
        return cli->is_usage ? CLI_USAGE : (int)exit_code_of(rc);
    }
    if (cli->is_unknown)
        return CLI_UNKNOWN;
    return cli->is_no ? CLI_NO : CLI_OK;
}

/* What was printed must have arrived: `slipway backup` into a full disk is no success. */
static int finish_output(const struct cli *cli, int status)
{
    struct err err = {0};
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    if (errno == EPIPE)
        return CLI_PIPE_CLOSED;
    err_set_errno(&err, errno, "cannot write to standard output");
    report(cli, &err);
    return CLI_FAILED;
}

int cli_main(int argc, const char *const *argv)
{
    struct cli cli = {.arena = arena_new(CLI_MEMORY_BYTES_MAX)};
    struct parsed parsed = {0};
    struct err err = {0};
    int status;
    terminal_init(&cli.terminal);
    enum err_code rc = parse_line(argc, argv, &cli, &parsed, &err);
    if (rc) {
        report(&cli, &err);
        status = CLI_USAGE;
    } else if (parsed.wants_version) {
        printf("slipway %s\n", SLIPWAY_VERSION);
        status = CLI_OK;
    } else if (parsed.wants_help || !cli.command) {
        status = show_help(&cli, &parsed);
    } else {
        status = run_command(&cli);
    }
    status = finish_output(&cli, status);
    arena_free(cli.arena);
    return status;
}
