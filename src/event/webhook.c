/* webhook.c - signatures, filters and cursors of webhooks. */
#include "event/webhook.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"

#define SQL_GET "SELECT seq FROM webhook_cursors WHERE name = ?1"
#define SQL_PUT                                                                                    \
    "INSERT INTO webhook_cursors (name, seq, updated_us) VALUES (?1, ?2, ?3) "                     \
    "ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, updated_us = excluded.updated_us"
#define SQL_LAST "SELECT COALESCE(MAX(seq), 0) FROM audit"

bool webhook_wants(const struct webhook *webhook, const char *action)
{
    for (int i = 0; i < webhook->event_count; i++)
        if (str_matches(webhook->events[i], action))
            return true;
    return webhook->event_count == 0;
}

void webhook_sign(const uint8_t *secret, size_t secret_bytes, const char *id, int64_t timestamp,
                  struct str body, char out[WEBHOOK_SIGNATURE_BYTES])
{
    uint8_t mac[SHA256_BYTES];
    struct buf text;
    buf_init(&text, body.len + 512);
    buf_printf(&text, "%s.%lld.", id, (long long)timestamp);
    buf_str(&text, body);
    assert(!text.is_full);
    hash_hmac_sha256(secret, secret_bytes, text.data, text.len, mac);
    memcpy(out, "v1,", 3);
    EVP_EncodeBlock((uint8_t *)out + 3, mac, sizeof(mac)); /* 44 characters and a NUL */
    buf_done(&text);
}

static enum err_code read_number(struct store *store, const char *sql,
                                 const struct store_value *params, int param_count, int64_t *number,
                                 bool *has_row, struct err *err)
{
    struct store_rows *rows;
    if (store_query(store, sql, params, param_count, &rows, err))
        return err->code;
    enum err_code rc = store_next(rows, has_row, err);
    if (!rc)
        *number = *has_row ? store_i64(rows, 0) : 0;
    store_rows_done(rows);
    return rc;
}

enum err_code webhook_cursor_get(struct store *store, const char *name, int64_t *seq, bool *is_new,
                                 struct err *err)
{
    const struct store_value key[] = {STORE_CSTR(name)};
    bool has_row = false;
    enum err_code rc = read_number(store, SQL_GET, key, 1, seq, &has_row, err);
    *is_new = !has_row;
    return rc;
}

enum err_code webhook_cursor_put(struct store *store, const char *name, int64_t seq,
                                 struct err *err)
{
    const struct store_value row[] = {STORE_CSTR(name), STORE_INT(seq), STORE_INT(clock_wall_us())};
    return store_exec(store, SQL_PUT, row, ARRAY_LEN(row), NULL, err);
}

enum err_code webhook_last_event(struct store *store, int64_t *seq, struct err *err)
{
    bool has_row = false;
    return read_number(store, SQL_LAST, NULL, 0, seq, &has_row, err);
}
