#pragma once
#include "../core/kernels.h"
#include "unroll.h"
#include "vector.avx2.h"

namespace troupe {
namespace {

constexpr int ROWS[] = {4, 3, 2, 1};

/** Four int8 values as the 32 bits that are given to every lane. */
typedef int32_t Quad __attribute__((may_alias, aligned(1)));

inline __m256i quad_of(const int8_t* q, int i) { return _mm256_set1_epi32(reinterpret_cast<const Quad*>(q)[i]); }

inline __m256i weights_at(const uint8_t* w) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w)); }

/** Quad `quad` of the 8 outputs of one half of a tile: 0 … 15 of q4, value + 128 of q8. */
template <bool Q4>
inline __m256i weights_of(const uint8_t* w, int quad, int half) {
  const __m256i bytes = weights_at(w + (Q4 ? quad % 4 : quad) * 64 + half * 32);
  if (!Q4) return bytes;
  return _mm256_and_si256(quad < 4 ? bytes : _mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
}

#if defined(__AVXVNNI__)
inline __m256i multiply_add(__m256i sum, __m256i weights, __m256i x) { return _mm256_dpbusd_avx_epi32(sum, weights, x); }
#elif defined(__AVX512VNNI__)
// The same instruction in AVX-512's encoding: tests run this on machines that have no other.
inline __m256i multiply_add(__m256i sum, __m256i weights, __m256i x) { return _mm256_dpbusd_epi32(sum, weights, x); }
#endif

/** `dots.plain.h` says what it means. */
template <bool Q4, int R, typename Done>
inline void dots(const uint8_t* w, const int8_t* q, const int32_t* zero, Done done) {
  UNROLL(8)
  for (int i = 0; i < (Q4 ? 4 : 8); i++) _mm_prefetch(reinterpret_cast<const char*>(w + 2048 + i * 64), _MM_HINT_T0);
  __m256i sums[R][2];
#if defined(__AVXVNNI__) || defined(__AVX512VNNI__)
  UNROLL(4)
  for (int r = 0; r < R; r++) sums[r][0] = sums[r][1] = _mm256_set1_epi32(Q4 ? 0 : zero[r]);
  UNROLL(8)
  for (int quad = 0; quad < 8; quad++) {
    const __m256i low = weights_of<Q4>(w, quad, 0), high = weights_of<Q4>(w, quad, 1);
    UNROLL(4)
    for (int r = 0; r < R; r++) {
      const __m256i x = quad_of(q + r * BLOCK, quad);
      sums[r][0] = multiply_add(sums[r][0], low, x);
      sums[r][1] = multiply_add(sums[r][1], high, x);
    }
  }
#else
  (void)zero;
  const __m256i ones = _mm256_set1_epi16(1);
  UNROLL(4)
  for (int r = 0; r < R; r++) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
  UNROLL(8)
  for (int quad = 0; quad < 8; quad++) {
    const __m256i low = weights_of<Q4>(w, quad, 0), high = weights_of<Q4>(w, quad, 1);
    if (Q4) {
      // Eight sums of two products of at most 15 · 127 stay below 2^15, so int16 lanes hold a whole block.
      UNROLL(4)
      for (int r = 0; r < R; r++) {
        const __m256i x = quad_of(q + r * BLOCK, quad);
        sums[r][0] = _mm256_add_epi16(sums[r][0], _mm256_maddubs_epi16(low, x));
        sums[r][1] = _mm256_add_epi16(sums[r][1], _mm256_maddubs_epi16(high, x));
      }
    } else {
      // VPMADDUBSW takes one side unsigned: the magnitude of the weights, with their sign moved to x. 2 · 128 · 127 still fits int16.
      const __m256i top = _mm256_set1_epi8(-128), first = _mm256_xor_si256(low, top), second = _mm256_xor_si256(high, top);
      const __m256i firstSize = _mm256_abs_epi8(first), secondSize = _mm256_abs_epi8(second);
      UNROLL(4)
      for (int r = 0; r < R; r++) {
        const __m256i x = quad_of(q + r * BLOCK, quad);
        const __m256i a = _mm256_maddubs_epi16(firstSize, _mm256_sign_epi8(x, first));
        const __m256i b = _mm256_maddubs_epi16(secondSize, _mm256_sign_epi8(x, second));
        sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(a, ones));
        sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(b, ones));
      }
    }
  }
  if (Q4) {
    UNROLL(4)
    for (int r = 0; r < R; r++) sums[r][0] = _mm256_madd_epi16(sums[r][0], ones), sums[r][1] = _mm256_madd_epi16(sums[r][1], ones);
  }
#endif
  UNROLL(4)
  for (int r = 0; r < R; r++) done(r, V{_mm256_cvtepi32_ps(sums[r][0]), _mm256_cvtepi32_ps(sums[r][1])});
}

}  // namespace
}  // namespace troupe
