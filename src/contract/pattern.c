/* pattern.c - PCRE2 with limits, and one match work space per thread. */
#include "contract/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "contract/contract.h"

enum {
    HEAP_KIB_MAX = 4 * 1024, /* of backtracking frames in one match */
    DEPTH_MAX = 10 * 1000,   /* of nested backtracking */
    PARENS_DEPTH_MAX = 50,
};

struct workspace {
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

static pthread_key_t workspace_key;
static pthread_once_t workspace_once = PTHREAD_ONCE_INIT;

static void workspace_free(void *arg)
{
    struct workspace *w = arg;
    pcre2_match_data_free(w->data);
    pcre2_match_context_free(w->limits);
    free(w);
}

static void make_workspace_key(void)
{
    if (pthread_key_create(&workspace_key, workspace_free) != 0)
        abort();
}

static struct workspace *workspace_of_thread(void)
{
    pthread_once(&workspace_once, make_workspace_key);
    struct workspace *w = pthread_getspecific(workspace_key);
    if (w)
        return w;
    w = malloc(sizeof(*w));
    if (!w)
        abort();
    w->data = pcre2_match_data_create(1, NULL);
    w->limits = pcre2_match_context_create(NULL);
    if (!w->data || !w->limits || pthread_setspecific(workspace_key, w) != 0)
        abort();
    pcre2_set_match_limit(w->limits, CONTRACT_PATTERN_MATCH_MAX);
    pcre2_set_depth_limit(w->limits, DEPTH_MAX);
    pcre2_set_heap_limit(w->limits, HEAP_KIB_MAX);
    return w;
}

void *pattern_compile(struct str pattern, char reason[PATTERN_REASON_BYTES])
{
    int errnum = 0;
    PCRE2_SIZE offset = 0;
    PCRE2_UCHAR message[PATTERN_REASON_BYTES - 32];
    pcre2_compile_context *limits = pcre2_compile_context_create(NULL);
    if (!limits)
        abort();
    pcre2_set_parens_nest_limit(limits, PARENS_DEPTH_MAX);
    pcre2_set_max_pattern_length(limits, CONTRACT_PATTERN_BYTES_MAX);
    /* ECMA-262: $ is the very end, \uXXXX is a character. \C would split characters. */
    uint32_t options = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_NEVER_BACKSLASH_C;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, options, &errnum, &offset, limits);
    pcre2_compile_context_free(limits);
    if (!code) {
        pcre2_get_error_message(errnum, message, sizeof(message));
        snprintf(reason, PATTERN_REASON_BYTES, "at character %zu: %s", (size_t)offset,
                 (const char *)message);
    }
    return code;
}

enum pattern_verdict pattern_match(const void *code, struct str text)
{
    struct workspace *w = workspace_of_thread();
    const char *subject = text.ptr ? text.ptr : "";
    int rc = pcre2_match(code, (PCRE2_SPTR)subject, text.len, 0, 0, w->data, w->limits);
    if (rc >= 0)
        return PATTERN_MATCHES;
    bool is_limit = rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT ||
                    rc == PCRE2_ERROR_HEAPLIMIT || rc == PCRE2_ERROR_NOMEMORY;
    return is_limit ? PATTERN_GAVE_UP : PATTERN_DIFFERS;
}

void pattern_free(void *code)
{
    pcre2_code_free(code);
}
