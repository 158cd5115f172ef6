#pragma once
// Rounding to 4 bits with a scale and a minimum, sixteen outputs at a time.

namespace troupe {
namespace {

/** How far beyond the range of the steps a block is stretched, in steps: a little clipping of the ends makes all other steps finer. */
constexpr float STRETCHES[] = {-1, -0.6f, -0.3f, 0, 0.3f, 0.6f, 1, 1.4f, 1.9f, 2.5f, 3.2f};

inline V step4(V x) { return min(splat(15), max(splat(0), round(x))); }

inline V round_f16(V x) {
  float values[16];
  store(values, x);
  for (float& value : values) value = from_f16(to_f16(value));
  return load(values);
}

/**
 * Of a few ways to round a block, keeps the one with the least Σ h · (d · q + m − w)², with the d and m that are best for its steps q
 * (weighted least squares); then rounds d and m to f16 and finds the steps once more.
 */
inline void quantise4(const float* w, const float* h, float* q, float* d, float* m) {
  V low = splat(INFINITY), high = splat(-INFINITY), sumHW = splat(0);
  float sum = 0;
  for (int i = 0; i < BLOCK; i++) {
    const V x = load(w + i * 16);
    low = min(low, x);
    high = max(high, x);
    sumHW = fma(splat(h[i]), x, sumHW);
    sum += h[i];
  }
  const V sumH = splat(sum), range = max(sub(high, low), splat(1e-30f));
  V bestD = splat(0), bestM = div(sumHW, sumH), least = splat(INFINITY);
  for (const float stretch : STRETCHES) {
    const V inverse = div(splat(15 + stretch), range);
    V sumHQ = splat(0), sumHQQ = splat(0), sumHQW = splat(0);
    for (int i = 0; i < BLOCK; i++) {
      const V x = load(w + i * 16), step = step4(mul(sub(x, low), inverse)), weighted = mul(splat(h[i]), step);
      sumHQ = add(sumHQ, weighted);
      sumHQQ = fma(weighted, step, sumHQQ);
      sumHQW = fma(weighted, x, sumHQW);
    }
    const V whole = mul(sumH, sumHQQ), determinant = sub(whole, mul(sumHQ, sumHQ));
    const V scale = div(sub(mul(sumH, sumHQW), mul(sumHW, sumHQ)), determinant);
    const V minimum = div(sub(sumHW, mul(scale, sumHQ)), sumH);
    V error = splat(0);
    for (int i = 0; i < BLOCK; i++) {
      const V x = load(w + i * 16), step = step4(mul(sub(x, low), inverse)), off = sub(fma(scale, step, minimum), x);
      error = fma(mul(splat(h[i]), off), off, error);
    }
    // Steps that are all alike, or nearly so by their weights, have no best scale.
    error = where_less(mul(splat(1e-5f), whole), determinant, error, splat(INFINITY));
    bestD = where_less(error, least, scale, bestD);
    bestM = where_less(error, least, minimum, bestM);
    least = where_less(error, least, error, least);
  }
  const V equal = sub(high, low);
  bestM = where_less(splat(0), equal, bestM, low);
  bestD = round_f16(where_less(splat(0), equal, bestD, splat(0)));
  bestM = round_f16(bestM);
  store(d, bestD);
  store(m, bestM);
  const V nothing = splat(0);
  for (int i = 0; i < BLOCK; i++) {
    const V step = step4(div(sub(load(w + i * 16), bestM), where_less(nothing, bestD, bestD, splat(1))));
    store(q + i * 16, where_less(nothing, bestD, step, nothing));
  }
}

}  // namespace
}  // namespace troupe
