/* half.h - the two 16-bit floats, FP16 (IEEE 754 binary16) and BF16, to float and back. */
#ifndef SLIPWAY_BASE_HALF_H
#define SLIPWAY_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* BF16 is the upper half of a float. */
static inline float bf16_to_f32(uint16_t half)
{
    return half_from_bits((uint32_t)half << 16);
}

/* Exact: every FP16 value is a float. A subnormal is its fraction times 2^-24. */
static inline float f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
    if (exponent == 0) {
        float value = (float)fraction * 0x1p-24F;
        return sign ? -value : value;
    }
    uint32_t biased = exponent == 0x1f ? 0xff : exponent - 15 + 127;
    return half_from_bits(sign | biased << 23 | fraction << 13);
}

/* The nearest, ties to even; what is too large becomes infinite, NaN stays NaN. */
uint16_t f32_to_f16(float value);
uint16_t f32_to_bf16(float value);

#endif
