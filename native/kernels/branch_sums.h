#pragma once
// The two products of a branch; included after a set's `products.h`.

namespace troupe {
namespace {

inline V load_weights_some(const float* p, int n) { return load_some(p, n); }
inline V load_weights_some(const uint16_t* p, int n) {
  uint16_t padded[16] = {};
  memcpy(padded, p, size_t(n) * 2);
  return load_bf16(padded);
}

template <typename W, int M, int R>
inline void down_block(const float* const* x, const W* down, int inputs, float* out, size_t stride) {
  V s[M][R];
  UNROLL(8)
  for (int m = 0; m < M; m++)
    UNROLL(8)
    for (int r = 0; r < R; r++) s[m][r] = splat(0);
  int k = 0;
  for (; k + 16 <= inputs; k += 16) {
    V w[R];
    UNROLL(8)
    for (int r = 0; r < R; r++) w[r] = load_weights(down + size_t(r) * inputs + k);
    UNROLL(8)
    for (int m = 0; m < M; m++) {
      const V v = load(x[m] + k);
      UNROLL(8)
      for (int r = 0; r < R; r++) s[m][r] = fma(v, w[r], s[m][r]);
    }
  }
  if (k < inputs)
    UNROLL(8)
    for (int m = 0; m < M; m++) {
      const V v = load_some(x[m] + k, inputs - k);
      UNROLL(8)
      for (int r = 0; r < R; r++) s[m][r] = fma(v, load_weights_some(down + size_t(r) * inputs + k, inputs - k), s[m][r]);
    }
  UNROLL(8)
  for (int m = 0; m < M; m++)
    UNROLL(8)
    for (int r = 0; r < R; r++) out[m * stride + r] = sum(s[m][r]);
}

template <typename W, int M>
inline void down_ranks(const float* const* x, const W* down, int ranks, int inputs, float* out, size_t stride) {
  constexpr int R = SUMS / M >= 8 ? 8 : SUMS / M >= 4 ? 4 : SUMS / M >= 2 ? 2 : 1;
  int r = 0;
  for (; r + R <= ranks; r += R) down_block<W, M, R>(x, down + size_t(r) * inputs, inputs, out + r, stride);
  for (; r < ranks; r++) down_block<W, M, 1>(x, down + size_t(r) * inputs, inputs, out + r, stride);
}

template <typename W>
void down(const float* const* x, int rows, const void* weights, int ranks, int inputs, float* out, size_t stride) {
  const W* w = static_cast<const W*>(weights);
  int m = 0;
  for (; m + 4 <= rows; m += 4) down_ranks<W, 4>(x + m, w, ranks, inputs, out + m * stride, stride);
  for (; m + 2 <= rows; m += 2) down_ranks<W, 2>(x + m, w, ranks, inputs, out + m * stride, stride);
  for (; m < rows; m++) down_ranks<W, 1>(x + m, w, ranks, inputs, out + m * stride, stride);
}

template <typename W, int M, int T>
inline void up_block(const W* up, int rank, const float* const* xa, float* const* sums, size_t tile, size_t stride) {
  V s[M][T];
  UNROLL(8)
  for (int m = 0; m < M; m++)
    UNROLL(8)
    for (int t = 0; t < T; t++) s[m][t] = load(sums[m] + (tile + t) * stride);
  for (int r = 0; r < rank; r++)
    UNROLL(8)
    for (int t = 0; t < T; t++) {
      const V w = load_weights(up + (size_t(t) * rank + r) * TILE);
      UNROLL(8)
      for (int m = 0; m < M; m++) s[m][t] = fma(w, splat(xa[m][r]), s[m][t]);
    }
  UNROLL(8)
  for (int m = 0; m < M; m++)
    UNROLL(8)
    for (int t = 0; t < T; t++) store(sums[m] + (tile + t) * stride, s[m][t]);
}

template <typename W, int M>
inline void up_rows(const UpRun& run, int row) {
  constexpr int T = SUMS / M >= 4 ? 4 : SUMS / M >= 2 ? 2 : 1;
  const W* up = static_cast<const W*>(run.up);
  const size_t tileSize = size_t(run.rank) * TILE;
  int t = 0;
  for (; t + T <= run.tiles; t += T) up_block<W, M, T>(up + t * tileSize, run.rank, run.xa + row, run.sums + row, t, run.stride);
  for (; t < run.tiles; t++) up_block<W, M, 1>(up + t * tileSize, run.rank, run.xa + row, run.sums + row, t, run.stride);
}

template <typename W>
void up(const UpRun& run) {
  int row = 0;
  if constexpr (SUMS >= 8)
    for (; row + 8 <= run.rows; row += 8) up_rows<W, 8>(run, row);
  for (; row + 4 <= run.rows; row += 4) up_rows<W, 4>(run, row);
  for (; row + 2 <= run.rows; row += 2) up_rows<W, 2>(run, row);
  for (; row < run.rows; row++) up_rows<W, 1>(run, row);
}

}  // namespace
}  // namespace troupe
