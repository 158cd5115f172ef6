#pragma once
#include "../core/kernels.h"
#include "vector.plain.h"

namespace troupe {
namespace {

/** Rows whose dot products with a block are computed together. */
constexpr int ROWS[] = {4, 2, 1};

/**
 * Dot products of a block of 32 inputs × 16 outputs with `R` rows of int8, `q [R][32]`; `done(row, V)` gets them as floats.
 * `zero` is −128 · Σq of each row, for sets that multiply q8's unsigned bytes.
 */
template <bool Q4, int R, typename Done>
inline void dots(const uint8_t* w, const int8_t* q, const int32_t*, Done done) {
  for (int r = 0; r < R; r++, q += 32) {
    int32_t total[16] = {};
    for (int quad = 0; quad < 8; quad++)
      for (int output = 0; output < 16; output++)
        for (int input = 0; input < 4; input++) {
          const uint8_t byte = w[(Q4 ? quad & 3 : quad) * 64 + output * 4 + input];
          const int value = Q4 ? (quad < 4 ? byte & 15 : byte >> 4) : int(byte) - 128;
          total[output] += value * q[quad * 4 + input];
        }
    V v;
    EACH v.f[i] = float(total[i]);
    done(r, v);
  }
}

}  // namespace
}  // namespace troupe
