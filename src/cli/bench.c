/* bench.c - load on a model of a running server: latency, throughput, two versions side by side. */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "cli/bench_rows.h"
#include "cli/handlers.h"
#include "cli/table.h"
#include "net/load.h"

enum {
    REQUEST_HEAD_BYTES = 2048,
    OUT_BYTES_MAX = 1 << 20,
    CONNECTIONS = 16,
    SEED = 1,
    SECOND_MS = 1000,
};

static const double quantiles[] = {0.5, 0.9, 0.99, 0.999};
static const char *const quantile_names[] = {"p50", "p90", "p99", "p99.9"};

struct bench {
    struct cli *cli;
    const char *model;
    const char *versions[2]; /* [group_count]; NULL: whatever the model's own name gives */
    enum bench_protocol protocol;
    int64_t rows;
    const char *key;
    struct str host;
    struct load_config config;
};

/* ---- where to ---- */

/* Bytes of "http://" or "https://"; 0 when it begins with neither. */
static size_t scheme_bytes(const char *url)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
            return strlen(schemes[i]);
    return 0;
}

/* "http://host:8080/..." -> host and port. */
static enum err_code read_url(struct bench *bench, const char *url, struct err *err)
{
    size_t scheme = scheme_bytes(url);
    if (!scheme) {
        err_set(err, ERR_INVALID, "'%s' is not a server's URL", url);
        return err_hint(err, "write http://host:port or https://host:port");
    }
    bench->config.is_tls = scheme == strlen("https://");
    bench->config.tls = cli_tls(bench->cli);
    int64_t port = bench->config.is_tls ? 443 : 80;
    struct str rest = {url + scheme, strcspn(url + scheme, "/")};
    const char *colon = rest.len ? memrchr(rest.ptr, ':', rest.len) : NULL;
    bench->host = rest;
    if (colon && (rest.ptr[0] != '[' || colon[-1] == ']')) {
        struct str digits = {colon + 1, rest.len - (size_t)(colon + 1 - rest.ptr)};
        if (!str_to_i64(digits, &port) || port < 1 || port > 65535)
            return err_set(err, ERR_INVALID, "'%s' has no port from 1 to 65535", url);
        bench->host.len = (size_t)(colon - rest.ptr);
    }
    bench->config.host = bench->host;
    bench->config.port = (int)port;
    return ERR_OK;
}

static enum err_code find_folder_server(struct bench *bench, struct err *err)
{
    struct cli_reply reply;
    enum err_code rc = cli_get(bench->cli, "/api/status", &reply, err);
    if (rc)
        return rc;
    yyjson_val *port = yyjson_obj_get(reply.root, "port");
    if (!yyjson_is_int(port)) {
        err_set(err, ERR_UNAVAILABLE, "nobody serves %s", cli_server_name(bench->cli));
        return err_hint(err, "start it with: slipway serve, or give --server URL");
    }
    if (yyjson_get_bool(yyjson_obj_get(reply.root, "is_tls"))) {
        bench->cli->is_usage = true;
        err_set(err, ERR_INVALID, "%s is served over TLS, by a name that its certificate has",
                cli_server_name(bench->cli));
        return err_hint(err, "give --server https://NAME:%d and --ca FILE",
                        (int)yyjson_get_int(port));
    }
    bench->config.host = STR_LIT("127.0.0.1");
    bench->config.port = (int)yyjson_get_int(port);
    return ERR_OK;
}

/* "http://host:8080/predict/churn" is the model churn of that server. */
static const char *split_url(struct bench *bench, const char *arg)
{
    struct cli *cli = bench->cli;
    const char *slash = strrchr(arg, '/');
    size_t scheme = scheme_bytes(arg), base = scheme + strcspn(arg + scheme, "/");
    assert(cli->flag_count < CLI_FLAGS_MAX);
    for (const struct command_flag *flag = cli_api_flags; flag->name; flag++)
        if (strcmp(flag->name, "server") == 0)
            cli->flags[cli->flag_count++] =
                (struct given_flag){flag, arena_copy(cli->arena, arg, base)};
    return slash >= arg + scheme ? slash + 1 : "";
}

static enum err_code find_server(struct bench *bench, struct err *err)
{
    const char *url = cli_flag(bench->cli, "server");
    if (!url)
        url = getenv("SLIPWAY_SERVER");
    return url ? read_url(bench, url, err) : find_folder_server(bench, err);
}

/* ---- the requests ---- */

static const char *path_of(const struct bench *bench, const char *version)
{
    struct cli *cli = bench->cli;
    bool is_rows = bench->protocol == BENCH_ROWS;
    if (!version)
        return cli_target(cli, is_rows ? "/predict/{}" : "/v2/models/{}/infer", bench->model);
    return cli_target(cli, is_rows ? "/predict/{}/versions/{}" : "/v2/models/{}/versions/{}/infer",
                      bench->model, version);
}

static enum err_code write_request(struct bench *bench, const char *path,
                                   const struct bench_body *body, struct str *request,
                                   struct err *err)
{
    struct buf text;
    buf_init(&text, body->bytes.len + REQUEST_HEAD_BYTES);
    buf_printf(&text, "POST %s HTTP/1.1\r\nHost: %.*s:%d\r\nContent-Type: %s\r\n", path,
               STR_ARG(bench->config.host), bench->config.port,
               body->json_bytes ? "application/octet-stream" : "application/json");
    if (bench->key)
        buf_printf(&text, "Authorization: Bearer %s\r\n", bench->key);
    if (body->json_bytes)
        buf_printf(&text, "Inference-Header-Content-Length: %zu\r\n", body->json_bytes);
    buf_printf(&text, "Content-Length: %zu\r\n\r\n", body->bytes.len);
    buf_str(&text, body->bytes);
    const char *copy = text.is_full ? NULL : arena_copy(bench->cli->arena, text.data, text.len);
    *request = (struct str){copy, text.len};
    buf_done(&text);
    return copy ? ERR_OK : err_set(err, ERR_LIMIT, "no room for the requests");
}

/* Each version gets the same rows, so that only the version differs; drawn from the first one's
 * contract. */
static enum err_code make_requests(struct bench *bench, struct err *err)
{
    struct bench_rows rows = {
        .cli = bench->cli,
        .model = bench->model,
        .version = bench->versions[0] ? bench->versions[0] : "champion",
        .protocol = bench->protocol,
        .rows = bench->rows,
    };
    rand_seed(&rows.rand, (uint64_t)cli_flag_i64(bench->cli, "seed", SEED));
    enum err_code rc = bench_rows_make(&rows, err);
    if (rc)
        return rc;
    size_t count = (size_t)bench->config.group_count * (size_t)rows.body_count;
    struct str *requests = arena_calloc(bench->cli->arena, count, sizeof(*requests));
    assert(requests);
    for (int group = 0; group < bench->config.group_count; group++) {
        const char *path = path_of(bench, bench->versions[group]);
        for (int i = 0; !rc && i < rows.body_count; i++)
            rc = write_request(bench, path, &rows.bodies[i], &requests[group * rows.body_count + i],
                               err);
    }
    bench->config.requests = requests;
    bench->config.request_count = rows.body_count;
    return rc;
}

/* ---- the command line ---- */

static enum err_code read_span(struct bench *bench, const char *flag, int64_t preset_ms,
                               int64_t max_ms, int64_t *ms, struct err *err)
{
    const char *text = cli_flag(bench->cli, flag);
    int64_t us = preset_ms * 1000;
    if (text && !str_to_span_us(str_of(text), &us))
        us = -1;
    *ms = us / 1000;
    if (us < 0 || *ms > max_ms) {
        err_set(err, ERR_INVALID, "--%s takes a time up to %lld s such as 500ms or 30s, not '%s'",
                flag, (long long)max_ms / SECOND_MS, text);
        bench->cli->is_usage = true;
        return ERR_INVALID;
    }
    return ERR_OK;
}

static enum err_code read_number(struct bench *bench, const char *flag, int64_t preset, int64_t max,
                                 int64_t *value, struct err *err)
{
    *value = cli_flag_i64(bench->cli, flag, preset);
    if (*value >= 1 && *value <= max)
        return ERR_OK;
    bench->cli->is_usage = true;
    return err_set(err, ERR_INVALID, "--%s takes a number from 1 to %lld, not %lld", flag,
                   (long long)max, (long long)*value);
}

static enum err_code read_load(struct bench *bench, struct err *err)
{
    struct load_config *config = &bench->config;
    const int64_t longest = (int64_t)LOAD_SECONDS_MAX * SECOND_MS;
    int64_t connections, rate = 0;
    enum err_code rc =
        read_span(bench, "duration", 10L * SECOND_MS, longest, &config->duration_ms, err);
    if (!rc)
        rc = read_span(bench, "warmup", SECOND_MS, longest, &config->warmup_ms, err);
    if (!rc)
        rc = read_span(bench, "timeout", 5L * SECOND_MS, longest, &config->answer_timeout_ms, err);
    if (!rc)
        rc =
            read_number(bench, "connections", CONNECTIONS, LOAD_CONNECTIONS_MAX, &connections, err);
    if (!rc)
        rc = read_number(bench, "rows", 1, BENCH_ROWS_MAX, &bench->rows, err);
    if (!rc && cli_has(bench->cli, "rate"))
        rc = read_number(bench, "rate", 1, LOAD_RATE_MAX, &rate, err);
    if (!rc && (config->duration_ms < 1 || config->answer_timeout_ms < 1))
        rc = cli_usage(bench->cli, err, "--duration and --timeout are at least 1ms");
    config->connections = rc ? 0 : (int)connections;
    config->rate = (double)rate;
    return rc;
}

static enum err_code read_command(struct bench *bench, struct err *err)
{
    static const char *const names[] = {"rows", "oip", "binary"};
    struct cli *cli = bench->cli;
    const char *arg = cli_arg(cli, 0), *protocol = cli_flag(cli, "protocol");
    if (scheme_bytes(arg))
        arg = split_url(bench, arg);
    struct model_ref ref = cli_model_ref(cli, arg);
    bench->model = ref.model;
    bench->versions[0] = ref.version;
    bench->versions[1] = cli_flag(cli, "against");
    bench->config.group_count = bench->versions[1] ? 2 : 1;
    for (size_t i = 0; protocol && i < ARRAY_LEN(names); i++)
        if (strcmp(protocol, names[i]) == 0)
            bench->protocol = (enum bench_protocol)i;
    if (!str_is_name(str_of(bench->model)))
        return cli_usage(cli, err,
                         "name a model: churn, churn:2 or http://host:8080/predict/churn");
    return read_load(bench, err);
}

/* ---- the report ---- */

static const char *version_name(const struct bench *bench, int group)
{
    return bench->versions[group] ? bench->versions[group] : "champion";
}

static int64_t failed(const struct load_group *group)
{
    return group->not_2xx + group->broken + group->timed_out;
}

/* 92 us, 1.20 ms, 3.1 s: three digits are known of a latency. */
static const char *span_text(struct cli *cli, double us)
{
    double size = fabs(us);
    if (isnan(us))
        return "-";
    if (size < 1e3)
        return arena_printf(cli->arena, "%.3g us", us);
    if (size < 1e6)
        return arena_printf(cli->arena, "%.3g ms", us / 1e3);
    return arena_printf(cli->arena, "%.3g s", us / 1e6);
}

static void print_head(const struct bench *bench, const struct load_result *result)
{
    struct cli *cli = bench->cli;
    printf("%s at %.*s:%d, %lld row%s a request, %d connections, %s, %.3g s\n", bench->model,
           STR_ARG(bench->config.host), bench->config.port, (long long)bench->rows,
           bench->rows == 1 ? "" : "s", bench->config.connections,
           bench->config.rate > 0
               ? arena_printf(cli->arena, "%.0f requests a second", bench->config.rate)
               : "as fast as it answers",
           result->seconds);
}

static void print_table(const struct bench *bench, const struct load_result *result)
{
    struct cli *cli = bench->cli;
    struct buf out;
    struct table *table =
        table_new(cli->arena, "VERSION|ANSWERED>|FAILED>|A SECOND>|P50>|P90>|P99>|P99.9>|MAX>");
    for (int i = 0; i < bench->config.group_count; i++) {
        const struct load_group *group = &result->groups[i];
        const char *cells[ARRAY_LEN(quantiles)];
        for (size_t q = 0; q < ARRAY_LEN(quantiles); q++)
            cells[q] = span_text(cli, load_quantile_us(group, quantiles[q]));
        table_add(table, failed(group) ? TINT_RED : TINT_NONE, version_name(bench, i),
                  arena_printf(cli->arena, "%lld", (long long)group->sample_count),
                  arena_printf(cli->arena, "%lld", (long long)failed(group)),
                  arena_printf(cli->arena, "%.0f", (double)group->sample_count / result->seconds),
                  cells[0], cells[1], cells[2], cells[3],
                  span_text(cli, load_quantile_us(group, 1)));
    }
    buf_init(&out, OUT_BYTES_MAX);
    table_write(table, cli->terminal.has_out_color, &out);
    cli_print(&out);
    buf_done(&out);
}

static void print_comparison(const struct bench *bench, const struct load_result *result)
{
    struct cli *cli = bench->cli;
    printf("%s less %s:", version_name(bench, 1), version_name(bench, 0));
    for (size_t q = 0; q < 3; q++) {
        struct load_difference d =
            load_compare(&result->groups[0], &result->groups[1], quantiles[q]);
        printf("%s %s %s +- %s", q ? "," : "", quantile_names[q], span_text(cli, d.value),
               span_text(cli, d.half_width));
    }
    printf(" (95 %%)\n");
}

static void print_failures(const struct bench *bench, const struct load_result *result)
{
    for (int i = 0; i < bench->config.group_count; i++) {
        const struct load_group *group = &result->groups[i];
        if (failed(group))
            printf("%s: %lld other than 2xx, %lld connections broken, %lld not answered in time\n",
                   version_name(bench, i), (long long)group->not_2xx, (long long)group->broken,
                   (long long)group->timed_out);
        if (group->not_2xx) {
            struct buf text;
            buf_init(&text, 2 * LOAD_EXAMPLE_BYTES);
            terminal_append(&text, str_of(group->example));
            printf("  the first one: %d %s\n", group->status, buf_c(&text));
            buf_done(&text);
        }
    }
}

static void print_text(const struct bench *bench, const struct load_result *result)
{
    print_head(bench, result);
    print_table(bench, result);
    if (bench->config.group_count == 2)
        print_comparison(bench, result);
    print_failures(bench, result);
    printf(
        bench->config.rate > 0
            ? "A latency counts from the moment the request fell due.\n"
            : "Latencies are those of a server at its limit; --rate gives those of your load.\n");
}

static void write_group(const struct bench *bench, const struct load_result *result, int index,
                        struct json_writer *w)
{
    const struct load_group *group = &result->groups[index];
    json_begin_object(w);
    json_member_text(w, "version", version_name(bench, index));
    json_member_i64(w, "sent", group->sent);
    json_member_i64(w, "answered", group->sample_count);
    json_member_i64(w, "failed", failed(group));
    json_member_i64(w, "not_2xx", group->not_2xx);
    json_member_i64(w, "broken", group->broken);
    json_member_i64(w, "timed_out", group->timed_out);
    json_key(w, "per_second");
    json_put_f64(w, (double)group->sample_count / result->seconds);
    for (size_t q = 0; q < ARRAY_LEN(quantiles); q++) {
        json_key(w, (const char *const[]){"p50_us", "p90_us", "p99_us", "p999_us"}[q]);
        json_put_f64(w, load_quantile_us(group, quantiles[q]));
    }
    json_key(w, "max_us");
    json_put_f64(w, load_quantile_us(group, 1));
    json_end_object(w);
}

static void write_comparison(const struct load_result *result, struct json_writer *w)
{
    json_key(w, "differences");
    json_begin_object(w);
    for (size_t q = 0; q < 3; q++) {
        struct load_difference d =
            load_compare(&result->groups[0], &result->groups[1], quantiles[q]);
        json_key(w, (const char *const[]){"p50_us", "p90_us", "p99_us"}[q]);
        json_begin_object(w);
        json_key(w, "value");
        json_put_f64(w, d.value);
        json_key(w, "low");
        json_put_f64(w, d.value - d.half_width);
        json_key(w, "high");
        json_put_f64(w, d.value + d.half_width);
        json_end_object(w);
    }
    json_end_object(w);
}

static void print_json(const struct bench *bench, const struct load_result *result)
{
    struct buf out;
    buf_init(&out, OUT_BYTES_MAX);
    struct json_writer w = {.out = &out};
    json_begin_object(&w);
    json_member_text(&w, "model", bench->model);
    json_member_i64(&w, "connections", bench->config.connections);
    json_key(&w, "rate");
    json_put_f64(&w, bench->config.rate > 0 ? bench->config.rate : NAN);
    json_member_i64(&w, "rows", bench->rows);
    json_key(&w, "seconds");
    json_put_f64(&w, result->seconds);
    json_key(&w, "versions");
    json_begin_array(&w);
    for (int i = 0; i < bench->config.group_count; i++)
        write_group(bench, result, i, &w);
    json_end_array(&w);
    if (bench->config.group_count == 2)
        write_comparison(result, &w);
    json_end_object(&w);
    cli_print_json(buf_view(&out));
    buf_done(&out);
}

/* Exit status 1 when something failed, or when p99 is above --max-p99. */
static enum err_code judge(struct bench *bench, const struct load_result *result, struct err *err)
{
    int64_t max_ms = 0;
    enum err_code rc =
        read_span(bench, "max-p99", 0, (int64_t)LOAD_SECONDS_MAX * SECOND_MS, &max_ms, err);
    for (int i = 0; !rc && i < bench->config.group_count; i++) {
        double p99_us = load_quantile_us(&result->groups[i], 0.99);
        bool is_slow = max_ms > 0 && !(p99_us <= (double)max_ms * 1e3);
        bench->cli->is_no = bench->cli->is_no || failed(&result->groups[i]) || is_slow;
    }
    return rc;
}

enum err_code cli_bench(struct cli *cli, struct err *err)
{
    struct bench bench = {.cli = cli};
    struct load_result result;
    enum err_code rc = read_command(&bench, err);
    if (!rc)
        rc = find_server(&bench, err);
    if (!rc)
        rc = cli_key(cli, &bench.key, err);
    if (!rc)
        rc = make_requests(&bench, err);
    if (!rc)
        rc = load_run(&bench.config, &result, err);
    if (rc)
        return rc;
    for (int i = 0; i < bench.config.group_count; i++)
        load_sort(&result.groups[i]);
    if (cli->wants_json)
        print_json(&bench, &result);
    else
        print_text(&bench, &result);
    rc = judge(&bench, &result, err);
    load_result_done(&result);
    return rc;
}
