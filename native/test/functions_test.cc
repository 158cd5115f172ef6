#include <cmath>

#include "check.h"

namespace troupe::test {

namespace {

double exact(Activation activation, double x) {
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  const auto gelu = [](double v) { return 0.5 * v * (1 + std::erf(v / std::sqrt(2.0))); };
  switch (activation) {
    case Activation::identity: return x;
    case Activation::relu: return std::fmax(0, x);
    case Activation::relu2: return std::fmax(0, x) * std::fmax(0, x);
    case Activation::relu6: return std::fmin(6, std::fmax(0, x));
    case Activation::silu: return x * sigmoid(x);
    case Activation::gelu: return gelu(x);
    case Activation::gelu_tanh: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::gelu_clipped: return std::fmin(10, std::fmax(-10, gelu(x)));
    case Activation::quick_gelu: return x * sigmoid(1.702 * x);
    case Activation::tanh: return std::tanh(x);
    case Activation::sigmoid: return sigmoid(x);
    case Activation::leaky_relu: return x < 0 ? 0.01 * x : x;
    case Activation::mish: return x * std::tanh(std::log1p(std::exp(x)));
    case Activation::laplace: return 0.5 * (1 + std::erf((x - 0.707107) / (0.282095 * std::sqrt(2.0))));
  }
  return NAN;
}

std::vector<float> inputs() {
  std::vector<float> x = {0, -0.0f, 1, -1, 0.625f, 5.9f, 6, 1e-8f, -1e-8f, 1e-30f, 3e38f, -3e38f, 100, -100, 88.5f, -87.5f, INFINITY, -INFINITY};
  Random random(1);
  for (int i = 0; i < 4000; i++) x.push_back(random.normal() * 4);
  for (int i = 0; i < 4000; i++) x.push_back((i - 2000) / 100.0f);
  return x;
}

}  // namespace

void test_functions() {
  const std::vector<float> x = inputs();
  for (int a = 0; a <= int(Activation::laplace); a++) {
    const Activation activation = Activation(a);
    std::vector<float> reference(x.size());
    use_plain();
    kernels().activate(activation, x.data(), reference.data(), x.size());
    for (size_t i = 0; i < x.size(); i++) {
      const double y = exact(activation, x[i]);
      if (!std::isfinite(x[i]) || std::fabs(y) > 3e38) continue;
      // 1 + erf loses digits where erf is near −1; most functions multiply that by x.
      const double lost = activation == Activation::laplace ? 0.5 : std::fmin(1.0, std::fabs(double(x[i])));
      const double bound = 3e-7 * std::fmax(std::fabs(y), lost) + 1e-37;
      check(std::fabs(reference[i] - y) <= bound, "activation %d of %.9g is %.9g, not %.9g", a, double(x[i]), double(reference[i]), y);
    }
    each_set([&](const Kernels& set) {
      std::vector<float> y(x.size());
      for (const size_t count : {x.size(), size_t(1), size_t(15), size_t(17)}) {
        set.activate(activation, x.data(), y.data(), count);
        for (size_t i = 0; i < count; i++)
          check(same_bits(&y[i], &reference[i], 1) || (std::isnan(y[i]) && std::isnan(reference[i])), "%s: activation %d of %.9g is %.9g, plain says %.9g",
                set.name, a, double(x[i]), double(y[i]), double(reference[i]));
      }
      const float nan = NAN;
      float of_nan;
      set.activate(activation, &nan, &of_nan, 1);
      check(std::isnan(of_nan), "%s: activation %d hides a NaN", set.name, a);
    });
  }
}

}  // namespace troupe::test
