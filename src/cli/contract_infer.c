/* contract_infer.c - a draft contract from the rows a model was trained on. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "cli/handlers.h"
#include "contract/infer.h"
#include "contract/training_rows.h"

enum {
    DOCUMENT_BYTES_MAX = 64 * 1024 * 1024,
    NAMES_MAX = 1024, /* of one comma-separated list */
    DOCUMENT_MODE = 0644,
};

/* The flag's values, each of which may be a list with commas. */
static enum err_code get_names(struct cli *cli, const char *flag, const char *const **names,
                               int *count, struct err *err)
{
    const char *value;
    const char **list = arena_calloc(cli->arena, NAMES_MAX, sizeof(*list));
    assert(list);
    *count = 0;
    for (int i = 0; (value = cli_flag_at(cli, flag, i)); i++) {
        struct str rest = str_of(value), name;
        while (str_split(&rest, ',', &name)) {
            if (*count == NAMES_MAX)
                return err_set(err, ERR_LIMIT, "--%s: more than %d names", flag, NAMES_MAX);
            list[(*count)++] = arena_copy(cli->arena, name.ptr, name.len);
        }
    }
    *names = *count ? list : NULL;
    return ERR_OK;
}

/* "field=mm": the part in front of the sign; the rest to *value. */
static enum err_code split_pair(struct cli *cli, const char *flag, const char *pair,
                                const char **field, const char **value, struct err *err)
{
    const char *equals = strchr(pair, '=');
    if (!equals || equals == pair) {
        cli->is_usage = true;
        return err_set(err, ERR_INVALID, "--%s takes FIELD=..., not '%s'", flag, pair);
    }
    *field = arena_copy(cli->arena, pair, (size_t)(equals - pair));
    *value = equals + 1;
    return ERR_OK;
}

static enum err_code get_units(struct cli *cli, struct infer_options *options, struct err *err)
{
    const char *pair;
    struct infer_unit *units = arena_calloc(cli->arena, CLI_FLAGS_MAX, sizeof(*units));
    assert(units);
    for (int i = 0; (pair = cli_flag_at(cli, "unit", i)); i++) {
        enum err_code rc = split_pair(cli, "unit", pair, &units[i].field, &units[i].unit, err);
        if (rc)
            return rc;
        options->unit_count++;
    }
    options->units = units;
    return ERR_OK;
}

static enum err_code get_categories(struct cli *cli, struct infer_options *options, struct err *err)
{
    const char *pair, *text = "";
    struct infer_categories *all = arena_calloc(cli->arena, CLI_FLAGS_MAX, sizeof(*all));
    assert(all);
    for (int i = 0; (pair = cli_flag_at(cli, "categories", i)); i++) {
        const char **names = arena_calloc(cli->arena, NAMES_MAX, sizeof(*names));
        enum err_code rc = split_pair(cli, "categories", pair, &all[i].field, &text, err);
        struct str rest = str_of(text), name;
        if (rc)
            return rc;
        assert(names);
        while (str_split(&rest, ',', &name)) {
            if (all[i].count == NAMES_MAX)
                return err_set(err, ERR_LIMIT, "--categories: more than %d names", NAMES_MAX);
            names[all[i].count++] = arena_copy(cli->arena, name.ptr, name.len);
        }
        all[i].names = names;
        options->categories_count++;
    }
    options->categories = all;
    return ERR_OK;
}

static enum err_code get_options(struct cli *cli, struct infer_options *options, struct err *err)
{
    options->model = cli_flag(cli, "name");
    options->owner = cli_flag(cli, "owner");
    options->label = cli_flag(cli, "target");
    options->required_rows_min = cli_flag_i64(cli, "required-rows", INFER_REQUIRED_ROWS_MIN);
    enum err_code rc = get_names(cli, "classes", &options->classes, &options->class_count, err);
    if (!rc)
        rc = get_names(cli, "key", &options->keys, &options->key_count, err);
    if (!rc)
        rc = get_names(cli, "segment", &options->segments, &options->segment_count, err);
    if (!rc)
        rc = get_names(cli, "ignore", &options->ignored, &options->ignored_count, err);
    if (!rc)
        rc = get_units(cli, options, err);
    return rc ? rc : get_categories(cli, options, err);
}

/* The file is read again: only now is known how the contract reads it. A pipe cannot be. */
static enum err_code add_digests(struct cli *cli, const char *path, struct buf *yaml,
                                 struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot read %s", path);
    struct csv *csv = csv_new_fd(fd, ',');
    enum err_code rc = training_rows_add(csv, cli->arena, yaml, err);
    csv_free(csv);
    close(fd);
    return rc ? err_wrap(err, "digests of the rows of %s", path) : ERR_OK;
}

static bool is_regular(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static enum err_code infer_file(struct cli *cli, const char *path, struct buf *yaml,
                                struct infer_report *report, struct err *err)
{
    struct infer_options options = {0};
    enum err_code rc = get_options(cli, &options, err);
    if (rc)
        return rc;
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot read %s", path);
    struct csv *csv = csv_new_fd(fd, ',');
    rc = contract_infer(csv, &options, cli->arena, yaml, report, err);
    csv_free(csv);
    if (fd != STDIN_FILENO)
        close(fd);
    if (rc)
        return err_wrap(err, "%s", path);
    bool is_wanted =
        !cli_has(cli, "no-row-digests") && is_regular(path) && yaml->len <= CONTRACT_BYTES_MAX;
    return is_wanted ? add_digests(cli, path, yaml, err) : ERR_OK;
}

static void print_hints(const struct cli *cli, const struct infer_report *report, const char *out)
{
    struct buf text;
    buf_init(&text, CLI_FILE_BYTES_MAX);
    for (int i = 0; i < report->hint_count; i++) {
        const struct infer_hint *hint = &report->hints[i];
        terminal_append_tinted(&text, STR_LIT("look at"), TINT_YELLOW, cli->terminal.has_err_color);
        buf_char(&text, ' ');
        terminal_append(&text, hint->field[0] ? str_of(hint->field) : STR_LIT("the whole"));
        buf_lit(&text, ": ");
        terminal_append(&text, str_of(hint->text));
        buf_char(&text, '\n');
    }
    buf_printf(&text, "%d fields from %lld rows", report->field_count,
               (long long)report->row_count);
    if (out)
        buf_printf(&text, " -> %s", out);
    buf_lit(&text, "; it is a draft: read it before you register with it\n");
    fwrite(text.data, 1, text.len, stderr);
    buf_done(&text);
}

/* What is there is a person's work by now, so it is not written over. */
static enum err_code write_document(const char *path, const struct buf *yaml, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, DOCUMENT_MODE);
    if (fd < 0 && errno == EEXIST) {
        err_set(err, ERR_EXISTS, "%s is there already", path);
        return err_hint(err, "give --out another name, or --force to replace it");
    }
    if (fd < 0)
        return err_set_errno(err, errno, "cannot write %s", path);
    enum err_code rc = file_write_all(fd, path, yaml->data, yaml->len, err);
    if (close(fd) != 0 && !rc)
        rc = err_set_errno(err, errno, "cannot write %s", path);
    return rc;
}

static void print_infer_json(const struct infer_report *report, struct str yaml)
{
    struct buf text;
    struct json_writer w = {.out = &text};
    buf_init(&text, CLI_MEMORY_BYTES_MAX);
    json_begin_object(&w);
    json_key(&w, "rows");
    json_put_i64(&w, report->row_count);
    json_key(&w, "fields");
    json_put_i64(&w, report->field_count);
    json_key(&w, "hints");
    json_begin_array(&w);
    for (int i = 0; i < report->hint_count; i++) {
        json_begin_object(&w);
        json_key(&w, "field");
        json_put_text(&w, report->hints[i].field);
        json_key(&w, "text");
        json_put_text(&w, report->hints[i].text);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_key(&w, "contract");
    json_put_str(&w, yaml);
    json_end_object(&w);
    buf_char(&text, '\n');
    cli_print(&text);
    buf_done(&text);
}

enum err_code cli_contract_infer(struct cli *cli, struct err *err)
{
    const char *out = cli_flag(cli, "out");
    struct infer_report *report = calloc(1, sizeof(*report));
    struct buf yaml;
    if (!report)
        abort();
    buf_init(&yaml, DOCUMENT_BYTES_MAX);
    enum err_code rc = infer_file(cli, cli_arg(cli, 0), &yaml, report, err);
    if (!rc && yaml.is_full)
        rc = err_set(err, ERR_LIMIT, "the contract is larger than %d bytes", DOCUMENT_BYTES_MAX);
    if (!rc && out && cli_has(cli, "force") && unlink(out) != 0 && errno != ENOENT)
        rc = err_set_errno(err, errno, "cannot replace %s", out);
    if (!rc && out)
        rc = write_document(out, &yaml, err);
    if (!rc && cli->wants_json)
        print_infer_json(report, buf_view(&yaml));
    else if (!rc && !out)
        cli_print(&yaml);
    if (!rc && !cli->wants_json)
        print_hints(cli, report, out);
    buf_done(&yaml);
    free(report);
    return rc;
}
