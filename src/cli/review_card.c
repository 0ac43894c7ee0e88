/* review_card.c - one item as a person reads it, and the loop that asks for a decision on each.
 *
 * While the loop waits for a key it keeps the lease by a heartbeat a minute.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/review.h"
#include "cli/table.h"

enum { HEARTBEAT_MS = 60 * 1000, LINE_BYTES_MAX = 4096, WIDE_FIELDS = 12 };

/* ---- the card ---- */

static const char *value_text(struct cli *cli, yyjson_val *value)
{
    struct buf buf;
    if (yyjson_is_null(value))
        return "-";
    buf_init(&buf, CLI_REPLY_BYTES_MAX);
    if (yyjson_is_str(value))
        buf_str(&buf, json_str(value));
    else
        json_write(&buf, value);
    const char *copy = arena_copy(cli->arena, buf.data, buf.len);
    buf_done(&buf);
    return copy ? copy : "";
}

static void put_inputs(struct cli *cli, yyjson_val *inputs, struct buf *out)
{
    size_t i, count = yyjson_obj_size(inputs);
    bool is_wide = count > WIDE_FIELDS;
    const char *left_name = NULL, *left_value = NULL;
    yyjson_val *key, *value;
    struct table *table = table_new(cli->arena, is_wide ? "||||" : "||");
    yyjson_obj_foreach(inputs, i, count, key, value)
    {
        const char *name = yyjson_get_str(key), *text = value_text(cli, value);
        if (!is_wide) {
            table_add(table, TINT_NONE, "", name, text);
        } else if (!left_name) {
            left_name = name;
            left_value = text;
        } else {
            table_add(table, TINT_NONE, "", left_name, left_value, name, text);
            left_name = NULL;
        }
    }
    if (left_name)
        table_add(table, TINT_NONE, "", left_name, left_value, "", "");
    table_write(table, cli->terminal.has_out_color, out);
}

static void put_answer(struct cli *cli, yyjson_val *item, struct buf *out)
{
    yyjson_val *answer = yyjson_obj_get(item, "answer");
    yyjson_val *probability = yyjson_obj_get(answer, "probability");
    const char *label = cli_text(cli, answer, "label");
    if (!yyjson_is_obj(answer)) {
        buf_lit(out, "  the model's answer is hidden: decide without it\n");
        return;
    }
    buf_lit(out, "  the model says ");
    terminal_append_tinted(out, str_of(label[0] ? label : cli_text(cli, answer, "value")),
                           TINT_BOLD, cli->terminal.has_out_color);
    if (probability)
        buf_printf(out, " (%.1f %%)", 100 * yyjson_get_num(probability));
    buf_char(out, '\n');
}

static void put_choices(struct cli *cli, yyjson_val *choices, struct buf *out)
{
    size_t i, count;
    yyjson_val *choice;
    char number[STR_NUMBER_BYTES + 1];
    if (yyjson_arr_size(choices) == 0)
        buf_lit(out, "  a number is wanted\n");
    yyjson_arr_foreach(choices, i, count, choice)
    {
        snprintf(number, sizeof(number), "%zu", i + 1);
        buf_lit(out, "  ");
        terminal_append_tinted(out, str_of(number), TINT_GREEN, cli->terminal.has_out_color);
        buf_lit(out, "  ");
        terminal_append(out, json_str(choice));
        buf_char(out, '\n');
    }
}

void review_card(struct cli *cli, yyjson_val *item, struct buf *out)
{
    const char *reason = cli_text(cli, item, "reason");
    const char *title = arena_printf(cli->arena, "item %s", cli_text(cli, item, "id"));
    terminal_append_tinted(out, str_of(title), TINT_BOLD, cli->terminal.has_out_color);
    buf_printf(out, "  %s version %s, rule %s, stakes %s, due %s\n", cli_text(cli, item, "model"),
               cli_text(cli, item, "version"), cli_text(cli, item, "rule"),
               cli_text(cli, item, "stakes"), cli_time(cli, item, "due_at"));
    if (reason[0]) {
        buf_lit(out, "  ");
        terminal_append(out, str_of(reason));
        buf_char(out, '\n');
    }
    buf_char(out, '\n');
    put_inputs(cli, yyjson_obj_get(item, "inputs"), out);
    buf_char(out, '\n');
    put_answer(cli, item, out);
    put_choices(cli, yyjson_obj_get(item, "choices"), out);
}

/* ---- the loop ---- */

static const char help[] = "  1, 2, ...   decide so; the word itself does it too, and a number "
                           "where a number is wanted\n"
                           "  s REASON    leave it to others\n"
                           "  u           take your last decision back\n"
                           "  q           stop; the item goes back when the lease ends\n";

struct loop {
    struct cli *cli;
    const char *last; /* item decided before this one; NULL: none */
    char line[LINE_BYTES_MAX];
};

static void say(const char *text, const char *more)
{
    struct buf out;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    terminal_append(&out, str_of(text));
    terminal_append(&out, str_of(more));
    buf_char(&out, '\n');
    cli_print(&out);
    buf_done(&out);
}

static void heartbeat(struct cli *cli, const char *item)
{
    struct cli_reply reply;
    struct err err = {0};
    const struct cli_request request = {
        .method = "POST",
        .target = cli_target(cli, "/api/review/items/{}/heartbeat", item),
        .body = STR_LIT("{}"),
    };
    if (cli_request(cli, &request, &reply, &err))
        say("! ", err.msg);
}

/* One line without its end; false at the end of the input. */
static bool read_line(struct loop *loop, const char *item, struct str *line)
{
    size_t len = 0;
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    printf("> ");
    fflush(stdout);
    while (len < sizeof(loop->line)) {
        int ready = poll(&in, 1, HEARTBEAT_MS);
        if (ready == 0)
            heartbeat(loop->cli, item);
        if (ready <= 0) {
            if (ready < 0 && errno != EINTR)
                return false;
            continue;
        }
        ssize_t got = read(STDIN_FILENO, loop->line + len, 1);
        if (got <= 0)
            return false;
        if (loop->line[len] == '\n')
            break;
        len++;
    }
    *line = str_trim((struct str){loop->line, len});
    return true;
}

/* What a line says about the choices; NULL when it is none of them. */
static const char *chosen(struct cli *cli, yyjson_val *choices, struct str line)
{
    int64_t number;
    size_t i, count;
    yyjson_val *choice;
    if (yyjson_arr_size(choices) == 0) {
        double value;
        return str_to_f64(line, &value) ? arena_copy(cli->arena, line.ptr, line.len) : NULL;
    }
    yyjson_arr_foreach(choices, i, count,
                       choice) if (str_equal(json_str(choice), line)) return yyjson_get_str(choice);
    if (str_to_i64(line, &number) && number >= 1 && (uint64_t)number <= yyjson_arr_size(choices))
        return yyjson_get_str(yyjson_arr_get(choices, (size_t)number - 1));
    return NULL;
}

static void undo_last(struct loop *loop)
{
    struct cli_reply reply;
    struct err err = {0};
    char uuid[REVIEW_UUID_BYTES];
    if (!loop->last) {
        say("nothing was decided yet", "");
        return;
    }
    if (review_act_on(loop->cli, loop->last, "undo", review_uuid(uuid), NULL, NULL, NULL, &reply,
                      &err)) {
        say("! ", err.msg);
        return;
    }
    say("taken back: item ", loop->last);
    loop->last = NULL;
}

/* True when the item is done with. */
static bool act(struct loop *loop, const char *item, const char *verb, const char *key,
                const char *value)
{
    struct cli_reply reply;
    struct err err = {0};
    char uuid[REVIEW_UUID_BYTES];
    enum err_code rc =
        review_act_on(loop->cli, item, verb, review_uuid(uuid), key, value, NULL, &reply, &err);
    if (rc) {
        say("! ", err.msg);
        return rc == ERR_CONFLICT; /* others were faster, or it is closed */
    }
    if (strcmp(verb, "decide") == 0)
        loop->last = item;
    return true;
}

/* Ask until the item is done with; false when the reader leaves. */
static bool ask(struct loop *loop, yyjson_val *item)
{
    struct cli *cli = loop->cli;
    const char *id = cli_text(cli, item, "id");
    yyjson_val *choices = yyjson_obj_get(item, "choices");
    struct str line;
    while (read_line(loop, id, &line)) {
        const char *label = chosen(cli, choices, line);
        if (label && act(loop, id, "decide", "label", label))
            return true;
        if (label || line.len == 0)
            continue;
        if (str_equal_c(line, "q"))
            return false;
        if (str_equal_c(line, "u")) {
            undo_last(loop);
        } else if (line.ptr[0] == 's' && line.len > 2 && line.ptr[1] == ' ') {
            const char *reason = arena_copy(cli->arena, line.ptr + 2, line.len - 2);
            if (act(loop, id, "skip", "reason", reason))
                return true;
        } else {
            printf("%s", help);
        }
    }
    return false;
}

enum err_code review_loop(struct cli *cli, yyjson_val *first, struct err *err)
{
    struct loop loop = {.cli = cli};
    struct cli_reply reply;
    struct buf out;
    yyjson_val *item = first;
    enum err_code rc = ERR_OK;
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    while (item && !rc) {
        review_card(cli, item, &out);
        buf_lit(&out, "  s skip  u undo  q quit  ? help\n");
        cli_print(&out);
        if (!ask(&loop, item))
            break;
        rc = review_fetch(cli, &reply, &item, err);
    }
    if (!item && !rc)
        printf("nothing more to review\n");
    buf_done(&out);
    return rc;
}
