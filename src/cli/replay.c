/* replay.c - slipway replay: kept requests asked again of another version, what differs, and an
 * exit status for pipelines. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/csv.h"
#include "base/file.h"
#include "cli/handlers.h"
#include "cli/progress.h"
#include "cli/table.h"

enum {
    ROWS_PRESET = 10000,
    ROWS_MAX = 10 * 1000 * 1000,
    PAGE_ROWS = 20000,
    RATE_MAX = 1000 * 1000,
    PAGES_A_SECOND = 4, /* at a rate */
    PAGE_BYTES_MAX = 512 * 1024 * 1024,
    QUERY_BYTES_MAX = 4096,
    WORST_MAX = 10,
    SEGMENTS_MAX = 64,
    FILE_MODE = 0600, /* it says what was answered to people */
};

#define CSV_HEAD                                                                                   \
    "id,at,version,status,change,difference,other_class,was_label,was_probability,was_value,"      \
    "now_label,now_probability,now_value,reason\n"

/* Members of "changes" and "skipped", as they are summed and shown. */
static const struct named {
    const char *name, *text;
} changes[] = {{"exact", "exactly the same"},
               {"within", "within the tolerance"},
               {"changed", "changed"},
               {"now_fails", "fail now"},
               {"now_answers", "answered now, failed then"},
               {"still_fails", "failed then, fail now"}},
  skips[] = {{"no_inputs", "the record does not hold what was sent"},
             {"redacted", "an input was not kept as it came (--record-redaction)"},
             {"erased", "erased"},
             {"refused", "the request was refused then (4xx): it was not read to its end"},
             {"no_answer", "then or now there is no answer to compare"}};

enum { CHANGED = 2, NOW_FAILS = 3 }; /* places in changes[] */

struct worst {
    double difference;
    const char *id, *was, *now;
};

struct segment {
    const char *name;
    uint64_t rows, changed;
};

struct replay {
    struct cli *cli;
    const char *model, *path; /* path NULL: no file */
    bool is_csv;
    int fd;
    int64_t limit, rate;
    char cursor[128];
    uint64_t done, asked, other_class, damaged;
    uint64_t change[ARRAY_LEN(changes)], skipped[ARRAY_LEN(skips)];
    double *differences; /* [difference_count] of rows that are not exact; the heap's */
    size_t difference_count, difference_capacity;
    struct worst worst[WORST_MAX]; /* the largest first */
    int worst_count;
    struct segment segments[SEGMENTS_MAX];
    int segment_count;
};

/* ---- what is asked for ---- */

static void add_query(struct cli *cli, struct buf *target, const char *name, const char *value)
{
    if (!value)
        return;
    buf_char(target, memchr(target->data, '?', target->len) ? '&' : '?');
    buf_text(target, name);
    buf_char(target, '=');
    buf_text(target, cli_target(cli, "{}", value)); /* percent-encoded */
}

static int64_t page_rows(const struct replay *r)
{
    int64_t left = r->limit - (int64_t)r->done, rows = PAGE_ROWS;
    if (r->rate && r->rate / PAGES_A_SECOND < rows)
        rows = r->rate / PAGES_A_SECOND + 1;
    return left < rows ? left : rows;
}

static const char *page_target(struct replay *r)
{
    struct cli *cli = r->cli;
    struct buf target;
    buf_init(&target, QUERY_BYTES_MAX);
    buf_text(&target,
             cli_target(cli, "/api/models/{}/versions/{}/replay", r->model, cli_flag(cli, "to")));
    add_query(cli, &target, "limit", arena_printf(cli->arena, "%lld", (long long)page_rows(r)));
    add_query(cli, &target, "from", cli_flag(cli, "from"));
    add_query(cli, &target, "since", cli_flag(cli, "since"));
    add_query(cli, &target, "until", cli_flag(cli, "until"));
    add_query(cli, &target, "tolerance", cli_flag(cli, "tolerance"));
    add_query(cli, &target, "all", r->path ? "true" : NULL);
    add_query(cli, &target, "cursor", r->cursor[0] ? r->cursor : NULL);
    const char *copy = arena_copy(cli->arena, target.data, target.len);
    bool is_full = target.is_full;
    buf_done(&target);
    return is_full ? NULL : copy;
}

/* "5" or "0.1%" of what was asked. */
static enum err_code read_allowed(struct cli *cli, double *allowed, bool *is_share, struct err *err)
{
    const char *text = cli_flag(cli, "max-changed");
    struct str number = str_of(text ? text : "0");
    *is_share = number.len > 1 && number.ptr[number.len - 1] == '%';
    number.len -= *is_share;
    if (str_to_f64(number, allowed) && *allowed >= 0 && isfinite(*allowed))
        return ERR_OK;
    return cli_usage(cli, err, "--max-changed: expected a number of rows, or a share such as 0.1%");
}

/* ---- summing pages ---- */

static uint64_t count_of(yyjson_val *object, const char *key)
{
    return yyjson_get_uint(yyjson_obj_get(object, key));
}

static void add_difference(struct replay *r, double difference)
{
    if (r->difference_count == r->difference_capacity) {
        r->difference_capacity = r->difference_capacity ? 2 * r->difference_capacity : 1024;
        r->differences = realloc(r->differences, r->difference_capacity * sizeof(*r->differences));
        if (!r->differences)
            abort();
    }
    r->differences[r->difference_count++] = difference;
}

static const char *answer_text(struct cli *cli, yyjson_val *row, const char *which)
{
    yyjson_val *answer = yyjson_obj_get(row, which);
    yyjson_val *probability = yyjson_obj_get(answer, "probability");
    const char *label = cli_text(cli, answer, "label"), *text = NULL;
    if (!answer)
        return yyjson_equals_str(yyjson_obj_get(row, "change"), "now_fails") &&
                       strcmp(which, "now") == 0
                   ? cli_text(cli, row, "reason")
                   : "";
    if (!yyjson_obj_get(answer, "label"))
        return cli_text(cli, answer, "value");
    if (probability)
        text = arena_printf(cli->arena, "%s %.4g", label, yyjson_get_num(probability));
    return text ? text : label;
}

static const char *keep_text(struct cli *cli, const char *text)
{
    const char *copy = arena_copy(cli->arena, text, strlen(text));
    return copy ? copy : "";
}

/* The largest differences, failures and other answers that are no number before all. */
static void add_worst(struct replay *r, yyjson_val *row, double difference)
{
    int at = r->worst_count < WORST_MAX ? r->worst_count : WORST_MAX - 1;
    if (r->worst_count == WORST_MAX && difference <= r->worst[at].difference)
        return;
    if (r->worst_count < WORST_MAX)
        r->worst_count++;
    for (; at > 0 && r->worst[at - 1].difference < difference; at--)
        r->worst[at] = r->worst[at - 1];
    /* The page's memory goes with it. */
    r->worst[at] = (struct worst){difference, keep_text(r->cli, cli_text(r->cli, row, "id")),
                                  keep_text(r->cli, answer_text(r->cli, row, "was")),
                                  keep_text(r->cli, answer_text(r->cli, row, "now"))};
}

static void take_row(struct replay *r, yyjson_val *row)
{
    const char *change = yyjson_get_str(yyjson_obj_get(row, "change"));
    yyjson_val *number = yyjson_obj_get(row, "difference");
    double difference = yyjson_is_num(number) ? yyjson_get_num(number) : INFINITY;
    bool is_changed = strcmp(change, "changed") == 0, fails = strcmp(change, "now_fails") == 0;
    if (is_changed || strcmp(change, "within") == 0)
        add_difference(r, difference);
    if (is_changed || fails)
        add_worst(r, row, difference);
}

static struct segment *find_segment(struct replay *r, const char *name)
{
    for (int i = 0; i < r->segment_count; i++)
        if (strcmp(r->segments[i].name, name) == 0)
            return &r->segments[i];
    if (r->segment_count == SEGMENTS_MAX)
        return NULL;
    struct segment *segment = &r->segments[r->segment_count++];
    *segment = (struct segment){.name = arena_copy(r->cli->arena, name, strlen(name))};
    return segment;
}

static void take_counts(struct replay *r, yyjson_val *root)
{
    size_t i, count;
    yyjson_val *item, *change = yyjson_obj_get(root, "changes");
    yyjson_val *skipped = yyjson_obj_get(root, "skipped");
    for (size_t k = 0; k < ARRAY_LEN(changes); k++)
        r->change[k] += count_of(change, changes[k].name);
    r->asked += count_of(root, "asked");
    r->done += count_of(root, "asked");
    r->other_class += count_of(root, "other_class");
    r->damaged += count_of(root, "damaged_segments");
    for (size_t k = 0; k < ARRAY_LEN(skips); k++) {
        r->skipped[k] += count_of(skipped, skips[k].name);
        r->done += count_of(skipped, skips[k].name);
    }
    yyjson_arr_foreach(yyjson_obj_get(root, "segments"), i, count, item)
    {
        struct segment *segment = find_segment(r, yyjson_get_str(yyjson_obj_get(item, "segment")));
        if (!segment)
            continue;
        segment->rows += count_of(item, "rows");
        segment->changed += count_of(item, "changed");
    }
}

/* ---- the file of rows ---- */

static void put_cell(struct buf *out, yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    struct json_writer w = {.out = out};
    buf_char(out, ',');
    if (yyjson_is_str(value))
        csv_write_cell(out, json_str(value));
    else if (value && !yyjson_is_null(value))
        json_put_value(&w, value);
}

static void put_csv(struct buf *out, yyjson_val *row)
{
    static const char *const keys[] = {"at",     "version",    "status",
                                       "change", "difference", "other_class"};
    static const char *const answers[] = {"label", "probability", "value"};
    csv_write_cell(out, json_str(yyjson_obj_get(row, "id")));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        put_cell(out, row, keys[i]);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++)
        put_cell(out, yyjson_obj_get(row, "was"), answers[i]);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++)
        put_cell(out, yyjson_obj_get(row, "now"), answers[i]);
    put_cell(out, row, "reason");
    buf_char(out, '\n');
}

static enum err_code write_rows(struct replay *r, yyjson_val *rows, struct err *err)
{
    struct buf out;
    struct json_writer w = {.out = &out};
    size_t i, count;
    yyjson_val *row;
    buf_init(&out, PAGE_BYTES_MAX);
    if (r->is_csv && !r->cursor[0])
        buf_lit(&out, CSV_HEAD);
    yyjson_arr_foreach(rows, i, count, row)
    {
        if (r->is_csv) {
            put_csv(&out, row);
            continue;
        }
        w = (struct json_writer){.out = &out};
        json_put_value(&w, row);
        buf_char(&out, '\n');
    }
    enum err_code rc = out.is_full ? err_set(err, ERR_LIMIT, "a page of rows is too large")
                                   : file_write_all(r->fd, r->path, out.data, out.len, err);
    buf_done(&out);
    return rc;
}

/* ---- pages ---- */

static enum err_code take_page(struct replay *r, struct arena *arena, struct err *err)
{
    struct cli_reply reply;
    size_t i, count;
    yyjson_val *row;
    const char *target = page_target(r);
    if (!target)
        return cli_usage(r->cli, err, "--since, --until or --from is too long");
    const struct cli_request request = {.method = "POST", .target = target, .arena = arena};
    enum err_code rc = cli_request(r->cli, &request, &reply, err);
    if (rc)
        return rc;
    yyjson_val *rows = yyjson_obj_get(reply.root, "rows");
    yyjson_arr_foreach(rows, i, count, row) take_row(r, row);
    take_counts(r, reply.root);
    if (r->path)
        rc = write_rows(r, rows, err);
    snprintf(r->cursor, sizeof(r->cursor), "%.*s", STR_ARG(reply.next_cursor));
    return rc;
}

/* As many rows as the rate allows by now. */
static void keep_rate(const struct replay *r, int64_t start_us)
{
    if (!r->rate)
        return;
    int64_t due_us = start_us + (int64_t)((double)r->done / (double)r->rate * 1e6);
    int64_t wait_us = due_us - clock_monotonic_us();
    if (wait_us > 0)
        nanosleep(&(struct timespec){wait_us / 1000000, wait_us % 1000000 * 1000}, NULL);
}

static enum err_code take_pages(struct replay *r, struct err *err)
{
    struct progress progress;
    int64_t start_us = clock_monotonic_us();
    enum err_code rc;
    progress_begin(&progress, &r->cli->terminal, "asking", "rows", (uint64_t)r->limit);
    do {
        struct arena *arena = arena_new(PAGE_BYTES_MAX);
        rc = take_page(r, arena, err);
        arena_free(arena);
        progress_update(&progress, r->done, (uint64_t)r->limit);
        if (!rc && r->cursor[0])
            keep_rate(r, start_us);
    } while (!rc && r->cursor[0] && r->done < (uint64_t)r->limit);
    progress_end(&progress);
    return rc;
}

static enum err_code replay_to_file(struct replay *r, struct err *err)
{
    r->fd = open(r->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    if (r->fd < 0)
        return err_set_errno(err, errno, "%s", r->path);
    enum err_code rc = take_pages(r, err);
    if (close(r->fd) && !rc)
        rc = err_set_errno(err, errno, "%s", r->path);
    if (rc)
        unlink(r->path); /* half of it would look like all of it */
    return rc;
}

/* ---- the report ---- */

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of all rows with two answers; exact ones have none of their own in the list. */
static double quantile(const struct replay *r, double share)
{
    uint64_t count = r->change[0] + r->difference_count;
    uint64_t rank = count ? (uint64_t)ceil(share * (double)count) : 0;
    if (rank <= r->change[0])
        return 0;
    return r->differences[rank - 1 - r->change[0]];
}

static uint64_t worse_rows(const struct replay *r)
{
    return r->change[CHANGED] + r->change[NOW_FAILS];
}

static void print_counts(const struct replay *r, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        if (!r->change[i] && i != 0 && i != CHANGED)
            continue;
        buf_printf(out, "  %-9llu %s", (unsigned long long)r->change[i], changes[i].text);
        if (i == CHANGED && r->other_class)
            buf_printf(out, ", %llu to another class", (unsigned long long)r->other_class);
        buf_char(out, '\n');
    }
    for (size_t i = 0; i < ARRAY_LEN(skips); i++)
        if (r->skipped[i])
            buf_printf(out, "  %-9llu not asked: %s\n", (unsigned long long)r->skipped[i],
                       skips[i].text);
    if (r->damaged)
        buf_printf(out, "  damaged segments were not read to their end: see slipway doctor\n");
}

static void print_segments(struct replay *r, struct buf *out)
{
    if (r->segment_count == 0 || worse_rows(r) == 0)
        return;
    struct table *table = table_new(r->cli->arena, "SEGMENT|ROWS>|CHANGED>");
    for (int i = 0; i < r->segment_count; i++) {
        const struct segment *segment = &r->segments[i];
        table_add(table, TINT_NONE, segment->name,
                  arena_printf(r->cli->arena, "%llu", (unsigned long long)segment->rows),
                  arena_printf(r->cli->arena, "%llu", (unsigned long long)segment->changed));
    }
    buf_char(out, '\n');
    table_write(table, r->cli->terminal.has_out_color, out);
}

static void print_worst(struct replay *r, struct buf *out)
{
    if (r->worst_count == 0)
        return;
    struct table *table = table_new(r->cli->arena, "PREDICTION|DIFFERENCE>|WAS|NOW");
    for (int i = 0; i < r->worst_count; i++) {
        const struct worst *worst = &r->worst[i];
        const char *difference = isfinite(worst->difference)
                                     ? arena_printf(r->cli->arena, "%.4g", worst->difference)
                                     : "-";
        table_add(table, TINT_NONE, worst->id, difference, worst->was, worst->now);
    }
    buf_char(out, '\n');
    table_write(table, r->cli->terminal.has_out_color, out);
}

static void print_report(struct replay *r, struct buf *out)
{
    buf_printf(out, "%s: %llu kept rows asked of version %s\n", r->model,
               (unsigned long long)r->asked, cli_flag(r->cli, "to"));
    print_counts(r, out);
    if (r->difference_count)
        buf_printf(out, "differences: %.4g at the median, %.4g at p90, %.4g at p99, %.4g at most\n",
                   quantile(r, 0.5), quantile(r, 0.9), quantile(r, 0.99), quantile(r, 1));
    print_segments(r, out);
    print_worst(r, out);
    if (r->path)
        buf_printf(out, "%s has each row\n", r->path);
}

static void put_number(struct json_writer *w, const char *key, double number)
{
    json_key(w, key);
    if (isfinite(number))
        json_put_f64(w, number);
    else
        json_put_null(w);
}

static void write_report(const struct replay *r, struct json_writer *w, bool is_same)
{
    json_begin_object(w);
    json_member_text(w, "model", r->model);
    json_member_text(w, "to", cli_flag(r->cli, "to"));
    json_member_bool(w, "same", is_same);
    json_member_u64(w, "asked", r->asked);
    json_key(w, "changes");
    json_begin_object(w);
    for (size_t i = 0; i < ARRAY_LEN(changes); i++)
        json_member_u64(w, changes[i].name, r->change[i]);
    json_end_object(w);
    json_member_u64(w, "other_class", r->other_class);
    json_key(w, "skipped");
    json_begin_object(w);
    for (size_t i = 0; i < ARRAY_LEN(skips); i++)
        json_member_u64(w, skips[i].name, r->skipped[i]);
    json_end_object(w);
    json_key(w, "differences");
    json_begin_object(w);
    put_number(w, "p50", quantile(r, 0.5));
    put_number(w, "p90", quantile(r, 0.9));
    put_number(w, "p99", quantile(r, 0.99));
    put_number(w, "max", quantile(r, 1));
    json_end_object(w);
    json_key(w, "segments");
    json_begin_array(w);
    for (int i = 0; i < r->segment_count; i++) {
        json_begin_object(w);
        json_member_text(w, "segment", r->segments[i].name);
        json_member_u64(w, "rows", r->segments[i].rows);
        json_member_u64(w, "changed", r->segments[i].changed);
        json_end_object(w);
    }
    json_end_array(w);
    json_key(w, "worst");
    json_begin_array(w);
    for (int i = 0; i < r->worst_count; i++) {
        json_begin_object(w);
        json_member_text(w, "id", r->worst[i].id);
        put_number(w, "difference", r->worst[i].difference);
        json_member_text(w, "was", r->worst[i].was);
        json_member_text(w, "now", r->worst[i].now);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
    buf_char(w->out, '\n');
}

static void print_result(struct replay *r, bool is_same)
{
    struct buf out;
    struct json_writer w = {.out = &out};
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    if (r->difference_count)
        qsort(r->differences, r->difference_count, sizeof(*r->differences), compare_numbers);
    if (r->cli->wants_json)
        write_report(r, &w, is_same);
    else
        print_report(r, &out);
    cli_print(&out);
    buf_done(&out);
}

enum err_code cli_replay(struct cli *cli, struct err *err)
{
    struct replay r = {.cli = cli, .model = cli_arg(cli, 0), .path = cli_flag(cli, "out")};
    double allowed = 0;
    bool is_share = false;
    r.limit = cli_flag_i64(cli, "limit", ROWS_PRESET);
    r.rate = cli_flag_i64(cli, "rate", 0);
    r.is_csv = r.path && str_ends_with(str_of(r.path), STR_LIT(".csv"));
    if (r.limit < 1 || r.limit > ROWS_MAX || r.rate > RATE_MAX)
        return cli_usage(cli, err, "--limit: expected 1 to 10000000 rows; --rate: at most 1000000");
    enum err_code rc = read_allowed(cli, &allowed, &is_share, err);
    if (!rc)
        rc = r.path ? replay_to_file(&r, err) : take_pages(&r, err);
    if (!rc) {
        double most = is_share ? allowed / 100 * (double)r.asked : allowed;
        cli->is_no = (double)worse_rows(&r) > most;
        cli->is_unknown = r.asked == 0; /* nothing was compared */
        print_result(&r, !cli->is_no && r.asked);
    }
    free(r.differences);
    return rc;
}
