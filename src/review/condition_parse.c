/* condition_parse.c - the text of a condition -> tests in postfix order. The grammar is in
 * condition.h; one function reads each of its lines.
 */
#include "base/check.h"
#include "monitor/ood.h"
#include "review/condition_node.h"

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_NAME, TOKEN_TEXT, TOKEN_NUMBER, TOKEN_SIGN };

struct token {
    enum token_kind kind;
    struct str text; /* without the quotes of a name or text */
    double number;
    size_t at; /* of its first character */
};

struct parser {
    struct str text;
    size_t next; /* behind the token */
    struct token token;
    int depth;
    struct arena *arena;
    struct condition *condition;
    struct err *err;
};

static const char *const grammar_words[] = {
    "and",  "or",    "not",   "between", "in",         "is",      "missing",
    "true", "false", "score", "answer",  "violations", "suspect", "disagrees_with_shadow",
    "ood",  NULL};

/* ---- tokens ---- */

static bool is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char char_at(const struct parser *p, size_t at)
{
    return at < p->text.len ? p->text.ptr[at] : '\0';
}

static enum err_code fail_at(struct parser *p, size_t at, const char *what)
{
    return err_set(p->err, ERR_INVALID, "character %zu: %s", at + 1, what);
}

static const char *token_shown(const struct parser *p)
{
    if (p->token.kind == TOKEN_END)
        return "the end";
    int shown = p->next - p->token.at > 40 ? 40 : (int)(p->next - p->token.at);
    const char *copy = arena_printf(p->arena, "'%.*s'", shown, p->text.ptr + p->token.at);
    return copy ? copy : "more";
}

static enum err_code expected(struct parser *p, const char *what)
{
    return err_set(p->err, ERR_INVALID, "character %zu: expected %s, got %s", p->token.at + 1, what,
                   token_shown(p));
}

static enum err_code take_quoted(struct parser *p, char quote)
{
    const char *start = p->text.ptr + p->next + 1;
    const char *end = memchr(start, quote, p->text.len - p->next - 1);
    if (!end)
        return fail_at(p, p->next, "this quote never closes");
    p->token.kind = quote == '`' ? TOKEN_NAME : TOKEN_TEXT;
    p->token.text = (struct str){start, (size_t)(end - start)};
    p->next += p->token.text.len + 2;
    if (quote == '`' && p->token.text.len == 0)
        return fail_at(p, p->token.at, "the name between the backquotes is empty");
    return ERR_OK;
}

static size_t number_end(const struct parser *p)
{
    size_t at = p->next;
    if (char_at(p, at) == '-' || char_at(p, at) == '+')
        at++;
    while (is_digit(char_at(p, at)) || char_at(p, at) == '.')
        at++;
    if (char_at(p, at) != 'e' && char_at(p, at) != 'E')
        return at;
    size_t exponent = at + 1;
    if (char_at(p, exponent) == '-' || char_at(p, exponent) == '+')
        exponent++;
    while (is_digit(char_at(p, exponent)))
        at = ++exponent;
    return at;
}

static enum err_code take_number(struct parser *p)
{
    size_t end = number_end(p);
    struct str digits = {p->text.ptr + p->next, end - p->next};
    p->token.kind = TOKEN_NUMBER;
    if (!str_to_f64(digits, &p->token.number) ||
        !((float)p->token.number - (float)p->token.number == 0))
        return fail_at(p, p->token.at, "this is not a number that a float32 can hold");
    if (char_at(p, end) == '%') {
        p->token.number /= 100;
        end++;
    }
    p->token.text = digits;
    p->next = end;
    if (is_word_start(char_at(p, end)))
        return fail_at(p, p->token.at, "letters follow this number");
    return ERR_OK;
}

static enum err_code take_sign(struct parser *p)
{
    char c = char_at(p, p->next);
    bool may_be_two = c == '<' || c == '>' || c == '=' || c == '!';
    size_t len = may_be_two && char_at(p, p->next + 1) == '=' ? 2 : 1;
    if (!c || !strchr("<>=!(),", c) || (c == '!' && len == 1))
        return fail_at(p, p->next, "this character has no meaning here");
    p->token.kind = TOKEN_SIGN;
    p->token.text = (struct str){p->text.ptr + p->next, len};
    p->next += len;
    return ERR_OK;
}

static enum err_code advance(struct parser *p)
{
    while (p->next < p->text.len && strchr(" \t\r\n", p->text.ptr[p->next]) && p->text.ptr[p->next])
        p->next++;
    p->token = (struct token){.at = p->next};
    if (p->next == p->text.len)
        return ERR_OK;
    char c = p->text.ptr[p->next];
    if (c == '\'' || c == '"' || c == '`')
        return take_quoted(p, c);
    if (is_digit(c) || c == '.' || c == '-' || c == '+')
        return take_number(p);
    if (!is_word_start(c))
        return take_sign(p);
    size_t end = p->next;
    while (is_word_start(char_at(p, end)) || is_digit(char_at(p, end)) || char_at(p, end) == '.')
        end++;
    p->token.kind = TOKEN_WORD;
    p->token.text = (struct str){p->text.ptr + p->next, end - p->next};
    p->next = end;
    return ERR_OK;
}

static bool is_word(const struct parser *p, const char *word)
{
    return p->token.kind == TOKEN_WORD && str_equal_c(p->token.text, word);
}

static bool is_sign(const struct parser *p, const char *sign)
{
    return p->token.kind == TOKEN_SIGN && str_equal_c(p->token.text, sign);
}

static enum err_code take_expected_sign(struct parser *p, const char *sign, const char *what)
{
    return is_sign(p, sign) ? advance(p) : expected(p, what);
}

/* ---- nodes ---- */

static enum err_code add_node(struct parser *p, enum condition_step step, int test)
{
    struct condition *c = p->condition;
    if (c->node_count == CONDITION_NODES_MAX)
        return err_set(p->err, ERR_LIMIT, "the condition has more than %d parts",
                       CONDITION_NODES_MAX);
    c->nodes[c->node_count++] = (struct condition_node){step, test};
    return ERR_OK;
}

static enum err_code new_test(struct parser *p, struct condition_test **test)
{
    struct condition *c = p->condition;
    if (c->test_count == CONDITION_TESTS_MAX)
        return err_set(p->err, ERR_LIMIT, "the condition has more than %d tests",
                       CONDITION_TESTS_MAX);
    *test = &c->tests[c->test_count];
    (*test)->place = arena_calloc(p->arena, 1, sizeof(condition_place));
    if (!(*test)->place)
        return err_set(p->err, ERR_LIMIT, "no room for the condition");
    return add_node(p, STEP_TEST, c->test_count++);
}

static enum err_code enter(struct parser *p)
{
    if (++p->depth > CONDITION_DEPTH_MAX)
        return err_set(p->err, ERR_LIMIT, "character %zu: more than %d levels within one another",
                       p->token.at + 1, CONDITION_DEPTH_MAX);
    return ERR_OK;
}

/* ---- literals ---- */

static enum err_code take_comparable(struct parser *p, float *number)
{
    if (p->token.kind != TOKEN_NUMBER)
        return expected(p, "a number");
    *number = (float)p->token.number;
    return advance(p);
}

static enum err_code take_literal(struct parser *p, struct condition_literal *literal)
{
    if (p->token.kind == TOKEN_TEXT)
        *literal = (struct condition_literal){.is_text = true, .text = p->token.text};
    else if (p->token.kind == TOKEN_NUMBER)
        *literal = (struct condition_literal){.number = (float)p->token.number};
    else if (is_word(p, "true") || is_word(p, "false"))
        *literal = (struct condition_literal){.number = is_word(p, "true")};
    else
        return expected(p, "a number, true, false or 'text'");
    if (literal->is_text) {
        literal->text.ptr = arena_copy(p->arena, literal->text.ptr, literal->text.len);
        if (!literal->text.ptr)
            return err_set(p->err, ERR_LIMIT, "no room for the condition");
    }
    return advance(p);
}

static enum err_code take_list(struct parser *p, struct condition_test *test)
{
    struct condition_literal list[CONDITION_LITERALS_MAX];
    enum err_code rc = take_expected_sign(p, "(", "'(' and a list");
    while (!rc) {
        if (test->literal_count == CONDITION_LITERALS_MAX)
            return err_set(p->err, ERR_LIMIT, "character %zu: more than %d values in one list",
                           p->token.at + 1, CONDITION_LITERALS_MAX);
        rc = take_literal(p, &list[test->literal_count]);
        if (rc)
            return rc;
        test->literal_count++;
        if (!is_sign(p, ","))
            break;
        rc = advance(p);
    }
    if (!rc)
        rc = take_expected_sign(p, ")", "',' or ')'");
    if (rc)
        return rc;
    size_t bytes = (size_t)test->literal_count * sizeof(*list);
    test->literals = arena_alloc(p->arena, bytes);
    if (!test->literals)
        return err_set(p->err, ERR_LIMIT, "no room for the condition");
    memcpy(test->literals, list, bytes);
    return ERR_OK;
}

static enum err_code take_equal(struct parser *p, struct condition_test *test)
{
    test->literals = arena_alloc(p->arena, sizeof(*test->literals));
    if (!test->literals)
        return err_set(p->err, ERR_LIMIT, "no room for the condition");
    test->literal_count = 1;
    test->verb = VERB_IN;
    return take_literal(p, test->literals);
}

static enum err_code take_between(struct parser *p, struct condition_test *test)
{
    size_t at = p->token.at;
    test->verb = VERB_BETWEEN;
    enum err_code rc = take_comparable(p, &test->number);
    if (!rc)
        rc = is_word(p, "and") ? advance(p) : expected(p, "'and' and the upper end");
    if (!rc)
        rc = take_comparable(p, &test->high);
    if (!rc && test->high < test->number)
        rc = fail_at(p, at, "the lower end is above the upper one");
    return rc;
}

/* ---- tests ---- */

static bool is_verb(const struct parser *p)
{
    return is_word(p, "is") || is_word(p, "not") || is_word(p, "in") || is_word(p, "between") ||
           (p->token.kind == TOKEN_SIGN && !is_sign(p, "(") && !is_sign(p, ")"));
}

static enum err_code take_name(struct parser *p, const char *what, struct str *name)
{
    if (p->token.kind == TOKEN_WORD)
        for (int i = 0; grammar_words[i]; i++)
            if (str_equal_c(p->token.text, grammar_words[i]))
                return expected(p, what);
    if (p->token.kind != TOKEN_WORD && p->token.kind != TOKEN_NAME && p->token.kind != TOKEN_TEXT)
        return expected(p, what);
    name->ptr = arena_copy(p->arena, p->token.text.ptr, p->token.text.len);
    name->len = p->token.text.len;
    return name->ptr ? advance(p) : err_set(p->err, ERR_LIMIT, "no room for the condition");
}

static enum err_code take_score(struct parser *p, struct condition_test *test)
{
    enum err_code rc = advance(p);
    test->value = VALUE_SCORE;
    if (rc || !is_sign(p, "("))
        return rc;
    test->value = VALUE_SCORE_OF;
    rc = advance(p);
    if (!rc && p->token.kind == TOKEN_NUMBER) { /* a class without a name is its index */
        test->name.ptr = arena_copy(p->arena, p->token.text.ptr, p->token.text.len);
        test->name.len = p->token.text.len;
        rc = test->name.ptr ? advance(p) : err_set(p->err, ERR_LIMIT, "no room for the condition");
    } else if (!rc) {
        rc = take_name(p, "the name of a class", &test->name);
    }
    return rc ? rc : take_expected_sign(p, ")", "')' behind the class");
}

static enum err_code take_value(struct parser *p, struct condition_test *test)
{
    if (is_word(p, "score"))
        return take_score(p, test);
    if (is_word(p, "answer") || is_word(p, "violations")) {
        test->value = is_word(p, "answer") ? VALUE_ANSWER : VALUE_VIOLATIONS;
        return advance(p);
    }
    if (is_word(p, "ood")) {
        test->value = VALUE_OOD;
        p->condition->needs_training = true;
        return advance(p);
    }
    test->value = VALUE_FIELD;
    if (p->token.kind == TOKEN_TEXT)
        return expected(p, "a field, score, answer, suspect or disagrees_with_shadow");
    return take_name(p, "a field, score, answer, suspect or disagrees_with_shadow", &test->name);
}

static enum err_code take_missing(struct parser *p, struct condition_test *test, bool *is_negated)
{
    enum err_code rc = ERR_OK;
    test->verb = VERB_MISSING;
    if (is_word(p, "not")) {
        *is_negated = true;
        rc = advance(p);
    }
    if (rc)
        return rc;
    return is_word(p, "missing") ? advance(p) : expected(p, "'missing'");
}

static enum err_code take_order(struct parser *p, struct condition_test *test)
{
    static const struct {
        const char *sign;
        enum condition_verb verb;
    } orders[] = {
        {"<", VERB_LESS}, {"<=", VERB_LESS_EQUAL}, {">", VERB_GREATER}, {">=", VERB_GREATER_EQUAL}};
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        if (!is_sign(p, orders[i].sign))
            continue;
        test->verb = orders[i].verb;
        enum err_code rc = advance(p);
        return rc ? rc : take_comparable(p, &test->number);
    }
    return expected(p, "one of < <= > >= = != between in is");
}

static enum err_code take_verb(struct parser *p, struct condition_test *test, bool *is_negated)
{
    enum err_code rc = ERR_OK;
    if (is_word(p, "is")) {
        rc = advance(p);
        return rc ? rc : take_missing(p, test, is_negated);
    }
    if (is_sign(p, "=") || is_sign(p, "==") || is_sign(p, "!=")) {
        *is_negated = is_sign(p, "!=");
        rc = advance(p);
        return rc ? rc : take_equal(p, test);
    }
    if (is_word(p, "not")) {
        *is_negated = true;
        rc = advance(p);
        if (!rc && !is_word(p, "in") && !is_word(p, "between"))
            rc = expected(p, "'in' or 'between'");
    }
    if (!rc && is_word(p, "in")) {
        test->verb = VERB_IN;
        rc = advance(p);
        return rc ? rc : take_list(p, test);
    }
    if (!rc && is_word(p, "between")) {
        rc = advance(p);
        return rc ? rc : take_between(p, test);
    }
    return rc ? rc : take_order(p, test);
}

static enum err_code take_test(struct parser *p)
{
    struct condition_test *test = NULL;
    bool is_negated = false;
    enum err_code rc = new_test(p, &test);
    if (rc)
        return rc;
    if (is_word(p, "suspect") || is_word(p, "disagrees_with_shadow")) {
        test->value = is_word(p, "suspect") ? VALUE_SUSPECT : VALUE_DISAGREES;
        test->verb = VERB_HOLDS;
        p->condition->needs_shadow |= test->value == VALUE_DISAGREES;
        return advance(p);
    }
    rc = take_value(p, test);
    if (!rc && test->value == VALUE_OOD && !is_verb(p)) {
        test->verb = VERB_GREATER_EQUAL;
        test->number = OOD_PRESET;
    } else if (!rc)
        rc = take_verb(p, test, &is_negated);
    if (!rc && is_negated)
        rc = add_node(p, STEP_NOT, 0);
    return rc;
}

/* ---- expressions ---- */

static enum err_code take_expression(struct parser *p);

static enum err_code take_factor(struct parser *p)
{
    bool is_not = is_word(p, "not"), is_group = is_sign(p, "(");
    if (!is_not && !is_group)
        return take_test(p);
    enum err_code rc = enter(p);
    if (!rc)
        rc = advance(p);
    if (!rc)
        rc = is_not ? take_factor(p) : take_expression(p);
    if (!rc)
        rc = is_not ? add_node(p, STEP_NOT, 0) : take_expected_sign(p, ")", "')'");
    p->depth--;
    return rc;
}

static enum err_code take_term(struct parser *p)
{
    enum err_code rc = take_factor(p);
    while (!rc && is_word(p, "and")) {
        rc = advance(p);
        if (!rc)
            rc = take_factor(p);
        if (!rc)
            rc = add_node(p, STEP_AND, 0);
    }
    return rc;
}

static enum err_code take_expression(struct parser *p)
{
    enum err_code rc = take_term(p);
    while (!rc && is_word(p, "or")) {
        rc = advance(p);
        if (!rc)
            rc = take_term(p);
        if (!rc)
            rc = add_node(p, STEP_OR, 0);
    }
    return rc;
}

static struct condition *condition_new(struct arena *arena)
{
    struct condition *c = arena_calloc(arena, 1, sizeof(*c));
    if (!c)
        return NULL;
    c->nodes = arena_calloc(arena, CONDITION_NODES_MAX, sizeof(*c->nodes));
    c->tests = arena_calloc(arena, CONDITION_TESTS_MAX, sizeof(*c->tests));
    return c->nodes && c->tests ? c : NULL;
}

enum err_code condition_parse(struct str text, struct arena *arena, struct condition **condition,
                              struct err *err)
{
    struct parser p = {.text = text, .arena = arena, .err = err};
    if (text.len > CONDITION_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the condition is longer than %d bytes",
                       CONDITION_BYTES_MAX);
    if (!str_is_utf8(text))
        return err_set(err, ERR_INVALID, "the condition is not UTF-8");
    p.condition = condition_new(arena);
    if (!p.condition)
        return err_set(err, ERR_LIMIT, "no room for the condition");
    enum err_code rc = advance(&p);
    if (!rc)
        rc = take_expression(&p);
    if (!rc && p.token.kind != TOKEN_END)
        rc = expected(&p, "'and', 'or' or the end");
    if (rc == ERR_INVALID)
        return err_hint(err, "such as: score between 0.4 and 0.6 or amount > 10000; names that "
                             "are no plain words stand between backquotes");
    if (!rc)
        *condition = p.condition;
    return rc;
}
