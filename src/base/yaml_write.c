/* yaml_write.c - a tree of values as block-style YAML.
 *
 *     name: churn
 *     fields:
 *       - name: age
 *         range: [0, 120]
 *     note: "yes: really"
 */
#include "base/yaml.h"

#include <string.h>

/* YAML reads "key:" only when the key is shorter than 1024 characters; longer ones need "? key". */
enum { FLOW_COLUMNS_MAX = 100, INDENT = 2, SIMPLE_KEY_BYTES_MAX = 1000 };

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_plain_byte(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || (c != '\0' && strchr("./@+-()%", c));
}

/* Words that one or the other version of YAML reads as something else. */
static bool is_reserved_word(struct str s)
{
    static const char *const words[] = {"y",   "n",    "yes",   "no",   "on",
                                        "off", "true", "false", "null", NULL};
    size_t i = 0;
    while (words[i] && !str_equal_nocase(s, str_of(words[i])))
        i++;
    return words[i] != NULL;
}

/* Begins with a letter, then letters, digits, a few signs and single spaces: no version of YAML
 * sees anything but text in that. */
static bool is_plain(struct str s)
{
    if (s.len == 0 || !is_letter(s.ptr[0]) || s.ptr[s.len - 1] == ' ')
        return false;
    for (size_t i = 1; i < s.len; i++) {
        bool single_space = s.ptr[i] == ' ' && s.ptr[i - 1] != ' ';
        if (!is_plain_byte(s.ptr[i]) && !single_space)
            return false;
    }
    return !is_reserved_word(s);
}

static uint32_t code_point(const char *text, size_t sequence)
{
    const unsigned char *p = (const unsigned char *)text;
    uint32_t value = p[0] & (0xFFU >> (sequence + 1));
    for (size_t i = 1; i < sequence; i++)
        value = value << 6 | (p[i] & 0x3F);
    return value;
}

/* What YAML refuses to read, takes for a line break, or drops. */
static bool needs_escape(uint32_t c)
{
    return c < 0xA0 || c == 0x2028 || c == 0x2029 || c == 0xFEFF || c == 0xFFFE || c == 0xFFFF;
}

/* A JSON string is a double-quoted YAML scalar, but for code points that only YAML minds. */
static void write_quoted(struct buf *buf, struct str s)
{
    size_t start = 0, i = 0;
    buf_char(buf, '"');
    while (i < s.len) {
        size_t sequence = str_utf8_sequence(s.ptr + i, s.len - i);
        uint32_t c = sequence ? code_point(s.ptr + i, sequence) : (unsigned char)s.ptr[i];
        bool escape = sequence ? needs_escape(c) : c == 0x7F;
        if (escape) {
            buf_json_piece(buf, (struct str){s.ptr + start, i - start});
            buf_printf(buf, "\\u%04x", c);
        }
        i += sequence ? sequence : 1;
        start = escape ? i : start;
    }
    buf_json_piece(buf, (struct str){s.ptr + start, i - start});
    buf_char(buf, '"');
}

static void write_text(struct buf *buf, struct str s)
{
    if (is_plain(s))
        buf_str(buf, s);
    else
        write_quoted(buf, s);
}

/* YAML 1.1 readers want a point in a float, and a sign in its exponent. */
static void write_real(struct buf *buf, double value)
{
    char text[STR_NUMBER_BYTES];
    struct str s = {text, str_from_f64(value, text)};
    const char *e = memchr(text, 'e', s.len);
    size_t mantissa = e ? (size_t)(e - text) : s.len;
    buf_append(buf, text, mantissa);
    if (!e)
        return;
    if (!memchr(text, '.', mantissa))
        buf_lit(buf, ".0");
    buf_char(buf, 'e');
    if (e[1] != '-')
        buf_char(buf, '+');
    buf_append(buf, e + 1, s.len - mantissa - 1);
}

static void write_scalar(struct buf *buf, yyjson_val *value)
{
    if (yyjson_is_str(value))
        write_text(buf, json_str(value));
    else if (yyjson_is_uint(value))
        buf_u64(buf, yyjson_get_uint(value));
    else if (yyjson_is_sint(value))
        buf_i64(buf, yyjson_get_sint(value));
    else if (yyjson_is_real(value))
        write_real(buf, yyjson_get_real(value));
    else if (yyjson_is_bool(value))
        buf_text(buf, yyjson_get_bool(value) ? "true" : "false");
    else
        buf_lit(buf, "null");
}

/* Columns since the last line began. */
static size_t column(const struct buf *buf)
{
    const char *newline = buf->len ? memrchr(buf->data, '\n', buf->len) : NULL;
    return newline ? buf->len - (size_t)(newline + 1 - buf->data) : buf->len;
}

/* [1, 2, 3] when all are scalars and the line stays short; otherwise nothing is written. */
static bool write_flow_list(struct buf *buf, yyjson_val *list)
{
    size_t i, count, start = buf->len;
    yyjson_val *value;
    size_t room = FLOW_COLUMNS_MAX > column(buf) ? FLOW_COLUMNS_MAX - column(buf) : 0;
    buf_char(buf, '[');
    yyjson_arr_foreach(list, i, count, value)
    {
        if (i > 0)
            buf_lit(buf, ", ");
        if (yyjson_is_ctn(value) || buf->len - start > room) {
            buf->len = start;
            return false;
        }
        write_scalar(buf, value);
    }
    buf_char(buf, ']');
    if (buf->len - start <= room || count == 0)
        return true;
    buf->len = start;
    return false;
}

static void begin_line(struct buf *buf, int indent)
{
    if (buf->len > 0 && buf->data[buf->len - 1] != '\n')
        buf_char(buf, '\n');
    for (int i = 0; i < indent; i++)
        buf_char(buf, ' ');
}

/* "key:", or for a long one "? key" and ":" on the next line. */
static void write_key(struct buf *buf, struct str key, int indent)
{
    size_t start = buf->len;
    write_text(buf, key);
    if (buf->len - start > SIMPLE_KEY_BYTES_MAX) {
        buf->len = start;
        buf_lit(buf, "? ");
        write_text(buf, key);
        begin_line(buf, indent);
    }
    buf_char(buf, ':');
}

static void write_value(struct buf *buf, yyjson_val *value, int indent, int depth);

/* "key: value" lines; the first continues the line it is on when that is a list's "- ". */
static void write_mapping(struct buf *buf, yyjson_val *object, int indent, int depth, bool in_list)
{
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, count, key, value)
    {
        if (i > 0 || !in_list)
            begin_line(buf, indent);
        write_key(buf, json_str(key), indent);
        write_value(buf, value, indent, depth);
    }
}

static bool is_block_mapping(yyjson_val *value)
{
    return yyjson_is_obj(value) && yyjson_obj_size(value) > 0;
}

static void write_list(struct buf *buf, yyjson_val *list, int indent, int depth)
{
    size_t i, count;
    yyjson_val *value;
    yyjson_arr_foreach(list, i, count, value)
    {
        begin_line(buf, indent);
        buf_char(buf, '-');
        if (is_block_mapping(value) && depth < JSON_DEPTH_MAX) {
            buf_char(buf, ' ');
            write_mapping(buf, value, indent + INDENT, depth + 1, true);
        } else {
            write_value(buf, value, indent, depth);
        }
    }
}

/* What follows "key:" or "-": on the same line, or indented on the next ones. Deeper than anything
 * yaml_read accepts, JSON's form bounds the recursion; it is YAML too. */
static void write_value(struct buf *buf, yyjson_val *value, int indent, int depth)
{
    if (yyjson_is_ctn(value) && depth >= JSON_DEPTH_MAX) {
        buf_char(buf, ' ');
        json_write(buf, value);
    } else if (is_block_mapping(value)) {
        write_mapping(buf, value, indent + INDENT, depth + 1, false);
    } else if (yyjson_is_obj(value)) {
        buf_lit(buf, " {}");
    } else if (yyjson_is_arr(value)) {
        size_t start = buf->len;
        buf_char(buf, ' ');
        if (!write_flow_list(buf, value)) {
            buf->len = start;
            write_list(buf, value, indent + INDENT, depth + 1);
        }
    } else {
        buf_char(buf, ' ');
        write_scalar(buf, value);
    }
}

void yaml_write(struct buf *buf, yyjson_val *value)
{
    if (is_block_mapping(value))
        write_mapping(buf, value, 0, 0, false);
    else if (yyjson_is_obj(value))
        buf_lit(buf, "{}");
    else if (!yyjson_is_arr(value))
        write_scalar(buf, value);
    else if (!write_flow_list(buf, value))
        write_list(buf, value, 0, 0);
    if (buf->len > 0 && buf->data[buf->len - 1] != '\n')
        buf_char(buf, '\n');
}
