/* half.c - floats rounded to 16 bits. */
#include "base/half.h"

#include <math.h>

static uint32_t bits_of_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* The upper bits of a number whose `dropped` lower ones are rounded away, ties to even. */
static uint32_t round_bits(uint32_t number, int dropped)
{
    uint32_t half = UINT32_C(1) << (dropped - 1);
    return (number + half - 1 + (number >> dropped & 1)) >> dropped;
}

uint16_t f32_to_f16(float value)
{
    uint32_t bits = bits_of_f32(value), magnitude = bits & 0x7fffffff;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (magnitude > 0x7f800000) /* NaN stays one, and quiet */
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000) /* 65520, half way to the first that is too large */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) { /* below 2^-14: subnormal, in units of 2^-24 */
        float units = half_from_bits(magnitude) * 0x1p24f;
        return (uint16_t)(sign | (uint16_t)lrintf(units));
    }
    return (uint16_t)(sign | round_bits(magnitude - (UINT32_C(112) << 23), 13));
}

uint16_t f32_to_bf16(float value)
{
    uint32_t bits = bits_of_f32(value);
    if (isnan(value))
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)round_bits(bits, 16);
}
