#pragma once
#include "../core/kernels.h"
#include "unroll.h"
#include "vector.avx512.h"

namespace troupe {
namespace {

constexpr int ROWS[] = {16, 12, 8, 6, 4, 3, 2, 1};

/** Four int8 values as the 32 bits that are given to every lane. A copy of them would take the way through scalar registers. */
typedef int32_t Quad __attribute__((may_alias, aligned(1)));

/** `dots.plain.h` says what it means. VPDPBUSD multiplies unsigned weights: of q8 they are 128 too large, which `zero` takes off. */
template <bool Q4, int R, typename Done>
inline void dots(const uint8_t* w, const int8_t* q, const int32_t* zero, Done done) {
  __m512i weights[8];
  if (Q4) {
    const __m512i low = _mm512_set1_epi8(15);
    UNROLL(4)
    for (int i = 0; i < 4; i++) {
      const __m512i both = _mm512_loadu_si512(w + i * 64);
      weights[i] = _mm512_and_si512(both, low);
      weights[i + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
    }
  } else {
    UNROLL(8)
    for (int i = 0; i < 8; i++) weights[i] = _mm512_loadu_si512(w + i * 64);
  }
  // The streams of tiles are too many and too short for the processor's own prefetching.
  UNROLL(8)
  for (int i = 0; i < (Q4 ? 4 : 8); i++) _mm_prefetch(reinterpret_cast<const char*>(w + 2048 + i * 64), _MM_HINT_T0);
  UNROLL(16)
  for (int r = 0; r < R; r++) {
    const Quad* quads = reinterpret_cast<const Quad*>(q + r * BLOCK);
    __m512i sum = Q4 ? _mm512_setzero_si512() : _mm512_set1_epi32(zero[r]);
    if (R <= 2) {
      // Two chains: with so few rows one would wait for itself.
      __m512i other = _mm512_setzero_si512();
      UNROLL(4)
      for (int i = 0; i < 4; i++) {
        sum = _mm512_dpbusd_epi32(sum, weights[i], _mm512_set1_epi32(quads[i]));
        other = _mm512_dpbusd_epi32(other, weights[i + 4], _mm512_set1_epi32(quads[i + 4]));
      }
      sum = _mm512_add_epi32(sum, other);
    } else {
      UNROLL(8)
      for (int i = 0; i < 8; i++) sum = _mm512_dpbusd_epi32(sum, weights[i], _mm512_set1_epi32(quads[i]));
    }
    done(r, V{_mm512_cvtepi32_ps(sum)});
  }
}

}  // namespace
}  // namespace troupe
