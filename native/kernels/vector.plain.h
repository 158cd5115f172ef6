#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../core/numbers.h"

// Sixteen floats at a time, written so that it shows what every instruction set computes. Included by one source per set, hence the unnamed namespace.
namespace troupe {
namespace {

/** How many vectors of sums a loop should keep. */
constexpr int SUMS = 4;

struct V {
  float f[16];
};

#define EACH for (int i = 0; i < 16; i++)

inline V splat(float x) {
  V v;
  EACH v.f[i] = x;
  return v;
}
inline V load(const float* p) {
  V v;
  memcpy(v.f, p, 64);
  return v;
}
/** The first `n` < 16, zeros behind. */
inline V load_some(const float* p, int n) {
  V v = splat(0);
  memcpy(v.f, p, size_t(n) * 4);
  return v;
}
inline V load_bf16(const uint16_t* p) {
  V v;
  EACH v.f[i] = from_bf16(p[i]);
  return v;
}
inline V load_f16(const uint16_t* p) {
  V v;
  EACH v.f[i] = from_f16(p[i]);
  return v;
}
inline void store(float* p, V v) { memcpy(p, v.f, 64); }
inline void store_some(float* p, V v, int n) { memcpy(p, v.f, size_t(n) * 4); }
inline void store_bf16(uint16_t* p, V v) { EACH p[i] = to_bf16(v.f[i]); }

inline V add(V a, V b) {
  EACH a.f[i] += b.f[i];
  return a;
}
inline V sub(V a, V b) {
  EACH a.f[i] -= b.f[i];
  return a;
}
inline V mul(V a, V b) {
  EACH a.f[i] *= b.f[i];
  return a;
}
inline V div(V a, V b) {
  EACH a.f[i] /= b.f[i];
  return a;
}
/** a · b + c, rounded once. */
inline V fma(V a, V b, V c) {
  EACH c.f[i] = fmaf(a.f[i], b.f[i], c.f[i]);
  return c;
}
/** `b` where either is not a number. */
inline V min(V a, V b) {
  EACH b.f[i] = a.f[i] < b.f[i] ? a.f[i] : b.f[i];
  return b;
}
inline V max(V a, V b) {
  EACH b.f[i] = a.f[i] > b.f[i] ? a.f[i] : b.f[i];
  return b;
}
inline V abs(V a) {
  EACH a.f[i] = fabsf(a.f[i]);
  return a;
}
inline V copy_sign(V magnitude, V sign) {
  EACH magnitude.f[i] = copysignf(magnitude.f[i], sign.f[i]);
  return magnitude;
}
/** To the nearest integer, ties to even. */
inline V round(V a) {
  EACH a.f[i] = nearbyintf(a.f[i]);
  return a;
}
/** 2^n for integers −126 ≤ n ≤ 127; anything for others. */
inline V power_of_two(V n) {
  EACH n.f[i] = n.f[i] >= -126 && n.f[i] <= 127 ? float_of_bits(uint32_t(int(n.f[i]) + 127) << 23) : n.f[i];
  return n;
}
/** a < b ? yes : no */
inline V where_less(V a, V b, V yes, V no) {
  EACH no.f[i] = a.f[i] < b.f[i] ? yes.f[i] : no.f[i];
  return no;
}
/** Bit i: a < b in lane i. */
inline uint32_t less_bits(V a, V b) {
  uint32_t bits = 0;
  EACH bits |= uint32_t(a.f[i] < b.f[i]) << i;
  return bits;
}
/** Lane i of `yes` where bit i is set, of `no` elsewhere. */
inline V where_bits(uint32_t bits, V yes, V no) {
  EACH no.f[i] = bits >> i & 1 ? yes.f[i] : no.f[i];
  return no;
}
/** Halves added until one is left. */
inline float sum(V a) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) a.f[i] += a.f[i + half];
  return a.f[0];
}
inline float largest_lane(V a) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) a.f[i] = a.f[i] > a.f[i + half] ? a.f[i] : a.f[i + half];
  return a.f[0];
}
/** Stores the 16 nearest integers of values within ±127 (anything for others) and returns their sum. */
inline int32_t store_int8(int8_t* p, V a) {
  int32_t total = 0;
  EACH {
    const float nearest = nearbyintf(a.f[i]);
    p[i] = nearest >= -128 && nearest <= 127 ? int8_t(nearest) : int8_t(-128);
    total += p[i];
  }
  return total;
}
inline void prefetch(const char*) {}

}  // namespace
}  // namespace troupe
