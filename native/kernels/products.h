#pragma once
// Products of tiles with rows; included after a set's `dots`.
#include "unroll.h"

namespace troupe {
namespace {

/** Asks for the lines of an `Ahead`, some at each step. Its place is kept here, since memory written at every block would be waited for at the next. */
class Fetcher {
 public:
  explicit Fetcher(Ahead* ahead) : ahead_(ahead) {
    if (ahead_ && ahead_->count > 0) at_ = ahead_->spans->at, end_ = ahead_->spans->end, lines_ = ahead_->lines;
  }
  ~Fetcher() {
    if (lines_ > 0) ahead_->spans->at = at_;
  }
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  void step() {
    for (int n = lines_; n > 0; n--) {
      prefetch(at_);
      at_ += 64;
      if (at_ >= end_ && !next_span()) return;
    }
  }

 private:
  bool next_span() {
    ahead_->spans++;
    if (--ahead_->count > 0) {
      at_ = ahead_->spans->at, end_ = ahead_->spans->end;
      return true;
    }
    lines_ = 0;
    return false;
  }

  Ahead* ahead_;
  const char *at_ = nullptr, *end_ = nullptr;
  int lines_ = 0;
};

/** One tile for `R` rows from `row` on. */
template <bool Q4, int R>
void quantised_rows(const TileRun& run, const RowGroup& group, int row, float* out, Ahead* ahead) {
  const int blocks = blocks_of(run.inputs), rows = group.rows;
  const uint8_t* w = static_cast<const uint8_t*>(run.w);
  const uint16_t *d = run.d, *m = run.m;
  const int8_t* q = group.q + row * BLOCK;
  const float *scale = group.scale + row, *offset = group.offset + row;
  const int32_t* zero = group.zero + row;
  V s[R];
  UNROLL(24)
  for (int r = 0; r < R; r++) s[r] = splat(0);
  Fetcher fetcher(ahead);
  for (int block = 0; block < blocks; block++) {
    fetcher.step();
    const V scales = load_f16(d);
    const V minima = Q4 ? load_f16(m) : splat(0);
    dots<Q4, R>(w, q, zero, [&](int r, V dot) __attribute__((always_inline)) {
      if (Q4) s[r] = fma(minima, splat(offset[r]), s[r]);
      s[r] = fma(dot, mul(scales, splat(scale[r])), s[r]);
    });
    w += Q4 ? 256 : 512, d += TILE;
    if (Q4) m += TILE;
    q += rows * BLOCK, scale += rows, offset += rows, zero += rows;
  }
  UNROLL(24)
  for (int r = 0; r < R; r++) store(out + size_t(row + r) * TILE, s[r]);
}

template <bool Q4, int I = 0>
inline void quantised_from(const TileRun& run, const RowGroup& group, int row, float* out, Ahead* ahead) {
  if constexpr (I < int(sizeof ROWS / sizeof *ROWS)) {
    for (; group.rows - row >= ROWS[I]; row += ROWS[I], ahead = nullptr)
      quantised_rows<Q4, ROWS[I]>(run, group, row, out, ahead);
    quantised_from<Q4, I + 1>(run, group, row, out, ahead);
  }
}

template <bool Q4>
void quantised(const TileRun& run, const RowGroup& group, float* out, Ahead* ahead) {
  // Tile by tile, so that a tile stays in the cache for all rows.
  TileRun one = run;
  one.tiles = 1;
  for (int tile = 0; tile < run.tiles; tile++) {
    quantised_from<Q4>(one, group, 0, out + size_t(tile) * group.rows * TILE, ahead);
    one.w = static_cast<const uint8_t*>(one.w) + tile_bytes(Q4 ? Format::q4 : Format::q8, run.inputs);
    one.d += tile_scales(run.inputs);
    if (Q4) one.m += tile_scales(run.inputs);
  }
}

inline V load_weights(const float* p) { return load(p); }
inline V load_weights(const uint16_t* p) { return load_bf16(p); }

/** `R` rows and `T` tiles at once; each sum goes through the inputs in order, so several must be under way to keep the multipliers busy. */
template <typename W, int R, int T>
inline void float_rows(const W* w, size_t tileStride, int inputs, const float* x, int rows, float* out, size_t outStride, Ahead* ahead) {
  V s[T][R];
  UNROLL(8)
  for (int t = 0; t < T; t++)
    UNROLL(24)
    for (int r = 0; r < R; r++) s[t][r] = splat(0);
  Fetcher fetcher(ahead);
  for (int k = 0; k < inputs; k++, x += rows) {
    if (k % BLOCK == 0) fetcher.step();
    UNROLL(8)
    for (int t = 0; t < T; t++) {
      const V weights = load_weights(w + t * tileStride + size_t(k) * TILE);
      UNROLL(24)
      for (int r = 0; r < R; r++) s[t][r] = fma(weights, splat(x[r]), s[t][r]);
    }
  }
  UNROLL(8)
  for (int t = 0; t < T; t++)
    UNROLL(24)
    for (int r = 0; r < R; r++) store(out + t * outStride + r * TILE, s[t][r]);
}

template <typename W, int R>
inline void float_tiles(const W* w, size_t tileStride, int tiles, int inputs, const float* x, int rows, float* out, size_t outStride,
                        Ahead* ahead) {
  constexpr int T = SUMS / R >= 8 ? 8 : SUMS / R >= 4 ? 4 : SUMS / R >= 2 ? 2 : 1;
  for (; tiles >= T; tiles -= T, w += T * tileStride, out += T * outStride)
    float_rows<W, R, T>(w, tileStride, inputs, x, rows, out, outStride, ahead);
  if constexpr (T > 1)
    for (; tiles > 0; tiles--, w += tileStride, out += outStride)
      float_rows<W, R, 1>(w, tileStride, inputs, x, rows, out, outStride, ahead);
}

template <typename W, int R>
inline int float_chunk(const TileRun& run, const RowGroup& group, int row, float* out, Ahead* ahead) {
  const size_t tileStride = size_t(run.inputs) * TILE, outStride = size_t(group.rows) * TILE;
  if constexpr (R <= SUMS)
    for (; group.rows - row >= R; row += R)
      float_tiles<W, R>(static_cast<const W*>(run.w), tileStride, run.tiles, run.inputs, group.x + row, group.rows, out + row * TILE,
                        outStride, row == 0 ? ahead : nullptr);
  return row;
}

template <typename W>
void floats(const TileRun& run, const RowGroup& group, float* out, Ahead* ahead) {
  int row = float_chunk<W, 16>(run, group, 0, out, ahead);
  row = float_chunk<W, 12>(run, group, row, out, ahead);
  row = float_chunk<W, 8>(run, group, row, out, ahead);
  row = float_chunk<W, 6>(run, group, row, out, ahead);
  row = float_chunk<W, 4>(run, group, row, out, ahead);
  row = float_chunk<W, 3>(run, group, row, out, ahead);
  row = float_chunk<W, 2>(run, group, row, out, ahead);
  float_chunk<W, 1>(run, group, row, out, ahead);
}

/** Row `row` of a group in int8, block by block; the last block is filled with zeros. */
void quantise(const float* x, int inputs, const RowGroupOut& group, int row) {
  const int blocks = blocks_of(inputs);
  for (int block = 0; block < blocks; block++, x += BLOCK) {
    const int left = inputs - block * BLOCK;
    const V a = left >= 16 ? load(x) : load_some(x, left);
    const V b = left >= 32 ? load(x + 16) : left > 16 ? load_some(x + 16, left - 16) : splat(0);
    const float peak = largest_lane(max(abs(a), abs(b)));
    const V factor = splat(peak > 0 ? 127.0f / peak : 0.0f);
    const size_t at = size_t(block) * group.rows + row;
    int8_t* q = group.q + at * BLOCK;
    const int32_t low = store_int8(q, mul(a, factor));
    const int32_t total = low + store_int8(q + 16, mul(b, factor));
    const float scale = peak / 127.0f;
    group.scale[at] = scale;
    group.offset[at] = scale * float(total);
    group.zero[at] = -128 * total;
  }
}

}  // namespace
}  // namespace troupe
