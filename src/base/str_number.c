/* str_number.c - numbers as the shortest decimal text that reads back as the same value.
 *
 * A float v = c * 2^q owns the interval of reals that round to it. The shortest decimal in that
 * interval, and among those the closest to v, is found as in R. Giulietti, "The Schubfach way to
 * render doubles" (2020), for 24-bit significands: with k = floor(log10 of the interval's width),
 * one decimal of the form s * 10^k or (s + 1) * 10^k lies inside, and at most one multiple of
 * 10^(k+1) does. Everything is integer arithmetic on v, and on the interval's ends, times
 * 10^-k, which needs 77 powers of ten of 64 bits.
 *
 * Doubles take yyjson's writer, which is as exact; both have the form of ECMAScript's
 * Number::toString with ".0" behind whole numbers, so that readers see a float.
 */
#include "base/str.h"

#include <math.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/check.h"

static const char digit_pairs[] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546"
    "4748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293"
    "949596979899";

static int digit_count(uint64_t value)
{
    int count = 1;
    for (; value >= 10000; value /= 10000)
        count += 4;
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* The last `count` decimal digits of value, zeros in front. */
static void put_digits(char *out, uint64_t value, int count)
{
    char *p = out + count;
    for (; p - out >= 2; value /= 100) {
        p -= 2;
        memcpy(p, digit_pairs + 2 * (value % 100), 2);
    }
    if (p > out)
        *out = (char)('0' + value % 10);
}

size_t str_from_u64(uint64_t value, char *out)
{
    int count = digit_count(value);
    put_digits(out, value, count);
    return (size_t)count;
}

size_t str_from_i64(int64_t value, char *out)
{
    if (value >= 0)
        return str_from_u64((uint64_t)value, out);
    out[0] = '-';
    return 1 + str_from_u64(0 - (uint64_t)value, out + 1);
}

enum { POWER_MIN = -31, POWER_MAX = 45 };

/* ceil(10^k * 2^(63 - floor(log2 10^k))) for k = POWER_MIN..POWER_MAX */
static const uint64_t powers_of_ten[POWER_MAX - POWER_MIN + 1] = {
    UINT64_C(0x81CEB32C4B43FCF5), UINT64_C(0xA2425FF75E14FC32), UINT64_C(0xCAD2F7F5359A3B3F),
    UINT64_C(0xFD87B5F28300CA0E), UINT64_C(0x9E74D1B791E07E49), UINT64_C(0xC612062576589DDB),
    UINT64_C(0xF79687AED3EEC552), UINT64_C(0x9ABE14CD44753B53), UINT64_C(0xC16D9A0095928A28),
    UINT64_C(0xF1C90080BAF72CB2), UINT64_C(0x971DA05074DA7BEF), UINT64_C(0xBCE5086492111AEB),
    UINT64_C(0xEC1E4A7DB69561A6), UINT64_C(0x9392EE8E921D5D08), UINT64_C(0xB877AA3236A4B44A),
    UINT64_C(0xE69594BEC44DE15C), UINT64_C(0x901D7CF73AB0ACDA), UINT64_C(0xB424DC35095CD810),
    UINT64_C(0xE12E13424BB40E14), UINT64_C(0x8CBCCC096F5088CC), UINT64_C(0xAFEBFF0BCB24AAFF),
    UINT64_C(0xDBE6FECEBDEDD5BF), UINT64_C(0x89705F4136B4A598), UINT64_C(0xABCC77118461CEFD),
    UINT64_C(0xD6BF94D5E57A42BD), UINT64_C(0x8637BD05AF6C69B6), UINT64_C(0xA7C5AC471B478424),
    UINT64_C(0xD1B71758E219652C), UINT64_C(0x83126E978D4FDF3C), UINT64_C(0xA3D70A3D70A3D70B),
    UINT64_C(0xCCCCCCCCCCCCCCCD), UINT64_C(0x8000000000000000), UINT64_C(0xA000000000000000),
    UINT64_C(0xC800000000000000), UINT64_C(0xFA00000000000000), UINT64_C(0x9C40000000000000),
    UINT64_C(0xC350000000000000), UINT64_C(0xF424000000000000), UINT64_C(0x9896800000000000),
    UINT64_C(0xBEBC200000000000), UINT64_C(0xEE6B280000000000), UINT64_C(0x9502F90000000000),
    UINT64_C(0xBA43B74000000000), UINT64_C(0xE8D4A51000000000), UINT64_C(0x9184E72A00000000),
    UINT64_C(0xB5E620F480000000), UINT64_C(0xE35FA931A0000000), UINT64_C(0x8E1BC9BF04000000),
    UINT64_C(0xB1A2BC2EC5000000), UINT64_C(0xDE0B6B3A76400000), UINT64_C(0x8AC7230489E80000),
    UINT64_C(0xAD78EBC5AC620000), UINT64_C(0xD8D726B7177A8000), UINT64_C(0x878678326EAC9000),
    UINT64_C(0xA968163F0A57B400), UINT64_C(0xD3C21BCECCEDA100), UINT64_C(0x84595161401484A0),
    UINT64_C(0xA56FA5B99019A5C8), UINT64_C(0xCECB8F27F4200F3A), UINT64_C(0x813F3978F8940985),
    UINT64_C(0xA18F07D736B90BE6), UINT64_C(0xC9F2C9CD04674EDF), UINT64_C(0xFC6F7C4045812297),
    UINT64_C(0x9DC5ADA82B70B59E), UINT64_C(0xC5371912364CE306), UINT64_C(0xF684DF56C3E01BC7),
    UINT64_C(0x9A130B963A6C115D), UINT64_C(0xC097CE7BC90715B4), UINT64_C(0xF0BDC21ABB48DB21),
    UINT64_C(0x96769950B50D88F5), UINT64_C(0xBC143FA4E250EB32), UINT64_C(0xEB194F8E1AE525FE),
    UINT64_C(0x92EFD1B8D0CF37BF), UINT64_C(0xB7ABC627050305AE), UINT64_C(0xE596B7B0C643C71A),
    UINT64_C(0x8F7E32CE7BEA5C70), UINT64_C(0xB35DBF821AE4F38C),
};

static int floor_log2_of_power_of_ten(int k) /* |k| <= 1233 */
{
    return (k * 1741647) >> 19;
}

/* floor(log10 2^q), or floor(log10 (3/4 * 2^q)) for the narrower interval above a power of two. */
static int floor_log10_of_width(int q, bool is_narrow)
{
    return (q * 1262611 - (is_narrow ? 524031 : 0)) >> 22;
}

/* power * scaled / 2^64 with the last bit set when bits are lost: comparisons with integers then
 * come out as those of the exact product would. */
static uint32_t multiply_round_to_odd(uint64_t power, uint32_t scaled)
{
    unsigned __int128 product = (unsigned __int128)power * scaled;
    uint32_t high = (uint32_t)(product >> 64), low = (uint32_t)(product >> 32);
    return high | (low > 1);
}

struct decimal32 {
    uint32_t digits;
    int exponent; /* digits * 10^exponent */
};

/* In quarters of 10^k: `lower` and `upper` are the interval's ends as far as they belong to it. */
static struct decimal32 choose_decimal(uint32_t v, uint32_t lower, uint32_t upper, int k)
{
    uint32_t s = v / 4;
    if (s >= 10) {
        uint32_t tens = s / 10;
        bool down_fits = lower <= 40 * tens, up_fits = 40 * tens + 40 <= upper;
        if (down_fits != up_fits)
            return (struct decimal32){tens + up_fits, k + 1};
    }
    bool down_fits = lower <= 4 * s, up_fits = 4 * s + 4 <= upper;
    if (down_fits != up_fits)
        return (struct decimal32){s + up_fits, k};
    uint32_t middle = 4 * s + 2;
    bool round_up = v > middle || (v == middle && (s & 1));
    return (struct decimal32){s + round_up, k};
}

/* The shortest decimal of a positive finite float from its significand and exponent fields. */
static struct decimal32 shortest_decimal(uint32_t fraction, uint32_t biased)
{
    uint32_t c = biased ? fraction | UINT32_C(1) << 23 : fraction;
    int q = biased ? (int)biased - 150 : -149;
    if (q <= 0 && q > -24 && (c & ((UINT32_C(1) << -q) - 1)) == 0)
        return (struct decimal32){c >> -q, 0}; /* a whole number below 2^24 */
    bool is_narrow = fraction == 0 && biased > 1, is_odd = c & 1;
    int k = floor_log10_of_width(q, is_narrow);
    int shift = q + floor_log2_of_power_of_ten(-k) + 1;
    uint64_t power = powers_of_ten[-k - POWER_MIN];
    uint32_t lower = multiply_round_to_odd(power, (4 * c - 2 + is_narrow) << shift);
    uint32_t v = multiply_round_to_odd(power, 4 * c << shift);
    uint32_t upper = multiply_round_to_odd(power, (4 * c + 2) << shift);
    /* A tie rounds to the even neighbour: the ends belong to the interval when c is even. */
    return choose_decimal(v, lower + is_odd, upper - is_odd, k);
}

/* Zeros in front of the point, in ECMAScript's plain notation: 1e-7 < v < 1e21. */
enum { PLAIN_POINT_MIN = -6, PLAIN_POINT_MAX = 21 };

static char *put_exponent(char *p, int exponent)
{
    *p++ = 'e';
    if (exponent < 0)
        *p++ = '-';
    return p + str_from_u64((uint64_t)abs(exponent), p);
}

/* d.ddde-7: one digit before the point. */
static char *put_scientific(char *p, const char *digits, int count, int exponent)
{
    *p++ = digits[0];
    if (count > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, (size_t)count - 1);
        p += count - 1;
    }
    return put_exponent(p, exponent);
}

/* 0.00ddd, dd.ddd or ddd00.0; `point` digits stand before the point. */
static char *put_plain(char *p, const char *digits, int count, int point)
{
    if (point <= 0) {
        memcpy(p, "0.000000", (size_t)(2 - point));
        p += 2 - point;
        memcpy(p, digits, (size_t)count);
        return p + count;
    }
    if (point < count) {
        memcpy(p, digits, (size_t)point);
        p[point] = '.';
        memcpy(p + point + 1, digits + point, (size_t)(count - point));
        return p + count + 1;
    }
    memcpy(p, digits, (size_t)count);
    memset(p + count, '0', (size_t)(point - count));
    memcpy(p + point, ".0", 2);
    return p + point + 2;
}

size_t str_from_f32(float value, char *out)
{
    uint32_t bits;
    char digits[16] = "", *p = out;
    memcpy(&bits, &value, sizeof(bits));
    uint32_t fraction = bits & 0x7FFFFF, biased = bits >> 23 & 0xFF;
    if (biased == 0xFF) {
        memcpy(out, "null", 4);
        return 4;
    }
    if (bits >> 31)
        *p++ = '-';
    if (!fraction && !biased) {
        memcpy(p, "0.0", 3);
        return (size_t)(p - out) + 3;
    }
    struct decimal32 d = shortest_decimal(fraction, biased);
    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    int count = digit_count(d.digits), point = count + d.exponent;
    put_digits(digits, d.digits, count);
    p = point >= PLAIN_POINT_MIN + 1 && point <= PLAIN_POINT_MAX
            ? put_plain(p, digits, count, point)
            : put_scientific(p, digits, count, point - 1);
    return (size_t)(p - out);
}

size_t str_from_f64(double value, char *out)
{
    char memory[256];
    yyjson_alc alc;
    yyjson_val number = {0};
    size_t len = 0;
    if (!isfinite(value)) {
        memcpy(out, "null", 4);
        return 4;
    }
    bool ok = yyjson_alc_pool_init(&alc, memory, sizeof(memory));
    unsafe_yyjson_set_real(&number, value);
    const char *text = yyjson_val_write_opts(&number, YYJSON_WRITE_NOFLAG, &alc, &len, NULL);
    assert(ok && text && len > 0 && len <= STR_NUMBER_BYTES);
    memcpy(out, text, len);
    return len;
}
