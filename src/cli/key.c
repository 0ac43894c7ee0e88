/* key.c - API keys: make one, list them, revoke one. */
#include "base/check.h"
#include "cli/handlers.h"
#include "cli/table.h"

enum { EXPIRES_YEARS_MAX = 100 };

/* "30d", "12h", "8w", "never" -> seconds, 0 for never. */
static bool parse_lifetime(struct str text, int64_t *seconds)
{
    static const struct {
        char suffix;
        int64_t seconds;
    } units[] = {{'m', 60},
                 {'h', 3600},
                 {'d', 86400},
                 {'w', INT64_C(7) * 86400},
                 {'y', INT64_C(365) * 86400}};
    int64_t count;
    if (str_equal(text, STR_LIT("never"))) {
        *seconds = 0;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(units) && text.len > 1; i++) {
        if (text.ptr[text.len - 1] != units[i].suffix)
            continue;
        if (!str_to_i64((struct str){text.ptr, text.len - 1}, &count) || count < 1 ||
            count > INT64_C(365) * 86400 * EXPIRES_YEARS_MAX / units[i].seconds)
            return false;
        *seconds = count * units[i].seconds;
        return true;
    }
    return false;
}

/* The secret, if it has one, alone goes to standard output, so that KEY=$(slipway key create ...)
 * has it. */
static void print_created(struct cli *cli, yyjson_val *key)
{
    const char *expires = cli_time(cli, key, "expires_at");
    const char *certificate = cli_text(cli, key, "certificate");
    if (certificate[0]) {
        printf("key %s (id %s) with %s, %s%s: whoever shows the certificate %s\n",
               cli_text(cli, key, "name"), cli_text(cli, key, "id"), cli_text(cli, key, "scopes"),
               expires[0] ? "until " : "for ever", expires, certificate);
        return;
    }
    fprintf(stderr, "key %s (id %s) with %s, %s%s; this is the only time it is shown:\n",
            cli_text(cli, key, "name"), cli_text(cli, key, "id"), cli_text(cli, key, "scopes"),
            expires[0] ? "until " : "for ever", expires);
    printf("%s\n", cli_text(cli, key, "key"));
}

enum err_code cli_key_create(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf body;
    struct json_writer w = {.out = &body};
    int64_t seconds = 0;
    const char *expires = cli_flag(cli, "expires");
    if (expires && !parse_lifetime(str_of(expires), &seconds))
        return cli_usage(cli, err, "--expires takes a time such as 12h, 30d, 8w, 1y, or never");
    buf_init(&body, CLI_FILE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "name");
    json_put_text(&w, cli_arg(cli, 0));
    json_key(&w, "scopes");
    json_put_text(&w, cli_flag(cli, "scope"));
    json_key(&w, "expires_seconds");
    json_put_i64(&w, seconds);
    if (cli_has(cli, "certificate")) {
        json_key(&w, "certificate");
        json_put_text(&w, cli_flag(cli, "certificate"));
    }
    json_end_object(&w);
    const struct cli_request request = {
        .method = "POST", .target = "/api/keys", .body = buf_view(&body)};
    enum err_code rc = cli_request(cli, &request, &reply, err);
    buf_done(&body);
    if (!rc && cli->wants_json)
        cli_print_json(reply.body);
    else if (!rc)
        print_created(cli, reply.root);
    return rc;
}

static void print_keys(struct cli *cli, yyjson_val *keys, struct buf *out)
{
    size_t i, count;
    yyjson_val *key;
    struct table *table =
        table_new(cli->arena, "NAME|ID|SCOPES|CREATED|BY|EXPIRES|REVOKED|CERTIFICATE");
    yyjson_arr_foreach(keys, i, count, key)
    {
        const char *revoked = cli_time(cli, key, "revoked_at");
        const char *expires = cli_time(cli, key, "expires_at");
        table_add(table, revoked[0] ? TINT_DIM : TINT_NONE, cli_text(cli, key, "name"),
                  cli_text(cli, key, "id"), cli_text(cli, key, "scopes"),
                  cli_time(cli, key, "created_at"), cli_text(cli, key, "created_by"),
                  expires[0] ? expires : "never", revoked, cli_text(cli, key, "certificate"));
    }
    if (table_rows(table))
        table_write(table, cli->terminal.has_out_color, out);
    else
        buf_lit(out, "no keys; without one the server answers on loopback only\n");
}

enum err_code cli_key_list(struct cli *cli, struct err *err)
{
    return cli_show(cli, "/api/keys", "keys", print_keys, err);
}

enum err_code cli_key_revoke(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    const struct cli_request request = {
        .method = "DELETE",
        .target = cli_target(cli, "/api/keys/{}", cli_arg(cli, 0)),
        .is_change = true,
    };
    enum err_code rc = cli_request(cli, &request, &reply, err);
    if (rc)
        return rc;
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        printf("key %s is revoked: the next request with it is refused\n", cli_arg(cli, 0));
    return ERR_OK;
}
