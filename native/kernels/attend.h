#pragma once
// Attention of some queries over the pages of one head; included after a set's `functions.h`.
#include "../core/attend.h"
#include "unroll.h"

namespace troupe {
namespace {

/** Queries that are taken at once: as many as there are registers for their sums. */
constexpr int QUERIES = SUMS >= 16 ? 4 : SUMS >= 8 ? 2 : 1;
/** Partial sums of a score, by dimension mod 4, so that multiplications need not wait for each other. */
constexpr int CHAINS = 4;

inline V load_kv(const float* p) { return load(p); }
inline V load_kv(const uint16_t* p) { return load_bf16(p); }
inline V load_kv(const int8_t* p) { return load_int8(p); }
template <typename T>
inline V load_some_kv(const T* p, int n) {
  T numbers[16] = {};
  memcpy(numbers, p, size_t(n) * sizeof(T));
  return load_kv(numbers);
}

/** One page of one head. */
template <typename T>
struct KvPage {
  const T* keys;
  const T* values;
  /** int8 only. */
  const float* keyScales;
  const float* valueScales;
};

/** State of the softmax of some rows: Σ exp(score − largest) · value, the largest score so far, Σ exp(score − largest). */
struct Softmax {
  float* sums;
  size_t stride;
  float* largest;
  float* total;
};

/** Scores of R rows against the 16 keys of a page. */
template <typename T, int R>
inline void score(const float* const* q, const KvPage<T>& page, int headDim, V* scores) {
  V chain[R][CHAINS];
  UNROLL(4)
  for (int r = 0; r < R; r++)
    UNROLL(4)
    for (int c = 0; c < CHAINS; c++) chain[r][c] = splat(0);
  int d = 0;
  for (; d + CHAINS <= headDim; d += CHAINS)
    UNROLL(4)
    for (int c = 0; c < CHAINS; c++) {
      const V key = load_kv(page.keys + (d + c) * PAGE);
      UNROLL(4)
      for (int r = 0; r < R; r++) chain[r][c] = fma(splat(q[r][d + c]), key, chain[r][c]);
    }
  for (int c = 0; d + c < headDim; c++) {
    const V key = load_kv(page.keys + (d + c) * PAGE);
    UNROLL(4)
    for (int r = 0; r < R; r++) chain[r][c] = fma(splat(q[r][d + c]), key, chain[r][c]);
  }
  UNROLL(4)
  for (int r = 0; r < R; r++) scores[r] = add(add(chain[r][0], chain[r][1]), add(chain[r][2], chain[r][3]));
}

/** sums = sums · factor + Σ weight[t] · value[t], token after token, for N vectors of dimensions. */
template <typename T, int R, int N>
inline void add_values(const T* values, int headDim, int first, int end, const float (*weights)[PAGE], const float* factors,
                       float* sums, size_t stride) {
  V s[R][N];
  UNROLL(4)
  for (int r = 0; r < R; r++)
    UNROLL(4)
    for (int n = 0; n < N; n++) s[r][n] = mul(load(sums + r * stride + n * 16), splat(factors[r]));
  for (int t = first; t < end; t++)
    UNROLL(4)
    for (int n = 0; n < N; n++) {
      const V value = load_kv(values + t * headDim + n * 16);
      UNROLL(4)
      for (int r = 0; r < R; r++) s[r][n] = fma(splat(weights[r][t]), value, s[r][n]);
    }
  UNROLL(4)
  for (int r = 0; r < R; r++)
    UNROLL(4)
    for (int n = 0; n < N; n++) store(sums + r * stride + n * 16, s[r][n]);
}

/** The same for the dimensions of a head that do not fill a vector. */
template <typename T, int R>
inline void add_last_values(const T* values, int headDim, int count, int first, int end, const float (*weights)[PAGE],
                            const float* factors, float* sums, size_t stride) {
  V s[R];
  UNROLL(4)
  for (int r = 0; r < R; r++) s[r] = mul(load(sums + r * stride), splat(factors[r]));
  for (int t = first; t < end; t++) {
    const V value = load_some_kv(values + t * headDim, count);
    UNROLL(4)
    for (int r = 0; r < R; r++) s[r] = fma(splat(weights[r][t]), value, s[r]);
  }
  UNROLL(4)
  for (int r = 0; r < R; r++) store(sums + r * stride, s[r]);
}

/** The keys of a page that a row sees, as bits. */
inline uint32_t seen_keys(int32_t rowEnd, int window, int firstKey) {
  const int last = rowEnd - firstKey, from = window == 0 || last < window ? 0 : last - window;
  if (last <= 0 || from >= PAGE) return 0;
  return (last >= PAGE ? 0xffffu : (1u << last) - 1) & ~((1u << from) - 1);
}

/** R rows meet one page. Keys that a row does not see have weight 0; where it sees none, nothing changes. */
template <typename T, int R>
inline void attend_page(const AttendRows& rows, int row, const KvPage<T>& page, int firstKey, const Softmax& softmax) {
  uint32_t seen[R], any = 0;
  UNROLL(4)
  for (int r = 0; r < R; r++) any |= seen[r] = seen_keys(rows.end[row + r], rows.window, firstKey);
  if (any == 0) return;
  V scores[R];
  score<T, R>(rows.q + row, page, rows.headDim, scores);
  alignas(64) float weights[R][PAGE], correction[16];
  float factors[R];
  UNROLL(4)
  for (int r = 0; r < R; r++) {
    V s = scores[r];
    if (page.keyScales) s = mul(s, load(page.keyScales));
    if (rows.softcap != 0) s = mul(tanh(div(s, splat(rows.softcap))), splat(rows.softcap));
    s = where_bits(seen[r], s, splat(-INFINITY));
    const float before = softmax.largest[row + r], here = largest_lane(s), largest = here > before ? here : before;
    // A row that has seen no key yet has no largest score: any will do.
    const float middle = largest == -INFINITY ? 0 : largest;
    factors[r] = 1;
    if (largest != before) {
      store(correction, exp(splat(before - middle)));
      factors[r] = before == -INFINITY ? 0 : correction[0];
    }
    V weight = where_bits(seen[r], exp(sub(s, splat(middle))), splat(0));
    softmax.largest[row + r] = largest;
    softmax.total[row + r] = fmaf(softmax.total[row + r], factors[r], sum(weight));
    if (page.valueScales) weight = where_bits(seen[r], mul(weight, load(page.valueScales)), splat(0));
    store(weights[r], weight);
  }
  const int first = __builtin_ctz(any), end = 32 - __builtin_clz(any);
  constexpr int N = SUMS / R < 1 ? 1 : SUMS / R > 4 ? 4 : SUMS / R;
  float* sums = softmax.sums + row * softmax.stride;
  int d = 0;
  for (; d + 16 * N <= rows.headDim; d += 16 * N)
    add_values<T, R, N>(page.values + d, rows.headDim, first, end, weights, factors, sums + d, softmax.stride);
  for (; d + 16 <= rows.headDim; d += 16)
    add_values<T, R, 1>(page.values + d, rows.headDim, first, end, weights, factors, sums + d, softmax.stride);
  if (d < rows.headDim)
    add_last_values<T, R>(page.values + d, rows.headDim, rows.headDim - d, first, end, weights, factors, sums + d, softmax.stride);
}

/** Page after page from the first, so that a row's sums are the same whichever rows come with it. */
template <typename T>
void attend(const AttendRows& rows) {
  constexpr KvFormat FORMAT = sizeof(T) == 4 ? KvFormat::f32 : sizeof(T) == 2 ? KvFormat::bf16 : KvFormat::int8;
  constexpr bool SCALED = FORMAT == KvFormat::int8;
  const size_t numbers = kv_numbers_bytes(FORMAT, rows.headDim), padded = (size_t(rows.rows) + 15) / 16 * 16;
  const Softmax softmax{rows.memory + 2 * padded, (size_t(rows.headDim) + 15) / 16 * 16, rows.memory, rows.memory + padded};
  int firstEnd = rows.end[0], lastEnd = rows.end[0];
  for (int r = 0; r < rows.rows; r++) {
    firstEnd = rows.end[r] < firstEnd ? rows.end[r] : firstEnd;
    lastEnd = rows.end[r] > lastEnd ? rows.end[r] : lastEnd;
    softmax.largest[r] = -INFINITY;
    softmax.total[r] = 0;
  }
  memset(softmax.sums, 0, size_t(rows.rows) * softmax.stride * sizeof(float));
  const int begin = rows.window == 0 || firstEnd < rows.window ? 0 : firstEnd - rows.window;
  for (int p = begin / PAGE; p * PAGE < lastEnd; p++) {
    const uint8_t* keys = rows.keys + size_t(rows.pages[p]) * rows.pageBytes;
    const uint8_t* values = keys + rows.valuesOffset;
    const KvPage<T> page{reinterpret_cast<const T*>(keys), reinterpret_cast<const T*>(values),
                         SCALED ? reinterpret_cast<const float*>(keys + numbers) : nullptr,
                         SCALED ? reinterpret_cast<const float*>(values + numbers) : nullptr};
    int r = 0;
    for (; r + QUERIES <= rows.rows; r += QUERIES) attend_page<T, QUERIES>(rows, r, page, p * PAGE, softmax);
    for (; r < rows.rows; r++) attend_page<T, 1>(rows, r, page, p * PAGE, softmax);
  }
  for (int r = 0; r < rows.rows; r++) {
    const V total = splat(softmax.total[r]);
    const float* sums = softmax.sums + r * softmax.stride;
    each(rows.out[r], size_t(rows.headDim), [&](size_t i, int) { return div(load(sums + i), total); });
  }
}

}  // namespace
}  // namespace troupe
