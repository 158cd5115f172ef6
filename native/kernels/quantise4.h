#pragma once
// Rounding to 4 bits with a scale and a minimum, sixteen outputs at a time.

namespace troupe {
namespace {

/** How far beyond the range of the steps a block is stretched, in steps: a little clipping of the ends makes all other steps finer. */
constexpr float STRETCHES[] = {-2, -1, -0.6f, -0.3f, 0, 0.3f, 0.6f, 1, 1.4f, 1.9f, 2.5f, 3.2f, 4.2f, 5.5f};

inline V step4(V x) { return min(splat(15), max(splat(0), round(x))); }

inline V round_f16(V x) {
  float values[16];
  store(values, x);
  for (float& value : values) value = from_f16(to_f16(value));
  return load(values);
}

/** One way to round a block, and what it costs. */
struct Line4 {
  V scale, minimum, error;
};

/** The scale and minimum that are best for the steps of `step(x)`, by weighted least squares; `error` is ∞ where there are none. */
template <typename Step>
inline Line4 best_line(const float* w, const float* h, V sumH, V sumHW, Step step) {
  V sumHQ = splat(0), sumHQQ = splat(0), sumHQW = splat(0);
  for (int i = 0; i < BLOCK; i++) {
    const V x = load(w + i * 16), q = step(x), weighted = mul(splat(h[i]), q);
    sumHQ = add(sumHQ, weighted);
    sumHQQ = fma(weighted, q, sumHQQ);
    sumHQW = fma(weighted, x, sumHQW);
  }
  const V whole = mul(sumH, sumHQQ), determinant = sub(whole, mul(sumHQ, sumHQ));
  const V scale = div(sub(mul(sumH, sumHQW), mul(sumHW, sumHQ)), determinant);
  const V minimum = div(sub(sumHW, mul(scale, sumHQ)), sumH);
  V error = splat(0);
  for (int i = 0; i < BLOCK; i++) {
    const V x = load(w + i * 16), off = sub(fma(scale, step(x), minimum), x);
    error = fma(mul(splat(h[i]), off), off, error);
  }
  // Steps that are all alike, or nearly so by their weights, have no best scale.
  return {scale, minimum, where_less(mul(splat(1e-6f), whole), determinant, error, splat(INFINITY))};
}

/**
 * Of a few ways to round a block, keeps the one with the least Σ h · (d · q + m − w)², each with the d and m that are best for its steps q, and
 * with steps that are nearest to these; then rounds d and m to f16 and finds the steps once more.
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
  const V sumH = splat(sum), spread = sub(high, low), range = max(spread, splat(1e-30f)), nothing = splat(0);
  Line4 best = {nothing, div(sumHW, sumH), splat(INFINITY)};
  const auto keep = [&](const Line4& line) {
    const V error = where_less(nothing, line.scale, line.error, splat(INFINITY));
    best.scale = where_less(error, best.error, line.scale, best.scale);
    best.minimum = where_less(error, best.error, line.minimum, best.minimum);
    best.error = where_less(error, best.error, error, best.error);
  };
  for (const float stretch : STRETCHES) {
    const V inverse = div(splat(15 + stretch), range);
    const Line4 first = best_line(w, h, sumH, sumHW, [&](V x) { return step4(mul(sub(x, low), inverse)); });
    keep(first);
    const V again = div(splat(1), where_less(nothing, first.scale, first.scale, splat(1)));
    keep(best_line(w, h, sumH, sumHW, [&](V x) { return step4(mul(sub(x, first.minimum), again)); }));
  }
  const V scale = round_f16(where_less(nothing, spread, best.scale, nothing));
  const V minimum = round_f16(where_less(nothing, spread, best.minimum, low));
  store(d, scale);
  store(m, minimum);
  const V divisor = where_less(nothing, scale, scale, splat(1));
  for (int i = 0; i < BLOCK; i++) {
    const V step = step4(div(sub(load(w + i * 16), minimum), divisor));
    store(q + i * 16, where_less(nothing, scale, step, nothing));
  }
}

}  // namespace
}  // namespace troupe
