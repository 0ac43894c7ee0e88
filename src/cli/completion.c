/* completion.c - completion for bash and zsh: a few lines of shell that ask the program itself.
 *
 *     slipway complete -- model sh     ->  show<TAB>One model, its aliases and versions
 *                                          :file, :folder when the shell knows better
 *
 * so the table of commands is the only place that knows words, and names of models are those that
 * the folder has now.
 */
#include "base/check.h"
#include "base/option.h"
#include "cli/handlers.h"
#include "cli/parse.h"

static const char bash_script[] =
    "# Completion of slipway for bash: source <(slipway completion bash)\n"
    "_slipway() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} word _rest\n"
    "    COMPREPLY=()\n"
    "    while IFS=$'\\t' read -r word _rest; do\n"
    "        case $word in\n"
    "        :file) compopt -o filenames; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY \\\n"
    "            < <(compgen -f -- \"$current\") ;;\n"
    "        :folder) compopt -o filenames; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY \\\n"
    "            < <(compgen -d -- \"$current\") ;;\n"
    "        *) COMPREPLY+=(\"$word\") ;;\n"
    "        esac\n"
    "    done < <(\"${COMP_WORDS[0]}\" complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _slipway slipway\n";

static const char zsh_script[] =
    "#compdef slipway\n"
    "# Completion of slipway for zsh: source <(slipway completion zsh)\n"
    "_slipway() {\n"
    "    local line\n"
    "    local -a found\n"
    "    while IFS= read -r line; do\n"
    "        case $line in\n"
    "        :file) _files ;;\n"
    "        :folder) _files -/ ;;\n"
    "        *) found+=(\"${line/$'\\t'/:}\") ;;\n"
    "        esac\n"
    "    done < <(\"${words[1]}\" complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
    "    (( $#found )) && _describe slipway found\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _slipway ]; then\n"
    "    _slipway \"$@\"\n"
    "else\n"
    "    compdef _slipway slipway\n"
    "fi\n";

enum err_code cli_completion(struct cli *cli, struct err *err)
{
    (void)err;
    fputs(strcmp(cli_arg(cli, 0), "bash") == 0 ? bash_script : zsh_script, stdout);
    return ERR_OK;
}

/* ---- what may stand at the end of a line ---- */

struct completion {
    struct cli *cli;
    struct buf *out;
    struct str typed; /* of the word at the cursor */
};

static void offer(const struct completion *c, struct str word, const char *text)
{
    if (!str_starts_with(word, c->typed))
        return;
    buf_str(c->out, word);
    buf_char(c->out, '\t');
    buf_text(c->out, text);
    buf_char(c->out, '\n');
}

static void offer_flag(const struct completion *c, const char *name, bool has_dashes,
                       const char *help)
{
    char word[64] = "--";
    size_t length = 2;
    for (; *name && length + 1 < sizeof(word); name++)
        word[length++] = has_dashes && *name == '_' ? '-' : *name;
    offer(c, (struct str){word, length}, help);
}

static void offer_flags(const struct completion *c, const struct command *command)
{
    const struct command_flag *flag;
    if (command->takes_options) {
        for (size_t i = 0; i < OPTION_COUNT; i++)
            offer_flag(c, option_table[i].name, true, option_table[i].help);
        return;
    }
    for (int i = 0; (flag = command_flag_at(command, i)); i++)
        offer_flag(c, flag->name, false, flag->help);
}

/* First words of commands, each once; or second words of one group. */
static void offer_commands(const struct completion *c, const char *group)
{
    size_t length = group ? strlen(group) : 0;
    struct str before = {0};
    for (const struct command *row = commands; row->name; row++) {
        struct str word = str_of(row->name), rest = word, first;
        str_split(&rest, ' ', &first);
        bool has_two = first.len < word.len;
        if (row->is_hidden || (group && !(has_two && str_equal_c(first, group))))
            continue;
        if (group)
            offer(c, (struct str){row->name + length + 1, word.len - length - 1}, row->summary);
        else if (!str_equal(first, before))
            offer(c, first, has_two ? "" : row->summary);
        before = first;
    }
}

/* A completion that cannot ask is silent: the person is in the middle of a word. */
static void offer_models(const struct completion *c)
{
    struct cli_reply reply;
    struct err ignored = {0};
    size_t i, count;
    yyjson_val *model;
    if (cli_get(c->cli, "/api/models", &reply, &ignored))
        return;
    yyjson_arr_foreach(yyjson_obj_get(reply.root, "models"), i, count, model)
    {
        offer(c, json_str(yyjson_obj_get(model, "name")), "");
    }
}

static void offer_choices(const struct completion *c, const char *choices)
{
    struct str rest = str_of(choices), word;
    while (str_split(&rest, '|', &word))
        offer(c, word, "");
}

static void offer_values(const struct completion *c, enum word_kind kind, const char *choices)
{
    switch (kind) {
    case WORD_FILE:
        buf_lit(c->out, ":file\n");
        break;
    case WORD_FOLDER:
        buf_lit(c->out, ":folder\n");
        break;
    case WORD_MODEL:
        offer_models(c);
        break;
    case WORD_CHOICE:
        offer_choices(c, choices);
        break;
    case WORD_COMMAND:
        offer_commands(c, NULL);
        break;
    case WORD_TEXT:
    case WORD_NUMBER:
        break;
    }
}

/* ---- where the cursor is ---- */

static const struct command_flag *flag_of(const struct command *command, const char *word)
{
    if (strncmp(word, "--", 2) != 0)
        return NULL;
    return command_flag_find(command, str_of(word + 2));
}

/* So that names of models come from the folder or server the line names. */
static void keep_way(struct cli *cli, const char *word, const char *value)
{
    for (const struct command_flag *f = cli_api_flags; f->name; f++)
        if (strcmp(word + 2, f->name) == 0 && cli->flag_count < CLI_FLAGS_MAX)
            cli->flags[cli->flag_count++] = (struct given_flag){f, value};
}

static void complete_words(const struct completion *c, const struct command *command,
                           const char *const *words, int count)
{
    int place = 0;
    for (int i = 0; i < count; i++) {
        const struct command_flag *flag = flag_of(command, words[i]);
        bool has_value = flag && flag->value;
        if (has_value && i + 1 == count) {
            offer_values(c, flag->kind, flag->choices);
            return;
        }
        if (has_value) {
            keep_way(c->cli, words[i], words[i + 1]);
            i++;
        } else if (words[i][0] != '-') {
            place++;
        }
    }
    if (str_starts_with(c->typed, STR_LIT("-"))) {
        offer_flags(c, command);
        return;
    }
    const struct command_arg *arg = command->args;
    while (arg && arg->name && place-- > 0)
        arg++;
    if (arg && arg->name)
        offer_values(c, arg->kind, arg->choices);
    else
        offer_flags(c, command);
}

static void complete_line(const struct completion *c, const char *const *words, int count)
{
    const struct command *command = NULL;
    int taken = 0;
    if (count > 0) {
        command = command_find(words[0]);
        taken = 1;
    }
    if (!command && count > 1) {
        const char *both = arena_printf(c->cli->arena, "%s %s", words[0], words[1]);
        command = both ? command_find(both) : NULL;
        taken = 2;
    }
    if (command)
        complete_words(c, command, words + taken, count - taken);
    else if (count == 0)
        offer_commands(c, NULL);
    else if (count == 1)
        offer_commands(c, words[0]);
}

enum err_code cli_complete(struct cli *cli, struct err *err)
{
    struct buf out;
    struct completion c = {.cli = cli, .out = &out, .typed = STR_LIT("")};
    const char *const *words = cli->rest;
    int count = cli->rest_count;
    (void)err;
    if (count > 0 && strcmp(words[0], "--") == 0) {
        words++;
        count--;
    }
    if (count > 0)
        c.typed = str_of(words[--count]);
    buf_init(&out, CLI_MEMORY_BYTES_MAX);
    complete_line(&c, words, count);
    cli_print(&out);
    buf_done(&out);
    return ERR_OK;
}
