/* scope.c - scopes to and from text. */
#include "auth/auth.h"
#include "base/buf.h"
#include "base/check.h"

enum { SCOPES_TEXT_BYTES_MAX = 128 };

static const struct {
    enum scope scope;
    const char *name;
} scopes_all[] = {
    {SCOPE_PUBLIC, "public"}, {SCOPE_PREDICT, "predict"}, {SCOPE_OBSERVE, "observe"},
    {SCOPE_REVIEW, "review"}, {SCOPE_OPERATE, "operate"}, {SCOPE_ADMIN, "admin"},
};

const char *scope_name(enum scope scope)
{
    if (scope == SCOPE_REVIEW_OR_OPERATE)
        return "review or operate";
    for (size_t i = 0; i < ARRAY_LEN(scopes_all); i++) {
        if (scopes_all[i].scope == scope)
            return scopes_all[i].name;
    }
    assert(!"a scope is one of the enum");
    return NULL;
}

static unsigned scope_bit(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(scopes_all); i++) {
        if (str_equal_c(name, scopes_all[i].name))
            return scopes_all[i].scope;
    }
    return 0;
}

enum err_code scope_parse(struct str text, unsigned *scopes, struct err *err)
{
    static const char all[] = "scopes are predict, observe, review, operate, admin";
    struct str rest = text, part;
    unsigned bits = 0;
    if (str_trim(text).len == 0) {
        err_set(err, ERR_INVALID, "no scope is given");
        return err_hint(err, all);
    }
    while (str_split(&rest, ',', &part)) {
        struct str name = str_trim(part);
        unsigned bit = scope_bit(name);
        if (!bit) {
            err_set(err, ERR_INVALID, "'%.*s' is not a scope",
                    (int)(name.len < 100 ? name.len : 100), name.ptr ? name.ptr : "");
            return err_hint(err, all);
        }
        bits |= bit;
    }
    *scopes = bits;
    return ERR_OK;
}

const char *scope_format(unsigned scopes, struct arena *arena)
{
    char text[SCOPES_TEXT_BYTES_MAX];
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(scopes_all); i++) {
        size_t size = strlen(scopes_all[i].name);
        if (!(scopes & scopes_all[i].scope))
            continue;
        assert(len + size + 1 < sizeof(text));
        if (len > 0)
            text[len++] = ',';
        memcpy(text + len, scopes_all[i].name, size);
        len += size;
    }
    return arena_copy(arena, text, len);
}
