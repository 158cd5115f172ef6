#include <algorithm>
#include <cmath>

#include "../core/numbers.h"
#include "check.h"

namespace troupe::test {

namespace {

void test_norms() {
  for (const size_t count : {1, 15, 16, 48, 80, 96, 200, 896}) {
    Random random(count);
    std::vector<float> x = random.normals(count, 3), weight = random.normals(count), bias = random.normals(count);
    for (float& value : x) value += 1;
    double squares = 0, mean = 0, variance = 0;
    for (const float v : x) squares += double(v) * v / count, mean += double(v) / count;
    for (const float v : x) variance += (v - mean) * (v - mean) / count;
    std::vector<float> rms, layer;
    use_plain();
    each_set([&](const Kernels& set) {
      std::vector<float> y(count), z(count);
      set.rms_norm(x.data(), weight.data(), 1e-5f, y.data(), count);
      set.layer_norm(x.data(), weight.data(), bias.data(), 1e-5f, z.data(), count);
      for (size_t i = 0; i < count; i++) {
        check(std::fabs(y[i] - x[i] / std::sqrt(squares + 1e-5) * weight[i]) < 1e-5, "%s: rms norm of %zu", set.name, count);
        check(std::fabs(z[i] - ((x[i] - mean) / std::sqrt(variance + 1e-5) * weight[i] + bias[i])) < (count == 1 ? 1e-3 : 2e-5), "%s: layer norm of %zu",
              set.name, count);
      }
      if (rms.empty()) rms = y, layer = z;
      check(same_bits(y.data(), rms.data(), count) && same_bits(z.data(), layer.data(), count), "%s: norms of %zu have other bits", set.name, count);
    });
  }
}

void test_logits() {
  for (const size_t count : {1, 7, 16, 31, 257, 5003}) {
    Random random(count);
    std::vector<float> x = random.normals(count, 4);
    if (count > 40) x[17] = x[33] = 60, x[3] = NAN, x[5] = -INFINITY;
    std::vector<uint32_t> some((count + 31) / 32), none(some.size());
    for (uint32_t& word : some) word = uint32_t(random.next() >> 20);
    for (const uint32_t* mask : {static_cast<const uint32_t*>(nullptr), static_cast<const uint32_t*>(some.data()), static_cast<const uint32_t*>(none.data())}) {
      std::vector<Candidate> all;
      double total = 0;
      const auto allowed = [&](size_t i) { return !mask || (mask[i / 32] >> (i % 32) & 1); };
      for (size_t i = 0; i < count; i++)
        if (allowed(i) && !std::isnan(x[i])) all.push_back({x[i], int32_t(i)}), total += std::exp(double(x[i]));
      std::sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) { return a.value != b.value ? a.value > b.value : a.id < b.id; });
      std::vector<float> clean = x;
      for (float& value : clean)
        if (std::isnan(value)) value = -INFINITY;
      double first = NAN;
      each_set([&](const Kernels& set) {
        const int32_t best = set.argmax(x.data(), mask, count);
        check(best == (all.empty() ? -1 : all[0].id), "%s: argmax of %zu is %d", set.name, count, best);
        const double log_sum = set.log_sum_exp(clean.data(), mask, count);
        check(all.empty() ? log_sum == -INFINITY : std::fabs(log_sum - std::log(total)) < 1e-5, "%s: log-sum-exp of %zu is %.9g, not %.9g", set.name, count,
              log_sum, std::log(total));
        if (std::isnan(first)) first = log_sum;
        check(log_sum == first, "%s: log-sum-exp of %zu has other bits", set.name, count);
        for (const size_t k : {size_t(0), size_t(1), size_t(5), size_t(40), count}) {
          std::vector<Candidate> top(k);
          const size_t found = set.largest(x.data(), mask, count, k, top.data());
          bool same = found == std::min(k, all.size());
          for (size_t i = 0; same && i < found; i++) same = top[i].id == all[i].id;
          check(same, "%s: the %zu largest of %zu", set.name, k, count);
        }
      });
    }
  }
}

void test_numbers() {
  for (uint32_t half = 0; half < 65536; half++) {
    const float value = from_f16(uint16_t(half));
    if (!std::isnan(value)) check(to_f16(value) == half, "f16 %04x does not come back", half);
    const float wide = from_bf16(uint16_t(half));
    if (!std::isnan(wide)) check(to_bf16(wide) == half, "bf16 %04x does not come back", half);
  }
  check(to_f16(1.00048828125f) == 0x3c00 && to_f16(1.00146484375f) == 0x3c02, "f16 ties go to even");
  check(to_f16(65519.0f) == 0x7bff && to_f16(65520.0f) == 0x7c00 && to_f16(2.9802322e-8f) == 0 && to_f16(2.99e-8f) == 1, "f16 at its ends");
  Random random(5);
  std::vector<float> x = random.normals(1003, 100);
  std::vector<uint16_t> halves(x.size());
  for (uint16_t& half : halves) half = uint16_t(random.below(0x7c00));
  each_set([&](const Kernels& set) {
    std::vector<uint16_t> narrow(x.size());
    set.narrow_bf16(x.data(), narrow.data(), x.size());
    std::vector<float> wide(x.size()), f16(x.size());
    set.widen_bf16(halves.data(), wide.data(), x.size());
    set.widen_f16(halves.data(), f16.data(), x.size());
    for (size_t i = 0; i < x.size(); i++)
      check(narrow[i] == to_bf16(x[i]) && wide[i] == from_bf16(halves[i]) && f16[i] == from_f16(halves[i]), "%s: conversion %zu", set.name, i);
  });
}

}  // namespace

void test_rows() {
  test_norms();
  test_logits();
  test_numbers();
}

}  // namespace troupe::test
