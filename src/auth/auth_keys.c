/* auth_keys.c - the live keys as a hash table by digest, and the token of a request.
 *
 * A token's SHA-256 is its place in the table: the digests are as good as random, and nobody can
 * choose one. What is compared is digests, in constant time, so the time says nothing of a secret.
 */
#include <stdlib.h>

#include "auth/auth.h"
#include "base/check.h"

enum { KEY_TEXT_BYTES = 4 + 16 + 1 + 43, SLOTS_MIN = 8 };

struct auth_keys {
    struct auth_key *keys; /* [count]; texts are owned */
    int count;
    int *slots;        /* [slot_count], open addressing; -1: free */
    size_t slot_count; /* a power of two, at least twice count */
    int made_count;    /* revoked ones too */
};

static char *copy_text(const char *text)
{
    char *copy = strdup(text ? text : "");
    if (!copy)
        abort();
    return copy;
}

static size_t home_slot(const struct auth_keys *keys, const uint8_t digest[SHA256_BYTES])
{
    size_t hash;
    memcpy(&hash, digest, sizeof(hash));
    return hash & (keys->slot_count - 1);
}

static void put_key(struct auth_keys *keys, const struct auth_key *key)
{
    struct auth_key *copy = &keys->keys[keys->count];
    size_t slot = home_slot(keys, key->digest);
    *copy = *key;
    copy->id = copy_text(key->id);
    copy->name = copy_text(key->name);
    copy->created_by = copy_text(key->created_by);
    copy->certificate = copy_text(key->certificate);
    while (keys->slots[slot] >= 0)
        slot = (slot + 1) & (keys->slot_count - 1);
    keys->slots[slot] = keys->count++;
}

struct auth_keys *auth_keys_new(const struct auth_key *list, int count)
{
    struct auth_keys *keys = calloc(1, sizeof(*keys));
    size_t slot_count = SLOTS_MIN;
    assert(count >= 0 && count <= AUTH_KEYS_MAX);
    while (slot_count < 2 * (size_t)count)
        slot_count *= 2;
    if (!keys || !(keys->keys = calloc((size_t)count + 1, sizeof(*keys->keys))) ||
        !(keys->slots = malloc(slot_count * sizeof(*keys->slots))))
        abort();
    keys->slot_count = slot_count;
    keys->made_count = count;
    for (size_t i = 0; i < slot_count; i++)
        keys->slots[i] = -1;
    for (int i = 0; i < count; i++) {
        if (list[i].revoked_us == 0)
            put_key(keys, &list[i]);
    }
    return keys;
}

static void free_text(const char *text)
{
    free((void *)(uintptr_t)text);
}

void auth_keys_free(struct auth_keys *keys)
{
    if (!keys)
        return;
    for (int i = 0; i < keys->count; i++) {
        free_text(keys->keys[i].id);
        free_text(keys->keys[i].name);
        free_text(keys->keys[i].created_by);
        free_text(keys->keys[i].certificate);
    }
    free(keys->keys);
    free(keys->slots);
    free(keys);
}

bool auth_keys_is_empty(const struct auth_keys *keys)
{
    return keys->count == 0;
}

bool auth_keys_is_open(const struct auth_keys *keys)
{
    return keys->made_count == 0;
}

static bool is_live(const struct auth_key *key, int64_t now_us)
{
    return key->expires_us == 0 || now_us < key->expires_us;
}

/* Whose proof is a secret, or a certificate: never the one for the other. */
static const struct auth_key *find(const struct auth_keys *keys, const void *text, size_t size,
                                   bool is_certificate)
{
    uint8_t digest[SHA256_BYTES];
    const struct auth_key *found = NULL;
    hash_sha256(text, size, digest);
    size_t slot = home_slot(keys, digest);
    for (; keys->slots[slot] >= 0; slot = (slot + 1) & (keys->slot_count - 1)) {
        const struct auth_key *key = &keys->keys[keys->slots[slot]];
        if (hash_equal_secret(key->digest, digest, SHA256_BYTES) &&
            (key->certificate[0] != '\0') == is_certificate)
            found = key;
    }
    return found;
}

const struct auth_key *auth_keys_find(const struct auth_keys *keys, struct str token,
                                      int64_t now_us)
{
    if (token.len != KEY_TEXT_BYTES || !str_starts_with(token, STR_LIT("slw_")) || keys->count == 0)
        return NULL;
    const struct auth_key *found = find(keys, token.ptr, token.len, false);
    return found && is_live(found, now_us) ? found : NULL;
}

const struct auth_key *auth_keys_find_certificate(const struct auth_keys *keys,
                                                  const char *const *names, int name_count,
                                                  int64_t now_us)
{
    for (int i = 0; i < name_count && keys->count > 0; i++) {
        const struct auth_key *found = find(keys, names[i], strlen(names[i]), true);
        if (found && is_live(found, now_us))
            return found;
    }
    return NULL;
}

struct str auth_bearer(struct str authorization)
{
    static const struct str none = {"", 0};
    struct str s = str_trim(authorization);
    if (s.len < 7 || !str_equal_nocase((struct str){s.ptr, 6}, STR_LIT("bearer")) ||
        s.ptr[6] != ' ')
        return none;
    struct str token = str_trim((struct str){s.ptr + 6, s.len - 6});
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] <= ' ' || token.ptr[i] == 0x7F)
            return none;
    }
    return token;
}
