/* test_registry.c - models, versions, aliases and their chain, repeated writes. */
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"
#include "registry/registry.h"
#include "store_fixture.h"

/* SHA-256 digests are 64 hex digits; which ones does not matter here. */
static struct blob_digest digest_of(char digit)
{
    struct blob_digest digest;
    memset(digest.hex, digit, SHA256_HEX_BYTES);
    digest.hex[SHA256_HEX_BYTES] = '\0';
    return digest;
}

static int64_t audit_count(struct fixture *f)
{
    int64_t count = -1;
    assert_ok(f, audit_verify(f->store, &count, NULL, &f->err));
    return count;
}

static struct audit_event last_event(struct fixture *f)
{
    struct audit_event *events;
    int count = 0;
    assert_ok(f,
              audit_list(f->store, "", audit_count(f) - 1, 1, f->arena, &events, &count, &f->err));
    assert_int_equal(count, 1);
    return events[0];
}

static int64_t make_version(struct fixture *f, const char *model, char artifact)
{
    struct version v = {.model = model,
                        .runtime = "trees",
                        .artifact = digest_of(artifact),
                        .artifact_bytes = 1000,
                        .note = "why"};
    assert_ok(f, version_create(f->store, &v, &tester, &f->err));
    return v.number;
}

/* Model "churn" with versions 1 to `count` (at most 15). */
static void make_model(struct fixture *f, int count)
{
    static const char digits[] = "123456789abcdef";
    assert_ok(f, model_ensure(f->store, "churn", "me@example.org", NULL, &tester, &f->err));
    for (int i = 0; i < count; i++)
        assert_int_equal(make_version(f, "churn", digits[i]), i + 1);
}

static struct alias set_alias(struct fixture *f, const char *alias, int64_t version)
{
    struct alias result = {0};
    assert_ok(f, alias_set(f->store, "churn", alias, version, -1, "test", &tester, &result,
                           f->arena, &f->err));
    return result;
}

static enum err_code roll_back(struct fixture *f, struct alias *result)
{
    return alias_rollback(f->store, "churn", ALIAS_CHAMPION, "worse", &tester, result, f->arena,
                          &f->err);
}

/* ---- models ---- */

static void a_model_needs_an_owner(void **state)
{
    struct fixture *f = *state;
    assert_fails(f, model_ensure(f->store, "churn", NULL, NULL, &tester, &f->err), ERR_INVALID,
                 "needs an owner");
    assert_fails(f, model_ensure(f->store, "churn", "", NULL, &tester, &f->err), ERR_INVALID,
                 "owner");
    assert_fails(f, model_ensure(f->store, "churn", "  ", NULL, &tester, &f->err), ERR_INVALID,
                 "owner");
    assert_int_equal(audit_count(f), 0);
}

static void a_model_is_made_once_and_changed_only_where_it_differs(void **state)
{
    struct fixture *f = *state;
    struct model model;
    assert_ok(f, model_ensure(f->store, "churn", "me@example.org", "who leaves", &tester, &f->err));
    assert_ok(f, model_ensure(f->store, "churn", NULL, NULL, &tester, &f->err));
    assert_int_equal(audit_count(f), 1);
    assert_ok(f, model_ensure(f->store, "churn", "team", NULL, &tester, &f->err));
    assert_int_equal(audit_count(f), 2);
    assert_ok(f, model_get(f->store, "churn", f->arena, &model, &f->err));
    assert_string_equal(model.name, "churn");
    assert_string_equal(model.owner, "team");
    assert_string_equal(model.description, "who leaves");
    assert_int_equal(model.latest_version, 0);
    assert_int_equal(model.champion, 0);
    struct audit_event event = last_event(f);
    assert_string_equal(event.action, "model.update");
    assert_string_equal(event.subject, "model/churn");
    assert_string_equal(event.before,
                        "{\"owner\":\"me@example.org\",\"description\":\"who leaves\"}");
    assert_string_equal(event.after, "{\"owner\":\"team\",\"description\":\"who leaves\"}");
}

static void names_and_texts_from_outside_are_checked(void **state)
{
    struct fixture *f = *state;
    static const char *const bad_names[] = {"",        "../etc", "a/b",     "a b",
                                            ".hidden", "a\nb",   "\xC3\xA9"};
    char long_owner[OWNER_BYTES_MAX + 2];
    memset(long_owner, 'x', sizeof(long_owner));
    long_owner[OWNER_BYTES_MAX + 1] = '\0';
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++)
        assert_fails(f, model_ensure(f->store, bad_names[i], "me", NULL, &tester, &f->err),
                     ERR_INVALID, "name of the model");
    assert_fails(f, model_ensure(f->store, "m", long_owner, NULL, &tester, &f->err), ERR_LIMIT,
                 "the owner");
    assert_fails(f, model_ensure(f->store, "m", "a\x1B[2J", NULL, &tester, &f->err), ERR_INVALID,
                 "control characters");
    assert_fails(f, model_ensure(f->store, "m", "a\xC2\x9B", NULL, &tester, &f->err), ERR_INVALID,
                 "control characters");
    assert_fails(f, model_ensure(f->store, "m", "a\xFF", NULL, &tester, &f->err), ERR_INVALID,
                 "UTF-8");
    assert_fails(f, model_ensure(f->store, "m", "me", "line\n", &tester, &f->err), ERR_INVALID,
                 "the description");
    long_owner[OWNER_BYTES_MAX] = '\0';
    assert_ok(f, model_ensure(f->store, "m", long_owner, NULL, &tester, &f->err));
    assert_ok(f, model_ensure(f->store, "n", "J\xC3\xBCrgen\xC2\xA0M", NULL, &tester, &f->err));
}

static void models_are_listed_by_name_with_their_champion(void **state)
{
    struct fixture *f = *state;
    struct model *models = NULL;
    int count = -1;
    assert_ok(f, model_list(f->store, f->arena, &models, &count, &f->err));
    assert_int_equal(count, 0);
    make_model(f, 2);
    assert_ok(f, model_ensure(f->store, "alpha", "you", NULL, &tester, &f->err));
    set_alias(f, "canary", 1);
    set_alias(f, ALIAS_CHAMPION, 2);
    assert_ok(f, model_list(f->store, f->arena, &models, &count, &f->err));
    assert_int_equal(count, 2);
    assert_string_equal(models[0].name, "alpha");
    assert_int_equal(models[0].champion, 0);
    assert_string_equal(models[1].name, "churn");
    assert_int_equal(models[1].latest_version, 2);
    assert_int_equal(models[1].champion, 2);
}

static void what_is_not_there_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct model model;
    struct version version;
    struct alias alias;
    assert_fails(f, model_get(f->store, "churn", f->arena, &model, &f->err), ERR_NOT_FOUND,
                 "no model 'churn'");
    assert_fails(f, version_get(f->store, "churn", 1, f->arena, &version, &f->err), ERR_NOT_FOUND,
                 "no model 'churn'");
    make_model(f, 1);
    assert_fails(f, version_get(f->store, "churn", 2, f->arena, &version, &f->err), ERR_NOT_FOUND,
                 "no version 2");
    assert_non_null(strstr(f->err.hint, "1 to 1"));
    assert_fails(f, alias_get(f->store, "churn", "champion", f->arena, &alias, &f->err),
                 ERR_NOT_FOUND, "no alias 'champion'");
}

/* `count` rows, made by the database itself; n is 1, 2, ... in `insert`. */
static void make_rows(struct fixture *f, const char *insert, int count)
{
    const struct store_value params[] = {STORE_INT(count)};
    const char *sql = arena_printf(f->arena,
                                   "WITH RECURSIVE i (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM "
                                   "i WHERE n < ?1) %s FROM i",
                                   insert);
    assert_ok(f, store_exec(f->store, sql, params, 1, NULL, &f->err));
}

static void there_are_limits_to_models_and_versions(void **state)
{
    struct fixture *f = *state;
    struct version v = {.model = "churn", .runtime = "trees", .artifact = digest_of('1')};
    make_model(f, 0);
    make_rows(f, "INSERT INTO models SELECT 'm' || n, 'me', '', 0, 0", MODELS_MAX - 1);
    assert_fails(f, model_ensure(f->store, "more", "me", NULL, &tester, &f->err), ERR_LIMIT,
                 "10000 models");
    assert_ok(f, model_ensure(f->store, "m1", "you", NULL, &tester, &f->err));
    assert_ok(f, store_exec(f->store, "UPDATE models SET latest_version = 1000000", NULL, 0, NULL,
                            &f->err));
    assert_fails(f, version_create(f->store, &v, &tester, &f->err), ERR_LIMIT, "1000000 versions");
    assert_int_equal(v.number, 0);
}

/* ---- versions ---- */

static void a_version_keeps_what_was_registered(void **state)
{
    struct fixture *f = *state;
    struct version v = {.model = "churn",
                        .runtime = "trees",
                        .artifact = digest_of('a'),
                        .contract = digest_of('b'),
                        .golden = digest_of('c'),
                        .artifact_bytes = 123456,
                        .note = "fewer false alarms",
                        .lineage = "{\"commit\":\"abc\"}",
                        .signature = "{\"inputs\":[]}",
                        .compatibility = "{\"breaking\":[]}",
                        .compared_to = 1};
    struct version got;
    make_model(f, 1);
    clock_set_for_test(-1, 1700000000000000);
    assert_ok(f, version_create(f->store, &v, &tester, &f->err));
    clock_set_for_test(-1, -1);
    assert_int_equal(v.number, 2);
    assert_int_equal(v.created_us, 1700000000000000);
    assert_ok(f, version_get(f->store, "churn", 2, f->arena, &got, &f->err));
    assert_string_equal(got.model, "churn");
    assert_int_equal(got.number, 2);
    assert_string_equal(got.runtime, "trees");
    assert_string_equal(got.artifact.hex, digest_of('a').hex);
    assert_string_equal(got.contract.hex, digest_of('b').hex);
    assert_string_equal(got.golden.hex, digest_of('c').hex);
    assert_int_equal(got.artifact_bytes, 123456);
    assert_string_equal(got.note, "fewer false alarms");
    assert_string_equal(got.lineage, "{\"commit\":\"abc\"}");
    assert_string_equal(got.signature, "{\"inputs\":[]}");
    assert_string_equal(got.compatibility, "{\"breaking\":[]}");
    assert_int_equal(got.compared_to, 1);
    assert_string_equal(got.created_by, "key:ci");
    assert_int_equal(got.created_us, 1700000000000000);
    struct audit_event event = last_event(f);
    assert_string_equal(event.action, "version.register");
    assert_string_equal(event.subject, "model/churn/version/2");
    assert_null(event.before);
    assert_non_null(strstr(event.after, "\"lineage\":{\"commit\":\"abc\"}"));
}

static void absent_parts_of_a_version_are_empty(void **state)
{
    struct fixture *f = *state;
    struct version got;
    struct version v = {.model = "churn", .runtime = "trees", .artifact = digest_of('a')};
    make_model(f, 0);
    assert_ok(f, version_create(f->store, &v, &tester, &f->err));
    assert_ok(f, version_get(f->store, "churn", 1, f->arena, &got, &f->err));
    assert_string_equal(got.contract.hex, "");
    assert_string_equal(got.golden.hex, "");
    assert_string_equal(got.note, "");
    assert_string_equal(got.lineage, "{}");
    assert_string_equal(got.signature, "{}");
    assert_null(got.compatibility);
}

static void the_same_files_again_name_the_version_that_has_them(void **state)
{
    struct fixture *f = *state;
    struct version v = {.model = "churn", .runtime = "trees", .artifact = digest_of('1')};
    int64_t number = v.number;
    make_model(f, 2);
    assert_fails(f, version_create(f->store, &v, &tester, &f->err), ERR_EXISTS, "version 1 of");
    assert_int_equal(v.number, number);
    v.contract = digest_of('e');
    assert_ok(f, version_create(f->store, &v, &tester, &f->err));
    assert_int_equal(v.number, 3);
}

static void a_version_with_wrong_parts_is_refused(void **state)
{
    struct fixture *f = *state;
    struct version good = {.model = "churn", .runtime = "trees", .artifact = digest_of('a')};
    struct version v;
    char *big = arena_calloc(f->arena, 1, LINEAGE_BYTES_MAX + 8);
    char *huge = arena_calloc(f->arena, 1, SIGNATURE_BYTES_MAX + 8);
    make_model(f, 0);
    v = good, v.artifact.hex[0] = '\0';
    assert_fails(f, version_create(f->store, &v, &tester, &f->err), ERR_INVALID, "artifact");
    v = good, v.contract.hex[0] = 'G', v.contract.hex[1] = '\0';
    assert_fails(f, version_create(f->store, &v, &tester, &f->err), ERR_INVALID, "SHA-256");
    v = good, v.runtime = "a b";
    assert_fails(f, version_create(f->store, &v, &tester, &f->err), ERR_INVALID, "runtime");
    v = good, v.lineage = "[1]";
    assert_fails(f, version_create(f->store, &v, &tester, &f->err), ERR_INVALID,
                 "not a JSON object");
    v = good, v.lineage = "{\"a\":1,\"a\":2}";
    assert_fails(f, version_create(f->store, &v, &tester, &f->err), ERR_INVALID, "the lineage");
    memset(big, ' ', LINEAGE_BYTES_MAX + 1);
    v = good, v.lineage = big;
    assert_fails(f, version_create(f->store, &v, &tester, &f->err), ERR_LIMIT, "the lineage");
    v = good, v.note = "a\tb";
    assert_fails(f, version_create(f->store, &v, &tester, &f->err), ERR_INVALID, "the note");
    memset(huge, 'x', SIGNATURE_BYTES_MAX + 1);
    v = good, v.signature = huge;
    assert_fails(f, version_create(f->store, &v, &tester, &f->err), ERR_LIMIT, "the signature");
    v = good, v.compatibility = "\xFF";
    assert_fails(f, version_create(f->store, &v, &tester, &f->err), ERR_INVALID, "compatibility");
    v = good, v.model = "nope";
    assert_fails(f, version_create(f->store, &v, &tester, &f->err), ERR_NOT_FOUND, "'nope'");
    assert_ok(f, version_create(f->store, &good, &tester, &f->err));
    assert_int_equal(good.number, 1);
}

static void versions_are_listed_newest_first_in_pages(void **state)
{
    struct fixture *f = *state;
    struct version *versions;
    int count = -1;
    make_model(f, 5);
    assert_ok(f, version_list(f->store, "churn", 0, 2, f->arena, &versions, &count, &f->err));
    assert_int_equal(count, 2);
    assert_int_equal(versions[0].number, 5);
    assert_int_equal(versions[1].number, 4);
    assert_ok(f, version_list(f->store, "churn", 4, 10, f->arena, &versions, &count, &f->err));
    assert_int_equal(count, 3);
    assert_int_equal(versions[2].number, 1);
    assert_ok(f, version_list(f->store, "churn", 0, 0, f->arena, &versions, &count, &f->err));
    assert_int_equal(count, 0);
}

static void a_text_names_a_version_by_number_alias_or_latest(void **state)
{
    struct fixture *f = *state;
    int64_t number = -1;
    make_model(f, 3);
    set_alias(f, ALIAS_CHAMPION, 2);
    assert_ok(f, version_resolve(f->store, "churn", STR_LIT("3"), &number, &f->err));
    assert_int_equal(number, 3);
    assert_ok(f, version_resolve(f->store, "churn", STR_LIT("champion"), &number, &f->err));
    assert_int_equal(number, 2);
    assert_ok(f, version_resolve(f->store, "churn", STR_LIT("latest"), &number, &f->err));
    assert_int_equal(number, 3);
    static const char *const wrong[] = {
        "0", "4", "-1", "", "canary", "a/b", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        number = -7;
        assert_fails(f, version_resolve(f->store, "churn", str_of(wrong[i]), &number, &f->err),
                     ERR_NOT_FOUND, "no version or alias");
        assert_int_equal(number, -7);
    }
    assert_string_equal(f->err.hint, "it has 1 to 3, latest, champion");
}

/* ---- aliases ---- */

/* The picture in registry.h, line by line. */
static void rollback_walks_down_the_chain_and_never_toggles(void **state)
{
    struct fixture *f = *state;
    struct alias alias;
    make_model(f, 4);
    set_alias(f, ALIAS_CHAMPION, 1);
    set_alias(f, ALIAS_CHAMPION, 2);
    alias = set_alias(f, ALIAS_CHAMPION, 3);
    assert_int_equal(alias.version, 3);
    assert_int_equal(alias.previous, 2);
    assert_ok(f, roll_back(f, &alias));
    assert_int_equal(alias.version, 2);
    assert_int_equal(alias.previous, 1);
    assert_ok(f, roll_back(f, &alias));
    assert_int_equal(alias.version, 1);
    assert_int_equal(alias.previous, 0);
    assert_int_equal(alias.revision, 5);
    alias.version = -1;
    assert_fails(f, roll_back(f, &alias), ERR_CONFLICT, "nothing before version 1");
    assert_int_equal(alias.version, -1);
    alias = set_alias(f, ALIAS_CHAMPION, 4);
    assert_int_equal(alias.previous, 1);
    assert_ok(f, roll_back(f, &alias));
    assert_int_equal(alias.version, 1);
    assert_int_equal(alias.previous, 0);
}

static void setting_the_version_it_has_changes_nothing(void **state)
{
    struct fixture *f = *state;
    make_model(f, 1);
    struct alias first = set_alias(f, ALIAS_CHAMPION, 1);
    int64_t events = audit_count(f);
    struct alias again = set_alias(f, ALIAS_CHAMPION, 1);
    assert_int_equal(again.revision, first.revision);
    assert_int_equal(again.updated_us, first.updated_us);
    assert_int_equal(audit_count(f), events);
}

static enum err_code set_if(struct fixture *f, int64_t version, int64_t if_revision,
                            struct alias *result)
{
    return alias_set(f->store, "churn", ALIAS_CHAMPION, version, if_revision, NULL, &tester, result,
                     f->arena, &f->err);
}

static void if_revision_protects_against_a_move_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct alias alias = {.version = -1};
    make_model(f, 3);
    assert_fails(f, set_if(f, 1, 4, &alias), ERR_CONFLICT, "is gone");
    assert_ok(f, set_if(f, 1, 0, &alias));
    assert_int_equal(alias.revision, 1);
    assert_fails(f, set_if(f, 2, 0, &alias), ERR_CONFLICT, "there already, at revision 1");
    assert_ok(f, set_if(f, 2, 1, &alias));
    assert_fails(f, set_if(f, 3, 1, &alias), ERR_CONFLICT, "at revision 2, not 1");
    assert_fails(f, set_if(f, 2, 1, &alias), ERR_CONFLICT, "at revision 2, not 1");
    assert_int_equal(alias.version, 2);
}

static void revisions_go_on_after_a_deletion(void **state)
{
    struct fixture *f = *state;
    struct alias alias;
    make_model(f, 2);
    set_alias(f, ALIAS_CHAMPION, 1);
    set_alias(f, ALIAS_CHAMPION, 2);
    assert_fails(f, alias_delete(f->store, "churn", ALIAS_CHAMPION, 1, NULL, &tester, &f->err),
                 ERR_CONFLICT, "at revision 2, not 1");
    assert_ok(f, alias_delete(f->store, "churn", ALIAS_CHAMPION, 2, "done", &tester, &f->err));
    assert_fails(f, alias_get(f->store, "churn", ALIAS_CHAMPION, f->arena, &alias, &f->err),
                 ERR_NOT_FOUND, "no alias");
    assert_fails(f, roll_back(f, &alias), ERR_NOT_FOUND, "no alias");
    alias = set_alias(f, ALIAS_CHAMPION, 1);
    assert_int_equal(alias.revision, 4);
    assert_int_equal(alias.previous, 0);
}

static void an_alias_may_not_look_like_a_version(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[] = {"latest", "12", "007"};
    struct alias alias;
    make_model(f, 1);
    for (size_t i = 0; i < 3; i++)
        assert_fails(
            f,
            alias_set(f->store, "churn", wrong[i], 1, -1, NULL, &tester, &alias, f->arena, &f->err),
            ERR_INVALID, "names a version itself");
    assert_fails(
        f, alias_set(f->store, "churn", "../x", 1, -1, NULL, &tester, &alias, f->arena, &f->err),
        ERR_INVALID, "an alias may not be");
    assert_fails(
        f, alias_set(f->store, "churn", "canary", 2, -1, NULL, &tester, &alias, f->arena, &f->err),
        ERR_NOT_FOUND, "no version 2");
}

static void a_model_has_a_limited_number_of_aliases(void **state)
{
    struct fixture *f = *state;
    struct alias alias;
    char name[32];
    make_model(f, 2);
    for (int i = 0; i < ALIASES_PER_MODEL_MAX; i++) {
        snprintf(name, sizeof(name), "alias-%d", i);
        set_alias(f, name, 1);
    }
    assert_fails(
        f, alias_set(f->store, "churn", "more", 1, -1, NULL, &tester, &alias, f->arena, &f->err),
        ERR_LIMIT, "64 aliases already");
    set_alias(f, "alias-0", 2);
}

static void history_tells_every_move_oldest_first(void **state)
{
    struct fixture *f = *state;
    struct alias alias;
    struct alias_change *changes;
    int count = -1;
    make_model(f, 2);
    set_alias(f, ALIAS_CHAMPION, 1);
    set_alias(f, ALIAS_CHAMPION, 2);
    assert_ok(f, roll_back(f, &alias));
    assert_int_equal(last_event(f).seq, 6);
    assert_string_equal(last_event(f).before, "{\"version\":2,\"revision\":2}");
    assert_string_equal(last_event(f).after, "{\"version\":1,\"revision\":3,\"reason\":\"worse\"}");
    assert_ok(f, alias_delete(f->store, "churn", ALIAS_CHAMPION, -1, NULL, &tester, &f->err));
    assert_ok(f, alias_history(f->store, "churn", ALIAS_CHAMPION, 100, f->arena, &changes, &count,
                               &f->err));
    assert_int_equal(count, 4);
    static const struct {
        const char *kind, *reason;
        int64_t from, to;
    } expected[] = {{"set", "test", 0, 1},
                    {"set", "test", 1, 2},
                    {"rollback", "worse", 2, 1},
                    {"delete", "", 1, 0}};
    for (int i = 0; i < 4; i++) {
        assert_string_equal(changes[i].kind, expected[i].kind);
        assert_string_equal(changes[i].reason, expected[i].reason);
        assert_int_equal(changes[i].from, expected[i].from);
        assert_int_equal(changes[i].to, expected[i].to);
        assert_string_equal(changes[i].actor, "key:ci");
        assert_int_equal(changes[i].id, 4 + i); /* model, version, version came first */
    }
    assert_ok(f, alias_history(f->store, "churn", ALIAS_CHAMPION, 2, f->arena, &changes, &count,
                               &f->err));
    assert_int_equal(count, 2);
    assert_string_equal(changes[0].kind, "rollback");
    assert_string_equal(changes[1].kind, "delete");
}

static void history_of_all_aliases_is_one_list(void **state)
{
    struct fixture *f = *state;
    struct alias_change *changes;
    int count = -1;
    make_model(f, 2);
    set_alias(f, ALIAS_CHAMPION, 1);
    set_alias(f, "challenger", 2);
    set_alias(f, ALIAS_CHAMPION, 2);
    assert_ok(f, alias_history(f->store, "churn", NULL, 100, f->arena, &changes, &count, &f->err));
    assert_int_equal(count, 3);
    assert_string_equal(changes[0].alias, ALIAS_CHAMPION);
    assert_string_equal(changes[1].alias, "challenger");
    assert_string_equal(changes[2].alias, ALIAS_CHAMPION);
    assert_ok(f, alias_history(f->store, "churn", NULL, 1, f->arena, &changes, &count, &f->err));
    assert_int_equal(count, 1);
    assert_int_equal(changes[0].to, 2);
}

static void aliases_are_listed_of_one_model_or_of_all(void **state)
{
    struct fixture *f = *state;
    struct alias *aliases, alias;
    int count = -1;
    make_model(f, 2);
    assert_ok(f, model_ensure(f->store, "alpha", "me", NULL, &tester, &f->err));
    make_version(f, "alpha", '1');
    set_alias(f, "stable", 1);
    set_alias(f, ALIAS_CHAMPION, 2);
    assert_ok(f,
              alias_set(f->store, "alpha", "x", 1, -1, NULL, &tester, &alias, f->arena, &f->err));
    assert_ok(f, alias_list(f->store, "churn", f->arena, &aliases, &count, &f->err));
    assert_int_equal(count, 2);
    assert_string_equal(aliases[0].name, ALIAS_CHAMPION);
    assert_string_equal(aliases[1].name, "stable");
    assert_ok(f, alias_list(f->store, NULL, f->arena, &aliases, &count, &f->err));
    assert_int_equal(count, 3);
    assert_string_equal(aliases[0].model, "alpha");
    assert_fails(f, alias_list(f->store, "nope", f->arena, &aliases, &count, &f->err),
                 ERR_NOT_FOUND, "nope");
}

/* A long chain costs no more to move or to roll back than a short one; here it must only be right.
 */
static void a_long_chain_rolls_back_to_its_first_link(void **state)
{
    struct fixture *f = *state;
    struct alias alias = {0};
    make_model(f, 3);
    assert_ok(f, store_begin(f->store, &f->err));
    for (int i = 0; i < 300; i++)
        set_alias(f, ALIAS_CHAMPION, 1 + i % 3);
    for (int i = 298; i >= 0; i--) {
        assert_ok(f, roll_back(f, &alias));
        assert_int_equal(alias.version, 1 + i % 3);
    }
    assert_ok(f, store_commit(f->store, &f->err));
    assert_int_equal(alias.previous, 0);
    assert_int_equal(alias.revision, 599);
}

static void what_fails_leaves_nothing_in_its_savepoint(void **state)
{
    struct fixture *f = *state;
    struct alias alias;
    make_model(f, 1);
    int64_t events = audit_count(f);
    assert_ok(f, store_begin(f->store, &f->err));
    assert_ok(f, store_savepoint(f->store, &f->err));
    set_alias(f, ALIAS_CHAMPION, 1);
    store_undo(f->store);
    assert_ok(f, store_savepoint(f->store, &f->err));
    set_alias(f, "canary", 1);
    assert_ok(f, store_release(f->store, &f->err));
    assert_ok(f, store_commit(f->store, &f->err));
    assert_int_equal(audit_count(f), events + 1);
    assert_fails(f, alias_get(f->store, "churn", ALIAS_CHAMPION, f->arena, &alias, &f->err),
                 ERR_NOT_FOUND, "champion");
    assert_ok(f, alias_get(f->store, "churn", "canary", f->arena, &alias, &f->err));
}

/* ---- blobs in use ---- */

struct seen {
    char digits[16];
    int count;
};

static enum err_code remember_blob(void *arg, const struct blob_digest *digest, struct err *err)
{
    struct seen *seen = arg;
    if (seen->count == 4)
        return err_set(err, ERR_CANCELLED, "enough");
    seen->digits[seen->count++] = digest->hex[0];
    return ERR_OK;
}

static void every_named_blob_is_visited(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    struct version v = {.model = "churn",
                        .runtime = "trees",
                        .artifact = digest_of('a'),
                        .contract = digest_of('b'),
                        .golden = digest_of('c')};
    make_model(f, 1);
    assert_ok(f, version_create(f->store, &v, &tester, &f->err));
    assert_ok(f, registry_each_blob(f->store, remember_blob, &seen, &f->err));
    assert_int_equal(seen.count, 4);
    assert_string_equal(seen.digits, "1abc");
    make_version(f, "churn", 'd');
    seen.count = 0;
    assert_fails(f, registry_each_blob(f->store, remember_blob, &seen, &f->err), ERR_CANCELLED,
                 "enough");
}

/* ---- repeated writes ---- */

static struct idempotency entry_of(const char *key, char request)
{
    struct idempotency entry = {.key = key, .actor = "key:ci", .status = 201, .body = "{\"v\":1}"};
    memcpy(entry.request_digest, digest_of(request).hex, SHA256_HEX_BYTES + 1);
    return entry;
}

static void a_repeated_write_gets_the_reply_given_before(void **state)
{
    struct fixture *f = *state;
    struct idempotency entry = entry_of("k1", '1');
    bool found = true;
    assert_ok(f, idempotency_find(f->store, &entry, f->arena, &found, &f->err));
    assert_false(found);
    assert_ok(f, idempotency_put(f->store, &entry, &f->err));
    entry.status = 0;
    entry.body = NULL;
    assert_ok(f, idempotency_find(f->store, &entry, f->arena, &found, &f->err));
    assert_true(found);
    assert_int_equal(entry.status, 201);
    assert_string_equal(entry.body, "{\"v\":1}");
    struct idempotency other = entry_of("k1", '2');
    assert_fails(f, idempotency_find(f->store, &other, f->arena, &found, &f->err), ERR_CONFLICT,
                 "another request");
    other.actor = "key:else";
    assert_ok(f, idempotency_find(f->store, &other, f->arena, &found, &f->err));
    assert_false(found);
}

static void replies_are_forgotten_after_their_time(void **state)
{
    struct fixture *f = *state;
    struct idempotency entry = entry_of("k1", '0'); /* a digest that also sweeps */
    bool found = false;
    clock_set_for_test(-1, 1700000000000000);
    assert_ok(f, idempotency_put(f->store, &entry, &f->err));
    assert_fails(f, idempotency_put(f->store, &entry, &f->err), ERR_EXISTS, "UNIQUE");
    clock_set_for_test(-1, 1700000000000000 + IDEMPOTENCY_KEEP_US - 1);
    assert_ok(f, idempotency_find(f->store, &entry, f->arena, &found, &f->err));
    assert_true(found);
    clock_set_for_test(-1, 1700000000000000 + IDEMPOTENCY_KEEP_US);
    assert_ok(f, idempotency_find(f->store, &entry, f->arena, &found, &f->err));
    assert_false(found);
    assert_ok(f, idempotency_put(f->store, &entry, &f->err));
    clock_set_for_test(-1, -1);
}

/* More than are kept: the oldest go with the next put that looks. */
static void only_the_newest_replies_are_kept(void **state)
{
    struct fixture *f = *state;
    struct idempotency entry = entry_of("last", '0'); /* a digest that looks */
    bool found = false;
    struct store_rows *rows;
    clock_set_for_test(-1, 1700000000000000);
    make_rows(f,
              "INSERT INTO idempotency SELECT 'key:ci', 'k' || n, '', 200, '', "
              "1699999999000000 + n",
              IDEMPOTENCY_MAX + 5);
    assert_ok(f, idempotency_put(f->store, &entry, &f->err));
    assert_ok(f, idempotency_find(f->store, &entry, f->arena, &found, &f->err));
    clock_set_for_test(-1, -1);
    assert_true(found);
    assert_ok(f,
              store_query(f->store, "SELECT COUNT(*) FROM idempotency", NULL, 0, &rows, &f->err));
    assert_ok(f, store_next(rows, &found, &f->err));
    assert_int_equal(store_i64(rows, 0), IDEMPOTENCY_MAX + 1);
    store_rows_done(rows);
}

static void idempotency_keys_are_checked(void **state)
{
    struct fixture *f = *state;
    char long_key[IDEMPOTENCY_KEY_BYTES_MAX + 2];
    memset(long_key, 'k', sizeof(long_key));
    long_key[sizeof(long_key) - 1] = '\0';
    struct idempotency entry = entry_of(long_key, '1');
    bool found;
    assert_fails(f, idempotency_find(f->store, &entry, f->arena, &found, &f->err), ERR_LIMIT,
                 "idempotency key");
    entry = entry_of("", '1');
    assert_fails(f, idempotency_put(f->store, &entry, &f->err), ERR_INVALID, "empty");
}

#define with_store(fn) cmocka_unit_test_setup_teardown(fn, setup_store, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(a_model_needs_an_owner),
        with_store(a_model_is_made_once_and_changed_only_where_it_differs),
        with_store(names_and_texts_from_outside_are_checked),
        with_store(models_are_listed_by_name_with_their_champion),
        with_store(what_is_not_there_is_not_found),
        with_store(there_are_limits_to_models_and_versions),
        with_store(a_version_keeps_what_was_registered),
        with_store(absent_parts_of_a_version_are_empty),
        with_store(the_same_files_again_name_the_version_that_has_them),
        with_store(a_version_with_wrong_parts_is_refused),
        with_store(versions_are_listed_newest_first_in_pages),
        with_store(a_text_names_a_version_by_number_alias_or_latest),
        with_store(rollback_walks_down_the_chain_and_never_toggles),
        with_store(setting_the_version_it_has_changes_nothing),
        with_store(if_revision_protects_against_a_move_meanwhile),
        with_store(revisions_go_on_after_a_deletion),
        with_store(an_alias_may_not_look_like_a_version),
        with_store(a_model_has_a_limited_number_of_aliases),
        with_store(history_tells_every_move_oldest_first),
        with_store(history_of_all_aliases_is_one_list),
        with_store(aliases_are_listed_of_one_model_or_of_all),
        with_store(a_long_chain_rolls_back_to_its_first_link),
        with_store(what_fails_leaves_nothing_in_its_savepoint),
        with_store(every_named_blob_is_visited),
        with_store(a_repeated_write_gets_the_reply_given_before),
        with_store(replies_are_forgotten_after_their_time),
        with_store(only_the_newest_replies_are_kept),
        with_store(idempotency_keys_are_checked),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
