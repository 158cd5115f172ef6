#pragma once
#include <cstdint>
#include <cstring>

namespace troupe {

inline float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

inline float from_bf16(uint16_t half) { return float_of_bits(uint32_t(half) << 16); }

/** Nearest, ties to even; a NaN stays one. */
inline uint16_t to_bf16(float value) {
  const uint32_t bits = bits_of_float(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float from_f16(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 31) return float_of_bits(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
  const float subnormal = float(fraction) * 5.9604644775390625e-8f;  // 2^-24
  return sign ? -subnormal : subnormal;
}

/** Nearest, ties to even; what is too large becomes infinite. */
inline uint16_t to_f16(float value) {
  const uint32_t bits = bits_of_float(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return uint16_t(sign | 0x7e00);
  if (magnitude >= 0x477ff000u) return uint16_t(sign | 0x7c00);  // 65520 and more
  if (magnitude < 0x38800000u) {                                 // below 2^-14: a multiple of 2^-24
    // Adding 0.5 leaves exactly the bits of a multiple of 2^-24 in the fraction, rounded to even by the hardware.
    const float shifted = float_of_bits(magnitude) + 0.5f;
    return uint16_t(sign | (bits_of_float(shifted) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return uint16_t(sign | (rounded - 0x38000000u) >> 13);
}

}  // namespace troupe
