#pragma once
// exp, tanh, erf and the non-linearities, to a few units in the last place; test/native compares them with f64. The polynomials are least-maximum fits.

namespace troupe {
namespace {

/** c[0] + c[1] x + … */
template <int N>
inline V polynomial(V x, const float (&c)[N]) {
  V y = splat(c[N - 1]);
  for (int i = N - 2; i >= 0; i--) y = fma(y, x, splat(c[i]));
  return y;
}

/** e^x; 0 below −87.3 and ∞ above 88, where f32 nearly ends. */
inline V exp(V x) {
  const V least = splat(-87.3f), most = splat(88.0f), bounded = min(most, max(least, x));
  const V n = round(mul(bounded, splat(1.44269504f)));
  // ln 2 in two parts, the first with few enough bits that n times it is exact.
  V r = fma(n, splat(-0.693359375f), bounded);
  r = fma(n, splat(2.12194440e-4f), r);
  constexpr float P[] = {5.000000095e-01f, 1.666651885e-01f, 4.166620588e-02f, 8.368887795e-03f, 1.395048607e-03f};
  const V y = add(fma(mul(r, r), polynomial(r, P), r), splat(1));
  return where_less(x, least, splat(0), where_less(most, x, splat(INFINITY), mul(y, power_of_two(n))));
}

inline V sigmoid(V x) { return div(splat(1), add(splat(1), exp(sub(splat(0), x)))); }

inline V tanh(V x) {
  constexpr float P[] = {-3.333327831e-01f, 1.333132894e-01f, -5.372922876e-02f, 2.060200387e-02f, -5.660785016e-03f};
  const V z = mul(x, x), near = fma(mul(x, z), polynomial(z, P), x);
  // 1 − 2 / (e^2|x| + 1) loses digits near 0 only.
  const V far = sub(splat(1), div(splat(2), add(exp(mul(splat(2), abs(x))), splat(1))));
  return where_less(abs(x), splat(0.625f), near, copy_sign(far, x));
}

inline V erf(V x) {
  constexpr float NEAR[] = {1.128379166e+00f,  -3.761262714e-01f, 1.128360018e-01f, -2.685444459e-02f,
                            5.189535340e-03f, -8.020841282e-04f, 7.889119539e-05f};
  // −log(1 − erf x) for 1 ≤ x ≤ 4.1; beyond, erf x is 1.
  constexpr float FAR[] = {-1.880396601e-04f, 1.129578422e+00f, 6.332198971e-01f,  1.084185735e-01f,
                           -2.520825463e-02f, 4.204561189e-03f, -4.413362563e-04f, 2.168684104e-05f};
  const V t = min(splat(4.1f), abs(x));
  const V near = mul(x, polynomial(mul(x, x), NEAR));
  const V far = sub(splat(1), exp(sub(splat(0), polynomial(t, FAR))));
  return where_less(abs(x), splat(1), near, copy_sign(far, x));
}

inline V gelu(V x) {
  const V half = mul(splat(0.5f), x);
  return fma(half, erf(mul(x, splat(0.70710678f))), half);
}

template <Activation A>
inline V phi(V x) {
  const V zero = splat(0), one = splat(1);
  if constexpr (A == Activation::relu) return max(zero, x);
  if constexpr (A == Activation::relu2) return mul(max(zero, x), max(zero, x));
  if constexpr (A == Activation::relu6) return min(splat(6), max(zero, x));
  if constexpr (A == Activation::silu) return mul(x, sigmoid(x));
  if constexpr (A == Activation::gelu) return gelu(x);
  if constexpr (A == Activation::gelu_tanh) {
    const V inner = mul(splat(0.79788456f), fma(mul(splat(0.044715f), mul(x, x)), x, x)), half = mul(splat(0.5f), x);
    return fma(half, tanh(inner), half);
  }
  if constexpr (A == Activation::gelu_clipped) return min(splat(10), max(splat(-10), gelu(x)));
  if constexpr (A == Activation::quick_gelu) return mul(x, sigmoid(mul(splat(1.702f), x)));
  if constexpr (A == Activation::tanh) return tanh(x);
  if constexpr (A == Activation::sigmoid) return sigmoid(x);
  if constexpr (A == Activation::leaky_relu) return where_less(x, zero, mul(splat(0.01f), x), x);
  if constexpr (A == Activation::mish) {
    // tanh(log(1 + e)) = (e² + 2e) / (e² + 2e + 2); it is 1 in f32 long before 20.
    const V e = exp(min(splat(20), x)), n = mul(e, add(e, splat(2)));
    return mul(x, div(n, add(n, splat(2))));
  }
  // Φ((x − √½) / √(1/4π)), as MEGA defines it (Ma et al. 2022).
  if constexpr (A == Activation::laplace)
    return mul(splat(0.5f), add(one, erf(mul(sub(x, splat(0.707107f)), splat(1.0f / (0.282095f * 1.41421356f))))));
  return x;
}

/** Calls `body` with a function object for φ. */
template <typename Body>
inline void with_phi(Activation activation, Body body) {
#define CASE(name) \
  case Activation::name: return body([](V x) { return phi<Activation::name>(x); });
  switch (activation) {
    CASE(identity)
    CASE(relu)
    CASE(relu2)
    CASE(relu6)
    CASE(silu)
    CASE(gelu)
    CASE(gelu_tanh)
    CASE(gelu_clipped)
    CASE(quick_gelu)
    CASE(tanh)
    CASE(sigmoid)
    CASE(leaky_relu)
    CASE(mish)
    CASE(laplace)
  }
#undef CASE
}

/** y[i] = f(i), sixteen at a time; `read(i, n)` loads n of them. */
template <typename Value>
inline void each(float* y, size_t count, Value value) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) store(y + i, value(i, 16));
  if (i < count) store_some(y + i, value(i, int(count - i)), int(count - i));
}

inline V read(const float* x, int n) { return n == 16 ? load(x) : load_some(x, n); }

void activate(Activation activation, const float* x, float* y, size_t count) {
  with_phi(activation, [&](auto f) { each(y, count, [&](size_t i, int n) { return f(read(x + i, n)); }); });
}

void gated(Activation activation, const float* gate, const float* up, float* y, size_t count) {
  with_phi(activation, [&](auto f) {
    each(y, count, [&](size_t i, int n) { return mul(f(read(gate + i, n)), read(up + i, n)); });
  });
}

void add_rows(const float* a, const float* b, float* y, size_t count) {
  each(y, count, [&](size_t i, int n) { return add(read(a + i, n), read(b + i, n)); });
}

void multiply_rows(const float* a, const float* b, float* y, size_t count) {
  each(y, count, [&](size_t i, int n) { return mul(read(a + i, n), read(b + i, n)); });
}

}  // namespace
}  // namespace troupe
