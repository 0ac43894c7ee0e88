/* alias.c - aliases: move one, remove one. */
#include "cli/handlers.h"

/* --if-revision N as the headers the API takes: 0 says that the alias must not exist. */
static struct http_header revision_header(struct cli *cli)
{
    int64_t revision = cli_flag_i64(cli, "if-revision", -1);
    if (revision < 0)
        return (struct http_header){0};
    if (revision == 0)
        return (struct http_header){STR_LIT("If-None-Match"), STR_LIT("*")};
    const char *etag = arena_printf(cli->arena, "\"%lld\"", (long long)revision);
    return (struct http_header){STR_LIT("If-Match"), str_of(etag)};
}

static void write_move(struct cli *cli, struct buf *body)
{
    struct json_writer w = {.out = body};
    int64_t number;
    struct str version = str_of(cli_arg(cli, 2));
    json_begin_object(&w);
    json_key(&w, "version");
    if (str_to_i64(version, &number))
        json_put_i64(&w, number);
    else
        json_put_str(&w, version);
    if (cli_has(cli, "reason")) {
        json_key(&w, "reason");
        json_put_text(&w, cli_flag(cli, "reason"));
    }
    json_end_object(&w);
}

enum err_code cli_alias_set(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    struct buf body;
    buf_init(&body, CLI_FILE_BYTES_MAX);
    write_move(cli, &body);
    const struct cli_request request = {
        .method = "PUT",
        .target = cli_target(cli, "/api/models/{}/aliases/{}", cli_arg(cli, 0), cli_arg(cli, 1)),
        .body = buf_view(&body),
        .header = revision_header(cli),
        .is_change = true,
    };
    enum err_code rc = cli_request(cli, &request, &reply, err);
    buf_done(&body);
    if (rc)
        return rc;
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        printf("%s: %s is version %s (before: %s, revision %s)\n",
               cli_text(cli, reply.root, "model"), cli_text(cli, reply.root, "alias"),
               cli_text(cli, reply.root, "version"), cli_version_text(cli, reply.root, "previous"),
               cli_text(cli, reply.root, "revision"));
    return ERR_OK;
}

enum err_code cli_alias_delete(struct cli *cli, struct err *err)
{
    struct cli_reply reply;
    const struct cli_request request = {
        .method = "DELETE",
        .target = cli_target(cli, "/api/models/{}/aliases/{}", cli_arg(cli, 0), cli_arg(cli, 1)),
        .header = revision_header(cli),
        .is_change = true,
    };
    enum err_code rc = cli_request(cli, &request, &reply, err);
    if (rc)
        return rc;
    if (cli->wants_json)
        cli_print_json(reply.body);
    else
        printf("%s: alias %s is gone\n", cli_arg(cli, 0), cli_text(cli, reply.root, "deleted"));
    return ERR_OK;
}
