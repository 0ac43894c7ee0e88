/* serve.c - `slipway serve`: options from all their sources, then the server until it is told to
 * end. */
#include "api/server.h"

#include "base/log.h"
#include "cli/handlers.h"

static enum err_code load(const struct cli *cli, struct options *options, struct err *err)
{
    extern char **environ;
    return options_load(options, cli->rest_count, cli->rest, (const char *const *)environ, err);
}

struct serving {
    struct cli *cli;
    const struct options *options;
};

static enum err_code reload(void *arg, struct options *fresh, struct err *err)
{
    const struct serving *serving = arg;
    return load(serving->cli, fresh, err);
}

/* For the person who started it by hand; a supervisor reads the log. */
static void greet(void *arg, int port, bool needs_key, int model_count)
{
    const struct serving *serving = arg;
    const struct options *o = serving->options;
    const char *scheme = o->tls_cert[0] ? "https" : "http";
    if (!serving->cli->terminal.is_err_tty)
        return;
    fprintf(stderr, "\n%d model%s on %s://127.0.0.1:%d%s; Ctrl-C ends it\n\n", model_count,
            model_count == 1 ? "" : "s", scheme, port, needs_key ? ", with a key" : "");
}

enum err_code cli_serve(struct cli *cli, struct err *err)
{
    struct options options;
    struct serving serving = {cli, &options};
    const struct server_hooks hooks = {.on_ready = greet, .arg = &serving, .reload = reload};
    options_init(&options);
    enum err_code rc = load(cli, &options, err);
    if (rc == ERR_INVALID)
        cli->is_usage = true;
    if (!rc) {
        log_set_level((enum log_level)options.log_level);
        rc = server_run(&options, &hooks, err);
    }
    options_done(&options);
    return rc;
}
