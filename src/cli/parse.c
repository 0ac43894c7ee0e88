/* parse.c - words of a command line into a row of the table, its arguments and its flags. */
#include "cli/parse.h"

#include <stdio.h>

#include "base/check.h"
#include "base/nearest.h"

enum { NAMES_MAX = 128, WORD_BYTES_MAX = 64 };

/* ---- the table ---- */

const struct command *command_find(const char *name)
{
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* Length of the first word, when the name has two. */
static size_t group_len(const char *name)
{
    const char *space = strchr(name, ' ');
    return space ? (size_t)(space - name) : 0;
}

bool command_is_group(const char *word)
{
    for (const struct command *c = commands; c->name; c++)
        if (group_len(c->name) == strlen(word) && memcmp(c->name, word, strlen(word)) == 0)
            return true;
    return false;
}

/* A command's own flag stands in front of a common one of the same name (predict's --json). */
static bool is_shadowed(const struct command *command, const char *name)
{
    for (const struct command_flag *f = command->flags; f && f->name; f++)
        if (strcmp(f->name, name) == 0)
            return true;
    return false;
}

const struct command_flag *command_flag_at(const struct command *command, int i)
{
    const struct command_flag *lists[] = {
        command->flags,
        command->is_local ? NULL : cli_api_flags,
        cli_common_flags,
    };
    for (size_t list = 0; list < ARRAY_LEN(lists); list++)
        for (const struct command_flag *f = lists[list]; f && f->name; f++) {
            if (list > 0 && is_shadowed(command, f->name))
                continue;
            if (i-- == 0)
                return f;
        }
    return NULL;
}

const struct command_flag *command_flag_find(const struct command *command, struct str name)
{
    const struct command_flag *flag;
    for (int i = 0; (flag = command_flag_at(command, i)); i++)
        if (str_equal_c(name, flag->name))
            return flag;
    return NULL;
}

/* ---- finding the command ---- */

static enum err_code unknown_word(const char *word, const char *group, struct err *err)
{
    static char words[NAMES_MAX][WORD_BYTES_MAX];
    const char *names[NAMES_MAX] = {0};
    size_t count = 0, group_bytes = group ? strlen(group) : 0;
    for (const struct command *c = commands; c->name && count < NAMES_MAX; c++) {
        size_t first = group_len(c->name);
        bool is_in = !group || (first == group_bytes && memcmp(c->name, group, first) == 0);
        if (!is_in || c->is_hidden)
            continue;
        const char *shown = group ? c->name + first + 1 : c->name;
        size_t length = group || !first ? strlen(shown) : first;
        snprintf(words[count], WORD_BYTES_MAX, "%.*s", (int)length, shown);
        names[count] = words[count];
        count++;
    }
    const char *space = group ? " " : "";
    group = group ? group : "";
    size_t near = nearest_name(str_of(word), names, count);
    const char *meant = near < count ? names[near] : NULL;
    err_set(err, ERR_INVALID, "'%s%s%s' is no command", group, space, word);
    if (meant)
        return err_hint(err, "did you mean: slipway %s%s%s", group, space, meant);
    return err_hint(err, "all commands: slipway %s%s--help", group, space);
}

/* "register" alone is probably "model register". */
static enum err_code unknown_command(const char *word, struct err *err)
{
    for (const struct command *c = commands; c->name; c++) {
        size_t first = group_len(c->name);
        if (first && strcmp(c->name + first + 1, word) == 0) {
            err_set(err, ERR_INVALID, "'%s' is no command", word);
            return err_hint(err, "did you mean: slipway %s", c->name);
        }
    }
    return unknown_word(word, NULL, err);
}

enum err_code parse_unknown(const char *first, const char *second, struct err *err)
{
    if (second && command_is_group(first))
        return unknown_word(second, first, err);
    return unknown_command(first, err);
}

/* ---- flags and arguments ---- */

struct line {
    struct cli *cli;
    struct parsed *parsed;
    int argc, at;
    const char *const *argv;
    const char *words[CLI_ARGS_MAX + 2]; /* that are no flags, the command's own included */
    int word_count;
    bool is_past_dashes;
};

static enum err_code usage_hint(const struct command *command, struct err *err)
{
    return err_hint(err, "usage and an example: slipway %s --help", command->name);
}

static enum err_code unknown_flag(const struct command *command, struct str name, struct err *err)
{
    const char *names[NAMES_MAX] = {0};
    const struct command_flag *flag;
    size_t count = 0;
    while (count < NAMES_MAX && (flag = command_flag_at(command, (int)count)))
        names[count++] = flag->name;
    size_t near = nearest_name(name, names, count);
    err_set(err, ERR_INVALID, "%s has no flag --%.*s", command->name, STR_ARG(name));
    return near < count ? err_hint(err, "did you mean --%s?", names[near])
                        : usage_hint(command, err);
}

static bool is_choice(const char *choices, struct str value)
{
    struct str rest = str_of(choices), word;
    while (str_split(&rest, '|', &word))
        if (str_equal(word, value))
            return true;
    return false;
}

static enum err_code check_word(const struct command *command, const char *what,
                                enum word_kind kind, const char *choices, const char *value,
                                struct err *err)
{
    int64_t number;
    if (kind == WORD_NUMBER && (!str_to_i64(str_of(value), &number) || number < 0))
        err_set(err, ERR_INVALID, "%s: expected a whole number, got '%s'", what, value);
    else if (kind == WORD_CHOICE && !is_choice(choices, str_of(value)))
        err_set(err, ERR_INVALID, "%s: expected %s, got '%s'", what, choices, value);
    else
        return ERR_OK;
    return usage_hint(command, err);
}

static enum err_code keep_flag(struct line *line, const struct command_flag *flag,
                               const char *value, struct err *err)
{
    struct cli *cli = line->cli;
    char what[WORD_BYTES_MAX];
    snprintf(what, sizeof(what), "--%s", flag->name);
    if (!flag->may_repeat && cli_has(cli, flag->name)) {
        err_set(err, ERR_INVALID, "%s is given twice", what);
        return usage_hint(cli->command, err);
    }
    if (cli->flag_count == CLI_FLAGS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d flags", CLI_FLAGS_MAX);
    enum err_code rc = check_word(cli->command, what, flag->kind, flag->choices, value, err);
    if (!rc)
        cli->flags[cli->flag_count++] = (struct given_flag){flag, value};
    return rc;
}

static enum err_code take_flag(struct line *line, const char *word, struct err *err)
{
    struct str name = str_of(word + 2);
    const struct command *command = line->cli->command;
    const char *equals = strchr(word, '=');
    if (equals)
        name.len = (size_t)(equals - name.ptr);
    const struct command_flag *flag = command_flag_find(command, name);
    if (!flag)
        return unknown_flag(command, name, err);
    if (!flag->value) {
        if (equals)
            return err_set(err, ERR_INVALID, "--%s takes no value", flag->name);
        return keep_flag(line, flag, "", err);
    }
    if (equals)
        return keep_flag(line, flag, equals + 1, err);
    if (line->at + 1 >= line->argc) {
        err_set(err, ERR_INVALID, "--%s needs a value: --%s %s", flag->name, flag->name,
                flag->value);
        return usage_hint(command, err);
    }
    return keep_flag(line, flag, line->argv[++line->at], err);
}

static bool is_flag(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* How many words a flag takes that stands in front of the command: it is a common one. */
static int leading_flag_words(const char *word)
{
    const struct command_flag *lists[] = {cli_api_flags, cli_common_flags};
    if (strncmp(word, "--", 2) != 0)
        return 1;
    for (size_t list = 0; list < ARRAY_LEN(lists); list++)
        for (const struct command_flag *f = lists[list]; f->name; f++)
            if (strcmp(f->name, word + 2) == 0)
                return f->value ? 2 : 1;
    return 1;
}

/* The first two words of the line that are no flags: *count of them, and their places in argv. */
static void find_words(const struct line *line, const char *words[2], int used[2])
{
    int count = 0;
    for (int i = 0; i < line->argc && count < 2; i++) {
        const char *word = line->argv[i];
        if (!is_flag(word)) {
            used[count] = i;
            words[count++] = word;
        } else if (count == 1) {
            return; /* the flag may have a value, so what follows is no word of the command */
        } else {
            i += leading_flag_words(word) - 1;
        }
    }
}

static enum err_code find_command(struct line *line, int used[2], struct err *err)
{
    const char *words[2] = {NULL, NULL};
    char both[2 * WORD_BYTES_MAX];
    struct cli *cli = line->cli;
    find_words(line, words, used);
    if (!words[0])
        return ERR_OK;
    snprintf(both, sizeof(both), "%.63s %.63s", words[0], words[1] ? words[1] : "");
    cli->command = command_find(both);
    if (cli->command)
        return ERR_OK;
    used[1] = -1;
    cli->command = command_find(words[0]);
    if (cli->command)
        return ERR_OK;
    if (!command_is_group(words[0]) || words[1])
        return parse_unknown(words[0], words[1], err);
    line->parsed->group = words[0];
    return ERR_OK;
}

/* What helps is said whatever else is on the line. */
static void find_wishes(const struct line *line)
{
    for (int i = 0; i < line->argc && strcmp(line->argv[i], "--") != 0; i++) {
        line->parsed->wants_help |= is_help(line->argv[i]);
        line->parsed->wants_version |= i == 0 && strcmp(line->argv[i], "--version") == 0;
    }
}

static enum err_code take_words(struct line *line, const int used[2], struct err *err)
{
    struct cli *cli = line->cli;
    for (line->at = 0; line->at < line->argc; line->at++) {
        const char *word = line->argv[line->at];
        enum err_code rc = ERR_OK;
        if (line->at == used[0] || line->at == used[1])
            continue;
        if (!line->is_past_dashes && strcmp(word, "--") == 0) {
            line->is_past_dashes = true;
        } else if (!line->is_past_dashes && strncmp(word, "--", 2) == 0) {
            rc = take_flag(line, word, err);
        } else if (!line->is_past_dashes && is_flag(word)) {
            err_set(err, ERR_INVALID, "'%s' is no flag", word);
            rc = err_hint(err, "flags begin with two dashes; a word that begins with one goes "
                               "behind --");
        } else if (cli->arg_count < CLI_ARGS_MAX) {
            cli->args[cli->arg_count++] = word;
        }
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code check_args(const struct cli *cli, struct err *err)
{
    const struct command_arg *args = cli->command->args;
    int i = 0;
    for (; args && args[i].name; i++) {
        if (i < cli->arg_count) {
            if (check_word(cli->command, args[i].name, args[i].kind, args[i].choices, cli->args[i],
                           err))
                return err->code;
        } else if (!args[i].is_optional) {
            err_set(err, ERR_INVALID, "%s needs %s: %s", cli->command->name, args[i].name,
                    args[i].help);
            return usage_hint(cli->command, err);
        }
    }
    if (cli->arg_count > i) {
        err_set(err, ERR_INVALID, "%s: '%s' is one word too many", cli->command->name,
                cli->args[i]);
        return usage_hint(cli->command, err);
    }
    return ERR_OK;
}

static enum err_code check_flags(const struct cli *cli, struct err *err)
{
    for (const struct command_flag *f = cli->command->flags; f && f->name; f++)
        if (f->is_required && !cli_has(cli, f->name)) {
            err_set(err, ERR_INVALID, "%s needs --%s %s: %s", cli->command->name, f->name, f->value,
                    f->help);
            return usage_hint(cli->command, err);
        }
    return ERR_OK;
}

enum err_code parse_line(int argc, const char *const *argv, struct cli *cli, struct parsed *parsed,
                         struct err *err)
{
    struct line line = {.cli = cli, .parsed = parsed, .argc = argc, .argv = argv};
    int used[2] = {-1, -1};
    find_wishes(&line);
    enum err_code rc = find_command(&line, used, err);
    if (rc || !cli->command || parsed->wants_help)
        return rc;
    if (cli->command->takes_options || cli->command->takes_words) {
        int last = used[1] > used[0] ? used[1] : used[0];
        cli->rest = argv + last + 1;
        cli->rest_count = argc - last - 1;
        return ERR_OK;
    }
    rc = take_words(&line, used, err);
    if (!rc)
        rc = check_args(cli, err);
    return rc ? rc : check_flags(cli, err);
}
