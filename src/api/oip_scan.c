/* oip_scan.c - the OIP request as clients usually write it, read in one pass without a tree.
 *
 *     {"id": "7", "inputs": [{"name": "input", "shape": [1, 30], "datatype": "FP32",
 *                             "data": [1.5, null, ...]}]}
 *
 * Anything else (other members, escapes, nested data, other datatypes, errors) is left to
 * oip_parse.c, which reads everything and knows how to complain: a scan that gives up has changed
 * nothing. What it does accept, it reads to the same bits.
 */
#include <math.h>
#include <stdlib.h>

#include "api/oip.h"
#include "base/check.h"

enum { DIGITS_EXACT = 15, POWER_EXACT = 22 };

/* The last byte is a brace: it ends every number and every run of blanks, so that those who read
 * them need not look for the end, as long as they begin before it. */
struct scan {
    const char *at, *end;
    struct arena *arena;
};

/* 10^0 to 10^22 are exact doubles, so a mantissa below 2^53 times or divided by one of them is
 * rounded once, which is what a correct reader does (Clinger 1990). */
static const double powers[POWER_EXACT + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                               1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                               1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Begins before the end. */
static void skip_blanks(struct scan *s)
{
    while (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t')
        s->at++;
}

static bool take(struct scan *s, char c)
{
    if (s->at == s->end)
        return false;
    skip_blanks(s);
    if (*s->at != c)
        return false;
    s->at++;
    return true;
}

/* A text of printable ASCII without escapes: no byte in it can mean anything else. */
static bool take_text(struct scan *s, struct str *text)
{
    if (!take(s, '"'))
        return false;
    const char *start = s->at;
    while (s->at < s->end && *s->at != '"') {
        unsigned char c = (unsigned char)*s->at++;
        if (c < 0x20 || c > 0x7e || c == '\\')
            return false;
    }
    if (s->at == s->end)
        return false;
    *text = (struct str){start, (size_t)(s->at++ - start)};
    return true;
}

/* Digits into *mantissa; how many there were. What overflows is refused for its length. */
static int take_digits(struct scan *s, uint64_t *mantissa)
{
    const char *at = s->at;
    uint64_t value = *mantissa;
    for (unsigned digit; (digit = (unsigned)*at - '0') <= 9; at++)
        value = value * 10 + digit;
    size_t count = (size_t)(at - s->at);
    *mantissa = value;
    s->at = at;
    return count > DIGITS_EXACT ? DIGITS_EXACT + 1 : (int)count;
}

/* "e-05" behind the digits; *power is added to. */
static bool take_exponent(struct scan *s, int *power)
{
    uint64_t exponent = 0;
    if ((*s->at | 0x20) != 'e')
        return true;
    s->at++;
    bool is_negative = *s->at == '-';
    s->at += is_negative || *s->at == '+';
    int digits = take_digits(s, &exponent);
    if (digits == 0 || digits > 3)
        return false;
    *power += is_negative ? -(int)exponent : (int)exponent;
    return true;
}

/* A JSON number of at most 15 digits within 10^-22 and 10^22 of them; others are left to the other
 * reader. */
static bool take_number(struct scan *s, float *number)
{
    uint64_t mantissa = 0;
    bool is_negative = *s->at == '-';
    s->at += is_negative;
    const char *start = s->at;
    int whole = take_digits(s, &mantissa), fraction = 0;
    if (whole == 0 || (*start == '0' && whole > 1))
        return false;
    if (*s->at == '.') {
        s->at++;
        fraction = take_digits(s, &mantissa);
        if (fraction == 0)
            return false;
    }
    int power = -fraction;
    if (whole + fraction > DIGITS_EXACT || !take_exponent(s, &power) || abs(power) > POWER_EXACT)
        return false;
    double value = power < 0 ? (double)mantissa / powers[-power] : (double)mantissa * powers[power];
    bool is_whole = s->at - start == whole; /* -0 is a whole number: 0 */
    *number = (float)(is_negative && (mantissa || !is_whole) ? -value : value);
    return true;
}

static bool take_element(struct scan *s, float *element)
{
    skip_blanks(s);
    if (*s->at != 'n')
        return take_number(s, element);
    if (s->end - s->at < 4 || memcmp(s->at, "null", 4) != 0)
        return false;
    s->at += 4;
    *element = NAN;
    return true;
}

static bool take_shape(struct scan *s, struct oip_input *input)
{
    if (!take(s, '['))
        return false;
    do {
        uint64_t size = 0;
        skip_blanks(s);
        bool is_zero = *s->at == '0'; /* of which there is no element, and no number goes on */
        int digits = take_digits(s, &size);
        if (digits == 0 || digits > 9 || is_zero || input->rank == TENSOR_RANK_MAX)
            return false;
        input->shape[input->rank++] = (int64_t)size;
    } while (take(s, ','));
    input->element_count = tensor_elements(input->shape, input->rank);
    return take(s, ']') && input->element_count > 0;
}

/* The shape comes first, so the room is known; it is never more than two bytes a number. */
static bool take_data(struct scan *s, struct oip_input *input)
{
    int64_t count = input->element_count;
    if (count <= 0 || count > s->end - s->at || !take(s, '['))
        return false;
    float *floats = arena_alloc_aligned(s->arena, (size_t)count * sizeof(*floats), 64);
    if (!floats)
        return false;
    for (int64_t i = 0; i < count; i++)
        if ((i && !take(s, ',')) || !take_element(s, &floats[i]))
            return false;
    input->floats = floats;
    return take(s, ']');
}

static bool take_member(struct scan *s, struct str key, struct oip_input *input)
{
    struct str text;
    if (str_equal(key, STR_LIT("data")))
        return !input->floats && take_data(s, input);
    if (str_equal(key, STR_LIT("shape")))
        return input->rank == 0 && take_shape(s, input);
    if (str_equal(key, STR_LIT("name")))
        return !input->name.ptr && take_text(s, &input->name);
    if (!str_equal(key, STR_LIT("datatype")) || input->dtype != DTYPE_COUNT)
        return false;
    input->dtype = DTYPE_F32;
    return take_text(s, &text) && str_equal(text, STR_LIT("FP32"));
}

static bool take_input(struct scan *s, struct oip_input *input)
{
    struct str key;
    *input = (struct oip_input){.dtype = DTYPE_COUNT};
    if (!take(s, '{'))
        return false;
    do {
        if (!take_text(s, &key) || !take(s, ':') || !take_member(s, key, input))
            return false;
    } while (take(s, ','));
    return take(s, '}') && input->name.ptr && input->floats && input->dtype == DTYPE_F32;
}

static bool take_inputs(struct scan *s, struct oip_request *request)
{
    if (request->inputs || !take(s, '['))
        return false;
    request->inputs = arena_alloc(s->arena, sizeof(*request->inputs));
    request->input_count = 1;
    return request->inputs && take_input(s, request->inputs) && take(s, ']');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static struct str without_blanks_behind(struct str body)
{
    while (body.len && is_blank(body.ptr[body.len - 1]))
        body.len--;
    return body;
}

bool oip_scan(struct str body, struct arena *arena, struct oip_request *request)
{
    struct str text = without_blanks_behind(body);
    struct scan s = {text.ptr, text.ptr + text.len, arena};
    struct str key;
    *request = (struct oip_request){0};
    if (text.len == 0 || text.ptr[text.len - 1] != '}' || !take(&s, '{'))
        return false;
    do {
        if (!take_text(&s, &key) || !take(&s, ':'))
            return false;
        bool is_id = str_equal(key, STR_LIT("id")) && !request->id.ptr;
        if (is_id ? !take_text(&s, &request->id)
                  : !str_equal(key, STR_LIT("inputs")) || !take_inputs(&s, request))
            return false;
    } while (take(&s, ','));
    return take(&s, '}') && request->inputs && s.at == s.end;
}
