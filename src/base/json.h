/* json.h - reading JSON with arena memory (yyjson) and writing it into a buf.
 *
 * The document's values borrow the arena. Depth is limited (yyjson itself does not recurse; our
 * readers do not either), duplicate keys in an object are refused by json_read_strict().
 */
#ifndef SLIPWAY_BASE_JSON_H
#define SLIPWAY_BASE_JSON_H

#include <yyjson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { JSON_DEPTH_MAX = 64 };

/* Parse RFC 8259 text. On success *root lives in `arena`. Fails with ERR_INVALID that names the
 * byte offset, or ERR_LIMIT past JSON_DEPTH_MAX or the arena's limit. `bytes` need not outlive
 * the call. */
enum err_code json_read(struct str bytes, struct arena *arena, yyjson_val **root, struct err *err);

/* The same, and NaN, Infinity and -Infinity are numbers, as Python and JavaScript write them. For
 * rows and tensors. */
enum err_code json_read_numbers(struct str bytes, struct arena *arena, yyjson_val **root,
                                struct err *err);

/* The same as json_read, and no object at any depth may have a key twice. For requests that change
 * state. */
enum err_code json_read_strict(struct str bytes, struct arena *arena, yyjson_val **root,
                               struct err *err);

/* A member's text, number, ...; ERR_INVALID naming `key` when it is absent or of another type.
 * `what` names the object in messages: "the request". The _opt forms leave *out alone when the
 * member is absent or null. */
enum err_code json_get_str(yyjson_val *object, const char *what, const char *key, struct str *out,
                           struct err *err);
enum err_code json_get_str_opt(yyjson_val *object, const char *what, const char *key,
                               struct str *out, struct err *err);
enum err_code json_get_i64(yyjson_val *object, const char *what, const char *key, int64_t *out,
                           struct err *err);
enum err_code json_get_i64_opt(yyjson_val *object, const char *what, const char *key, int64_t *out,
                               struct err *err);
enum err_code json_get_bool_opt(yyjson_val *object, const char *what, const char *key, bool *out,
                                struct err *err);

/* Only these keys may occur (NULL ends the list); the error names the first other one. */
enum err_code json_check_keys(yyjson_val *object, const char *what, const char *const *keys,
                              struct err *err);

/* The text; ptr NULL and len 0 when the value is none (yyjson_get_len has a length for lists too).
 */
static inline struct str json_str(yyjson_val *value)
{
    if (!yyjson_is_str(value))
        return (struct str){0};
    return (struct str){yyjson_get_str(value), yyjson_get_len(value)};
}

/* A value as compact JSON text (numbers as they are in the document). */
void json_write(struct buf *buf, yyjson_val *value);

/* Writing by hand: an object or array is a sequence of these; commas are placed by the writer.
 *     json_begin_object(w); json_key(w, "model"); json_put_text(w, name); json_end_object(w); */
struct json_writer {
    struct buf *out;
    bool needs_comma;
};
void json_begin_object(struct json_writer *w);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w);
void json_end_array(struct json_writer *w);
void json_key(struct json_writer *w, const char *key);
void json_key_str(struct json_writer *w, struct str key);
void json_put_str(struct json_writer *w, struct str value);
void json_put_text(struct json_writer *w, const char *value); /* NULL writes null */
void json_put_i64(struct json_writer *w, int64_t value);
void json_put_u64(struct json_writer *w, uint64_t value);
void json_put_f64(struct json_writer *w, double value);
void json_put_f32(struct json_writer *w, float value);
void json_put_bool(struct json_writer *w, bool value);
void json_put_null(struct json_writer *w);
void json_put_raw(struct json_writer *w, struct str json); /* already JSON */
void json_put_value(struct json_writer *w, yyjson_val *value);
void json_put_time(struct json_writer *w, int64_t wall_us); /* RFC 3339 text */

/* A member of the open object: its key and its value. A time of 0 is null: it has not happened. */
void json_member_text(struct json_writer *w, const char *key, const char *value);
void json_member_i64(struct json_writer *w, const char *key, int64_t value);
void json_member_u64(struct json_writer *w, const char *key, uint64_t value);
void json_member_f64(struct json_writer *w, const char *key, double value); /* NaN: null */
void json_member_bool(struct json_writer *w, const char *key, bool value);
void json_member_time(struct json_writer *w, const char *key, int64_t wall_us);

#endif
