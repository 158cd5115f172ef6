#pragma once
#include "../core/kernels.h"
#include "unroll.h"
#include "vector.neon.h"

namespace troupe {
namespace {

constexpr int ROWS[] = {4, 3, 2, 1};

/** Quad `quad` of outputs 4 · `part` …: 0 … 15 of q4, the value of q8 where products are signed, 128 more where weights are unsigned. */
template <bool Q4>
inline uint8x16_t weights_of(const uint8_t* w, int quad, int part) {
  const uint8x16_t bytes = vld1q_u8(w + (Q4 ? quad % 4 : quad) * 64 + part * 16);
  if (Q4) return quad < 4 ? vandq_u8(bytes, vdupq_n_u8(15)) : vshrq_n_u8(bytes, 4);
#ifdef __ARM_FEATURE_MATMUL_INT8
  return bytes;
#else
  return veorq_u8(bytes, vdupq_n_u8(128));
#endif
}

#ifdef __ARM_FEATURE_DOTPROD

/** sums[o] += weights of output o · quad `LANE` of x. */
template <int LANE>
inline int32x4_t multiply_add(int32x4_t sums, uint8x16_t weights, int8x16_t x) {
#ifdef __ARM_FEATURE_MATMUL_INT8
  return vusdotq_laneq_s32(sums, weights, x, LANE);
#else
  return vdotq_laneq_s32(sums, vreinterpretq_s8_u8(weights), x, LANE);
#endif
}

template <bool Q4, int R, int QUAD>
inline void quads(const uint8_t* w, const int8x16_t (&x)[R][2], int32x4_t (&sums)[R][4]) {
  UNROLL(4)
  for (int part = 0; part < 4; part++) {
    const uint8x16_t weights = weights_of<Q4>(w, QUAD, part);
    UNROLL(4)
    for (int r = 0; r < R; r++) sums[r][part] = multiply_add<QUAD % 4>(sums[r][part], weights, x[r][QUAD / 4]);
  }
  if constexpr (QUAD < 7) quads<Q4, R, QUAD + 1>(w, x, sums);
}

/** `dots.plain.h` says what it means. */
template <bool Q4, int R, typename Done>
inline void dots(const uint8_t* w, const int8_t* q, const int32_t* zero, Done done) {
  __builtin_prefetch(w + 2048);
  int8x16_t x[R][2];
  int32x4_t sums[R][4];
#ifdef __ARM_FEATURE_MATMUL_INT8
  const bool unsignedWeights = !Q4;
#else
  const bool unsignedWeights = false;
#endif
  UNROLL(4)
  for (int r = 0; r < R; r++) {
    x[r][0] = vld1q_s8(q + r * BLOCK), x[r][1] = vld1q_s8(q + r * BLOCK + 16);
    const int32x4_t start = vdupq_n_s32(unsignedWeights ? zero[r] : 0);
    sums[r][0] = sums[r][1] = sums[r][2] = sums[r][3] = start;
  }
  quads<Q4, R, 0>(w, x, sums);
  UNROLL(4)
  for (int r = 0; r < R; r++)
    done(r, V{{vcvtq_f32_s32(sums[r][0]), vcvtq_f32_s32(sums[r][1]), vcvtq_f32_s32(sums[r][2]), vcvtq_f32_s32(sums[r][3])}});
}

#else

/** `dots.plain.h` says what it means. Products are widened to int16 in pairs of outputs, and their sums to int32. */
template <bool Q4, int R, typename Done>
inline void dots(const uint8_t* w, const int8_t* q, const int32_t*, Done done) {
  __builtin_prefetch(w + 2048);
  UNROLL(4)
  for (int r = 0; r < R; r++) {
    V v;
    UNROLL(4)
    for (int part = 0; part < 4; part++) {
      int32x4_t low = vdupq_n_s32(0), high = low;
      if (Q4) {
        // Eight products of at most 15 · 127 stay below 2^15, so int16 lanes hold a whole block.
        int16x8_t lows = vdupq_n_s16(0), highs = lows;
        UNROLL(8)
        for (int quad = 0; quad < 8; quad++) {
          int32_t four;
          memcpy(&four, q + r * BLOCK + quad * 4, 4);
          const int8x8_t x = vreinterpret_s8_s32(vdup_n_s32(four));
          const int8x16_t weights = vreinterpretq_s8_u8(weights_of<Q4>(w, quad, part));
          lows = vmlal_s8(lows, vget_low_s8(weights), x), highs = vmlal_s8(highs, vget_high_s8(weights), x);
        }
        low = vpaddlq_s16(lows), high = vpaddlq_s16(highs);
      } else {
        UNROLL(8)
        for (int quad = 0; quad < 8; quad++) {
          int32_t four;
          memcpy(&four, q + r * BLOCK + quad * 4, 4);
          const int8x8_t x = vreinterpret_s8_s32(vdup_n_s32(four));
          const int8x16_t weights = vreinterpretq_s8_u8(weights_of<Q4>(w, quad, part));
          low = vpadalq_s16(low, vmull_s8(vget_low_s8(weights), x)), high = vpadalq_s16(high, vmull_s8(vget_high_s8(weights), x));
        }
      }
      v.q[part] = vcvtq_f32_s32(vpaddq_s32(low, high));
    }
    done(r, v);
  }
}

#endif

}  // namespace
}  // namespace troupe
