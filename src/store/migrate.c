/* migrate.c - numbered scripts, applied once each, remembered with their digest. */
#include "store/migrate.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"

#define SQL_CREATE                                                                                 \
    "CREATE TABLE IF NOT EXISTS schema (version BIGINT PRIMARY KEY, name TEXT NOT NULL, "          \
    "applied_us BIGINT NOT NULL, digest TEXT NOT NULL)"
#define SQL_APPLIED "SELECT version, name, digest FROM schema ORDER BY version"
#define SQL_REMEMBER                                                                               \
    "INSERT INTO schema (version, name, applied_us, digest) VALUES (?1, ?2, ?3, ?4)"

static int count_scripts(const struct embedded_file *scripts)
{
    int count = 0;
    while (scripts[count].name)
        count++;
    return count;
}

int migrate_latest(void)
{
    return count_scripts(embedded_sql);
}

static void digest_of(const struct embedded_file *script, char hex[SHA256_HEX_BYTES + 1])
{
    hash_sha256_hex(script->data, script->size, hex);
}

static enum err_code check_row(struct store_rows *rows, const struct embedded_file *scripts,
                               int expected, struct err *err)
{
    char hex[SHA256_HEX_BYTES + 1];
    const struct embedded_file *script = &scripts[expected - 1];
    int64_t version = store_i64(rows, 0);
    struct str name = store_text(rows, 1);
    if (version != expected) {
        err_set(err, ERR_IO, "the store's table schema has version %lld where %d is due",
                (long long)version, expected);
        return err_hint(err, "restore the last good copy: slipway restore <backup>");
    }
    digest_of(script, hex);
    if (str_equal_c(name, script->name) && str_equal_c(store_text(rows, 2), hex))
        return ERR_OK;
    err_set(err, ERR_UNSUPPORTED,
            "schema version %d of the store is '%.*s' with another text than %s", expected,
            STR_ARG(name), script->name);
    return err_hint(err, "the store was made by a different build; use that one");
}

static enum err_code refuse_newer(int latest, struct err *err)
{
    err_set(err, ERR_UNSUPPORTED, "the store has a newer schema than this program, which knows %d",
            latest);
    return err_hint(err, "use the newer program, or put back the copy made before the upgrade: "
                         "backups/before-schema-*.db");
}

/* *count: scripts that were applied, all of them ours. */
static enum err_code check_applied(struct store *store, const struct embedded_file *scripts,
                                   int *count, struct err *err)
{
    struct store_rows *rows;
    bool has_row = false;
    int latest = count_scripts(scripts), applied = 0;
    if (store_query(store, SQL_APPLIED, NULL, 0, &rows, err))
        return err->code;
    enum err_code code = store_next(rows, &has_row, err);
    while (!code && has_row) {
        applied++;
        code =
            applied > latest ? refuse_newer(latest, err) : check_row(rows, scripts, applied, err);
        if (!code)
            code = store_next(rows, &has_row, err);
    }
    store_rows_done(rows);
    if (!code)
        *count = applied;
    return code;
}

static enum err_code run_script(struct store *store, const struct embedded_file *script,
                                int version, struct err *err)
{
    char hex[SHA256_HEX_BYTES + 1];
    digest_of(script, hex);
    const struct store_value row[] = {STORE_INT(version), STORE_CSTR(script->name),
                                      STORE_INT(clock_wall_us()), STORE_CSTR(hex)};
    if (store_script(store, (const char *)script->data, err) ||
        store_exec(store, SQL_REMEMBER, row, ARRAY_LEN(row), NULL, err))
        return err->code;
    return ERR_OK;
}

static enum err_code apply(struct store *store, const struct embedded_file *script, int version,
                           struct err *err)
{
    if (store_begin(store, err))
        return err->code;
    enum err_code code = run_script(store, script, version, err);
    if (code)
        store_rollback(store);
    else
        code = store_commit(store, err);
    return code ? err_wrap(err, "schema script %s", script->name) : ERR_OK;
}

enum err_code migrate_up_with(struct store *store, const struct embedded_file *scripts,
                              const char *backup_path, int *from, int *to, struct err *err)
{
    int applied = 0, latest = count_scripts(scripts);
    if (store_exec(store, SQL_CREATE, NULL, 0, NULL, err) ||
        check_applied(store, scripts, &applied, err))
        return err->code;
    if (applied > 0 && applied < latest && backup_path && store_backup(store, backup_path, err))
        return err_wrap(err, "copying the store before its schema is changed");
    for (int version = applied + 1; version <= latest; version++) {
        if (apply(store, &scripts[version - 1], version, err))
            return err->code;
    }
    *from = applied;
    *to = latest;
    return ERR_OK;
}

enum err_code migrate_applied(struct store *store, int *version, struct err *err)
{
    return check_applied(store, embedded_sql, version, err);
}

enum err_code migrate_up(struct store *store, const char *backup_path, int *from, int *to,
                         struct err *err)
{
    return migrate_up_with(store, embedded_sql, backup_path, from, to, err);
}
