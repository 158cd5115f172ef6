#pragma once
// Norms and conversions of rows; included after a set's `functions.h`.

namespace troupe {
namespace {

/** Σ term(x[i], valid lanes), in four partial sums so that additions need not wait for each other. */
template <typename Term>
inline float sum_of(const float* x, size_t count, Term term) {
  V s[4] = {splat(0), splat(0), splat(0), splat(0)};
  size_t i = 0;
  for (; i + 64 <= count; i += 64)
    for (int j = 0; j < 4; j++) s[j] = term(load(x + i + 16 * j), s[j], 16);
  for (int j = 0; i + 16 <= count; i += 16, j++) s[j] = term(load(x + i), s[j], 16);
  if (i < count) s[3] = term(load_some(x + i, int(count - i)), s[3], int(count - i));
  return sum(add(add(s[0], s[1]), add(s[2], s[3])));
}

void rms_norm(const float* x, const float* weight, float epsilon, float* y, size_t count) {
  const float squares = sum_of(x, count, [](V v, V s, int) { return fma(v, v, s); });
  const V factor = splat(1.0f / sqrtf(squares / float(count) + epsilon));
  each(y, count, [&](size_t i, int n) {
    const V v = mul(read(x + i, n), factor);
    return weight ? mul(v, read(weight + i, n)) : v;
  });
}

void layer_norm(const float* x, const float* weight, const float* bias, float epsilon, float* y, size_t count) {
  const float mean = sum_of(x, count, [](V v, V s, int) { return add(v, s); }) / float(count);
  const V middle = splat(mean);
  const float squares = sum_of(x, count, [&](V v, V s, int n) {
    const V d = sub(v, middle);
    // Lanes behind the end hold 0, not the mean.
    return fma(d, n == 16 ? d : where_bits((1u << n) - 1, d, splat(0)), s);
  });
  const V factor = splat(1.0f / sqrtf(squares / float(count) + epsilon));
  each(y, count, [&](size_t i, int n) {
    V v = mul(sub(read(x + i, n), middle), factor);
    if (weight) v = mul(v, read(weight + i, n));
    return bias ? add(v, read(bias + i, n)) : v;
  });
}

void widen_bf16(const uint16_t* x, float* y, size_t count) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) store(y + i, load_bf16(x + i));
  for (; i < count; i++) y[i] = from_bf16(x[i]);
}

void widen_f16(const uint16_t* x, float* y, size_t count) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) store(y + i, load_f16(x + i));
  for (; i < count; i++) y[i] = from_f16(x[i]);
}

void narrow_bf16(const float* x, uint16_t* y, size_t count) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) store_bf16(y + i, load(x + i));
  for (; i < count; i++) y[i] = to_bf16(x[i]);
}

}  // namespace
}  // namespace troupe
