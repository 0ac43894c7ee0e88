/* fuzz_review.c - any bytes as a review file and as a condition.
 *
 *     condition ... \0 review file ...
 *
 * A condition that parses must give the same truth twice for a row.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../unit/record_fixture.h"
#include "base/check.h"
#include "review/match.h"

enum { ARENA_BYTES = 16 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_condition(struct str text, struct arena *arena)
{
    struct fixture_record fixture;
    struct condition *condition;
    struct err err = {0};
    bool is_class;
    if (condition_parse(text, arena, &condition, &err)) {
        assert(err.msg[0]);
        return;
    }
    const struct record *record = fixture_record_make(&fixture, 620, 2);
    for (int64_t row = 0; row < 2; row++) {
        struct condition_facts facts = condition_facts_of(record, row);
        bool holds = condition_holds(condition, &facts);
        assert(condition_holds(condition, &facts) == holds);
    }
    for (int i = 0; condition_name(condition, i, &is_class).ptr; i++)
        assert(i < CONDITION_TESTS_MAX);
}

static void check_file(struct str text, struct arena *arena)
{
    struct fixture_record fixture;
    struct review_rules *rules;
    struct review_match match;
    struct err err = {0};
    if (review_rules_parse(text, arena, &rules, &err)) {
        assert(err.msg[0]);
        return;
    }
    const struct record *record = fixture_record_make(&fixture, 620, 1);
    struct condition_facts facts = condition_facts_of(record, 0);
    if (review_match(rules, &facts, &match))
        assert(match.rule && match.probability > 0 && match.probability <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str whole = {(const char *)data, size};
    const char *nul = size ? memchr(data, '\0', size) : NULL;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct str condition = {whole.ptr, nul ? (size_t)(nul - whole.ptr) : size};
    check_condition(condition, arena);
    if (nul)
        check_file((struct str){nul + 1, size - condition.len - 1}, arena);
    arena_free(arena);
    return 0;
}
