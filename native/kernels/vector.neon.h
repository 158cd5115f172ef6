#pragma once
#include <arm_neon.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../core/numbers.h"

// Sixteen floats in four registers; `vector.plain.h` says what each function means.
namespace troupe {
namespace {

constexpr int SUMS = 6;

struct V {
  float32x4_t q[4];
};

#define EACH                                   \
  _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++)

inline V splat(float x) {
  const float32x4_t q = vdupq_n_f32(x);
  return {{q, q, q, q}};
}
inline V load(const float* p) { return {{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}}; }
inline void store(float* p, V v) { EACH vst1q_f32(p + 4 * i, v.q[i]); }
inline V load_some(const float* p, int n) {
  float padded[16] = {};
  memcpy(padded, p, size_t(n) * 4);
  return load(padded);
}
inline void store_some(float* p, V v, int n) {
  float padded[16];
  store(padded, v);
  memcpy(p, padded, size_t(n) * 4);
}
inline V load_bf16(const uint16_t* p) {
  V v;
  EACH v.q[i] = vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16));
  return v;
}
inline V load_f16(const uint16_t* p) {
  V v;
  EACH v.q[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i)));
  return v;
}
inline void store_bf16(uint16_t* p, V v) {
  EACH {
    const uint32x4_t bits = vreinterpretq_u32_f32(v.q[i]), high = vshrq_n_u32(bits, 16);
    const uint32x4_t odd = vandq_u32(high, vdupq_n_u32(1));
    const uint32x4_t rounded = vshrq_n_u32(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16);
    const uint32x4_t nan = vorrq_u32(high, vdupq_n_u32(0x40));
    vst1_u16(p + 4 * i, vmovn_u32(vbslq_u32(vceqq_f32(v.q[i], v.q[i]), rounded, nan)));
  }
}

inline V add(V a, V b) {
  EACH a.q[i] = vaddq_f32(a.q[i], b.q[i]);
  return a;
}
inline V sub(V a, V b) {
  EACH a.q[i] = vsubq_f32(a.q[i], b.q[i]);
  return a;
}
inline V mul(V a, V b) {
  EACH a.q[i] = vmulq_f32(a.q[i], b.q[i]);
  return a;
}
inline V div(V a, V b) {
  EACH a.q[i] = vdivq_f32(a.q[i], b.q[i]);
  return a;
}
inline V fma(V a, V b, V c) {
  EACH c.q[i] = vfmaq_f32(c.q[i], a.q[i], b.q[i]);
  return c;
}
// Not vminq and vmaxq, which keep what is no number wherever it stands.
inline V min(V a, V b) {
  EACH b.q[i] = vbslq_f32(vcltq_f32(a.q[i], b.q[i]), a.q[i], b.q[i]);
  return b;
}
inline V max(V a, V b) {
  EACH b.q[i] = vbslq_f32(vcgtq_f32(a.q[i], b.q[i]), a.q[i], b.q[i]);
  return b;
}
inline V abs(V a) {
  EACH a.q[i] = vabsq_f32(a.q[i]);
  return a;
}
inline V copy_sign(V magnitude, V sign) {
  EACH magnitude.q[i] = vbslq_f32(vdupq_n_u32(0x80000000u), sign.q[i], magnitude.q[i]);
  return magnitude;
}
inline V round(V a) {
  EACH a.q[i] = vrndnq_f32(a.q[i]);
  return a;
}
inline V power_of_two(V n) {
  EACH n.q[i] = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n.q[i]), vdupq_n_s32(127)), 23));
  return n;
}
inline V where_less(V a, V b, V yes, V no) {
  EACH no.q[i] = vbslq_f32(vcltq_f32(a.q[i], b.q[i]), yes.q[i], no.q[i]);
  return no;
}
inline uint32x4_t places(int i) {
  const uint32x4_t first = {1, 2, 4, 8};
  return vshlq_u32(first, vdupq_n_s32(4 * i));
}
inline uint32_t less_bits(V a, V b) {
  uint32_t bits = 0;
  EACH bits |= vaddvq_u32(vandq_u32(vcltq_f32(a.q[i], b.q[i]), places(i)));
  return bits;
}
inline V where_bits(uint32_t bits, V yes, V no) {
  EACH no.q[i] = vbslq_f32(vtstq_u32(vdupq_n_u32(bits), places(i)), yes.q[i], no.q[i]);
  return no;
}

inline float sum(V a) {
  const float32x4_t four = vaddq_f32(vaddq_f32(a.q[0], a.q[2]), vaddq_f32(a.q[1], a.q[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
inline float largest_lane(V a) {
  const auto larger = [](float32x4_t x, float32x4_t y) { return vbslq_f32(vcgtq_f32(x, y), x, y); };
  const float32x4_t four = larger(larger(a.q[0], a.q[2]), larger(a.q[1], a.q[3]));
  const float x = vgetq_lane_f32(four, 0), y = vgetq_lane_f32(four, 1), z = vgetq_lane_f32(four, 2), w = vgetq_lane_f32(four, 3);
  const float low = x > z ? x : z, high = y > w ? y : w;
  return low > high ? low : high;
}
inline int32_t store_int8(int8_t* p, V a) {
  int32x4_t n[4];
  EACH n[i] = vcvtnq_s32_f32(a.q[i]);
  const int16x8_t low = vcombine_s16(vqmovn_s32(n[0]), vqmovn_s32(n[1])), high = vcombine_s16(vqmovn_s32(n[2]), vqmovn_s32(n[3]));
  vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
  return vaddvq_s32(vaddq_s32(vaddq_s32(n[0], n[1]), vaddq_s32(n[2], n[3])));
}
inline void prefetch(const char* p) { __builtin_prefetch(p, 0, 2); }

#undef EACH

}  // namespace
}  // namespace troupe
