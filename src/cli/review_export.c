/* review_export.c - slipway review export: a data set of what people decided, checked by its
 * digest. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "cli/handlers.h"

enum { FILE_MODE = 0644 };

static const char *format_of(const struct cli *cli)
{
    const char *out = cli_flag(cli, "out");
    if (cli_has(cli, "format"))
        return cli_flag(cli, "format");
    return str_ends_with(str_of(out), STR_LIT(".jsonl")) ? "jsonl" : "csv";
}

static enum err_code make(struct cli *cli, struct cli_reply *reply, struct err *err)
{
    struct buf body;
    struct json_writer w = {.out = &body};
    buf_init(&body, CLI_FILE_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "format");
    json_put_text(&w, format_of(cli));
    if (cli_has(cli, "test")) {
        json_key(&w, "test");
        json_put_text(&w, cli_flag(cli, "test"));
    }
    json_end_object(&w);
    const struct cli_request request = {
        .method = "POST",
        .target = cli_target(cli, "/api/models/{}/review/datasets", cli_arg(cli, 0)),
        .body = buf_view(&body),
        .is_change = true,
    };
    enum err_code rc = cli_request(cli, &request, reply, err);
    buf_done(&body);
    return rc;
}

/* A version that was made before. */
static enum err_code find(struct cli *cli, yyjson_val **dataset, struct err *err)
{
    struct cli_reply reply;
    size_t i, count;
    yyjson_val *one;
    const char *target = cli_target(cli, "/api/models/{}/review/datasets", cli_arg(cli, 0));
    enum err_code rc = cli_get(cli, target, &reply, err);
    if (rc)
        return rc;
    yyjson_arr_foreach(yyjson_obj_get(reply.root, "datasets"), i, count, one)
    {
        if (yyjson_get_sint(yyjson_obj_get(one, "version")) == cli_flag_i64(cli, "version", 0)) {
            *dataset = one;
            return ERR_OK;
        }
    }
    return err_set(err, ERR_NOT_FOUND, "model '%s' has no review data set %s", cli_arg(cli, 0),
                   cli_flag(cli, "version"));
}

static enum err_code write_file(const char *path, struct str bytes, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return err_set_errno(err, errno, "%s", path);
    enum err_code rc = file_write_all(fd, path, bytes.ptr, bytes.len, err);
    if (close(fd) && !rc)
        rc = err_set_errno(err, errno, "%s", path);
    return rc;
}

static enum err_code save(struct cli *cli, yyjson_val *dataset, struct err *err)
{
    struct cli_reply reply;
    char digest[SHA256_HEX_BYTES + 1];
    const char *out = cli_flag(cli, "out");
    const char *target = cli_target(cli, "/api/models/{}/review/datasets/{}", cli_arg(cli, 0),
                                    cli_text(cli, dataset, "version"));
    enum err_code rc = cli_get_bytes(cli, target, &reply, err);
    if (rc)
        return rc;
    hash_sha256_hex(reply.body.ptr, reply.body.len, digest);
    if (strcmp(digest, cli_text(cli, dataset, "digest")) != 0)
        return err_set(err, ERR_IO, "what arrived has the digest %s, expected %s", digest,
                       cli_text(cli, dataset, "digest"));
    return write_file(out, reply.body, err);
}

static void print_made(struct cli *cli, yyjson_val *dataset)
{
    printf("%s: %s rows (%s to test with), data set %s of %s\n", cli_flag(cli, "out"),
           cli_text(cli, dataset, "rows"), cli_text(cli, dataset, "test_rows"),
           cli_text(cli, dataset, "version"), cli_arg(cli, 0));
    printf("sha256 %s\n", cli_text(cli, dataset, "digest"));
}

enum err_code cli_review_export(struct cli *cli, struct err *err)
{
    struct cli_reply reply = {0};
    yyjson_val *dataset = NULL;
    enum err_code rc;
    if (cli_has(cli, "version") && (cli_has(cli, "format") || cli_has(cli, "test")))
        return cli_usage(cli, err,
                         "--version is a data set as it was made: its format and its "
                         "test share are known");
    if (cli_has(cli, "version")) {
        rc = find(cli, &dataset, err);
    } else {
        rc = make(cli, &reply, err);
        dataset = reply.root;
    }
    if (!rc)
        rc = save(cli, dataset, err);
    if (rc)
        return rc;
    if (cli->wants_json) {
        struct buf out;
        buf_init(&out, CLI_MEMORY_BYTES_MAX);
        json_write(&out, dataset);
        cli_print_json(buf_view(&out));
        buf_done(&out);
    } else {
        print_made(cli, dataset);
    }
    return ERR_OK;
}
