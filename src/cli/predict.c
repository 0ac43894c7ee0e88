/* predict.c - ask a model: one JSON body as it is, or the rows of a CSV file. */
#include "cli/predict.h"

#include "base/file.h"
#include "cli/handlers.h"

/* '{"a": 1}' | @file | - */
static enum err_code read_body(const char *text, struct buf *body, struct err *err)
{
    if (text[0] == '@')
        return file_read(text + 1, CLI_FILE_BYTES_MAX, body, err);
    if (strcmp(text, "-") == 0)
        return file_read("-", CLI_FILE_BYTES_MAX, body, err);
    buf_init(body, CLI_FILE_BYTES_MAX);
    buf_text(body, text);
    return ERR_OK;
}

static const char *predict_target(struct cli *cli, struct model_ref ref)
{
    if (!ref.version)
        return cli_target(cli, "/predict/{}", ref.model);
    return cli_target(cli, "/predict/{}/versions/{}", ref.model, ref.version);
}

static enum err_code predict_json(struct cli *cli, struct model_ref ref, struct err *err)
{
    struct cli_reply reply;
    struct buf body;
    enum err_code rc = read_body(cli_flag(cli, "json"), &body, err);
    if (!rc) {
        const struct cli_request request = {
            .method = "POST", .target = predict_target(cli, ref), .body = buf_view(&body)};
        rc = cli_request(cli, &request, &reply, err);
    }
    buf_done(&body);
    if (!rc)
        cli_print_json(reply.body);
    return rc;
}

enum err_code cli_predict(struct cli *cli, struct err *err)
{
    struct model_ref ref = cli_model_ref(cli, cli_arg(cli, 0));
    bool has_json = cli_has(cli, "json"), has_csv = cli_has(cli, "csv");
    if (has_json == has_csv)
        return cli_usage(cli, err,
                         has_json ? "--json and --csv exclude each other"
                                  : "there are no rows to predict: give --json or --csv");
    return has_json ? predict_json(cli, ref, err) : predict_csv(cli, ref, err);
}
