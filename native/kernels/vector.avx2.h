#pragma once
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../core/numbers.h"

// Sixteen floats in two registers; `vector.plain.h` says what each function means.
namespace troupe {
namespace {

constexpr int SUMS = 6;

struct V {
  __m256 low, high;
};

#define BOTH(f) {f(a.low, b.low), f(a.high, b.high)}

inline V splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline V load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, V v) {
  _mm256_storeu_ps(p, v.low);
  _mm256_storeu_ps(p + 8, v.high);
}
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
  const __m128i* halves = reinterpret_cast<const __m128i*>(p);
  const __m256i low = _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(halves)), 16);
  const __m256i high = _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(halves + 1)), 16);
  return {_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)};
}
inline V load_f16(const uint16_t* p) {
  const __m128i* halves = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}
inline __m256i bf16_bits(__m256 v) {
  const __m256i bits = _mm256_castps_si256(v), high = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i nan = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  return _mm256_blendv_epi8(rounded, nan, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
}
inline void store_bf16(uint16_t* p, V v) {
  const __m256i packed = _mm256_packus_epi32(bf16_bits(v.low), bf16_bits(v.high));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}

inline V add(V a, V b) { return BOTH(_mm256_add_ps); }
inline V sub(V a, V b) { return BOTH(_mm256_sub_ps); }
inline V mul(V a, V b) { return BOTH(_mm256_mul_ps); }
inline V div(V a, V b) { return BOTH(_mm256_div_ps); }
inline V min(V a, V b) { return BOTH(_mm256_min_ps); }
inline V max(V a, V b) { return BOTH(_mm256_max_ps); }
inline V fma(V a, V b, V c) { return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)}; }
inline V abs(V b) {
  const __m256 top = _mm256_set1_ps(-0.0f);
  const V a = {top, top};
  return BOTH(_mm256_andnot_ps);
}
inline V copy_sign(V magnitude, V sign) {
  const __m256 top = _mm256_set1_ps(-0.0f);
  const auto merge = [&](__m256 m, __m256 s) { return _mm256_or_ps(_mm256_andnot_ps(top, m), _mm256_and_ps(top, s)); };
  return {merge(magnitude.low, sign.low), merge(magnitude.high, sign.high)};
}
inline V round(V a) {
  constexpr int NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.low, NEAREST), _mm256_round_ps(a.high, NEAREST)};
}
inline V power_of_two(V n) {
  const auto half = [](__m256 v) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(127)), 23));
  };
  return {half(n.low), half(n.high)};
}
inline V where_less(V a, V b, V yes, V no) {
  return {_mm256_blendv_ps(no.low, yes.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.high, yes.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
}
inline uint32_t less_bits(V a, V b) {
  return uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ))) |
         uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))) << 8;
}
inline V where_bits(uint32_t bits, V yes, V no) {
  const __m256i places = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const auto mask = [&](uint32_t byte) {
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(int(byte)), places), places));
  };
  return {_mm256_blendv_ps(no.low, yes.low, mask(bits & 255)), _mm256_blendv_ps(no.high, yes.high, mask(bits >> 8))};
}

inline float sum(V a) {
  const __m256 eight = _mm256_add_ps(a.low, a.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float largest_lane(V a) {
  const __m256 eight = _mm256_max_ps(a.low, a.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
inline int32_t store_int8(int8_t* p, V a) {
  const __m256i low = _mm256_cvtps_epi32(a.low), high = _mm256_cvtps_epi32(a.high);
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
  const __m256i eight = _mm256_add_epi32(low, high);
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}
inline void prefetch(const char* p) { _mm_prefetch(p, _MM_HINT_T1); }

#undef BOTH

}  // namespace
}  // namespace troupe
