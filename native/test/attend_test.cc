#include <algorithm>
#include <cmath>

#include "../core/attend.h"
#include "../runtime/kv_cache.h"
#include "check.h"

namespace troupe::test {

namespace {

struct Shape {
  int headDim, tokens, queries, group, window;
  float softcap;
};

/** A sequence whose pages lie in no order, and what attention over it must give. */
class Case {
 public:
  Case(const Shape& shape, KvFormat format) : shape_(shape), kv_(format, 2, 3, shape.headDim, pages_of(shape) + 5) {
    Random random(uint64_t(shape.headDim * 1000 + shape.tokens));
    const size_t dim = size_t(shape.headDim);
    for (int p = 0; p < pages_of(shape); p++) pages_.push_back(kv_.pages() - 1 - p);
    keys_ = random.normals(size_t(shape.tokens) * dim);
    values_ = random.normals(size_t(shape.tokens) * dim);
    queries_ = random.normals(size_t(rows()) * dim, 1 / std::sqrt(float(dim)));
    // What other sequences left in the pages must not matter.
    memset(kv_.head(0, 0, 0), 0xff, kv_.bytes());
    for (int t = 0; t < shape.tokens; t++)
      kv_.write(kv_.head(pages_[size_t(t / PAGE)], 1, 2), t % PAGE, &keys_[size_t(t) * dim], &values_[size_t(t) * dim]);
  }

  int rows() const { return shape_.queries * shape_.group; }
  int end_of(int row) const { return shape_.tokens - shape_.queries + row / shape_.group + 1; }

  /** Rows `first` to before `end`. */
  std::vector<float> attend(const Kernels& set, int first, int end) const {
    const size_t dim = size_t(shape_.headDim);
    const int count = end - first;
    std::vector<float> out(size_t(count) * dim);
    std::vector<const float*> q;
    std::vector<float*> to;
    std::vector<int32_t> ends;
    for (int r = 0; r < count; r++) {
      q.push_back(&queries_[size_t(first + r) * dim]);
      to.push_back(&out[size_t(r) * dim]);
      ends.push_back(end_of(first + r));
    }
    std::vector<float> memory(attend_room(count, shape_.headDim) + 16);
    float* aligned = memory.data() + (16 - reinterpret_cast<uintptr_t>(memory.data()) / 4 % 16) % 16;
    set.attend[int(kv_.format())]({q.data(), to.data(), ends.data(), count, shape_.headDim, shape_.window, shape_.softcap, pages_.data(),
                                   kv_.head(0, 1, 2), kv_.page_bytes(), kv_.values_offset(), aligned});
    return out;
  }

  /** In f64, of the keys and values as they were before they were stored. */
  std::vector<double> reference(int row) const {
    const size_t dim = size_t(shape_.headDim);
    const int end = end_of(row), begin = shape_.window == 0 ? 0 : std::max(0, end - shape_.window);
    std::vector<double> scores, out(dim);
    double largest = -INFINITY, total = 0;
    for (int t = begin; t < end; t++) {
      double score = 0;
      for (size_t d = 0; d < dim; d++) score += double(queries_[size_t(row) * dim + d]) * keys_[size_t(t) * dim + d];
      if (shape_.softcap != 0) score = shape_.softcap * std::tanh(score / shape_.softcap);
      scores.push_back(score);
      largest = std::max(largest, score);
    }
    for (int t = begin; t < end; t++) {
      const double weight = std::exp(scores[size_t(t - begin)] - largest);
      total += weight;
      for (size_t d = 0; d < dim; d++) out[d] += weight * values_[size_t(t) * dim + d];
    }
    for (double& value : out) value /= total;
    return out;
  }

 private:
  static int pages_of(const Shape& shape) { return (shape.tokens + PAGE - 1) / PAGE; }

  const Shape shape_;
  KvCache kv_;
  std::vector<int32_t> pages_;
  std::vector<float> keys_, values_, queries_;
};

}  // namespace

void test_attend() {
  constexpr Shape SHAPES[] = {{1, 1, 1, 1, 0, 0},     {10, 5, 5, 2, 0, 0},    {20, 33, 17, 3, 0, 0},  {64, 100, 1, 7, 0, 0}, {64, 130, 40, 7, 0, 30},
                              {80, 47, 20, 1, 16, 0}, {96, 64, 64, 2, 33, 5}, {100, 70, 9, 5, 1, 50}, {128, 31, 31, 4, 7, 0}};
  constexpr double TOLERANCE[] = {2e-5, 3e-2, 6e-2};
  for (const Shape& shape : SHAPES)
    for (const KvFormat format : {KvFormat::f32, KvFormat::bf16, KvFormat::int8}) {
      const Case attention(shape, format);
      const size_t dim = size_t(shape.headDim);
      use_plain();
      std::vector<float> plain;
      each_set([&](const Kernels& set) {
        const std::vector<float> all = attention.attend(set, 0, attention.rows());
        for (int row = 0; row < attention.rows(); row++) {
          const std::vector<double> wanted = attention.reference(row);
          for (size_t d = 0; d < dim; d++)
            check(std::fabs(all[size_t(row) * dim + d] - wanted[d]) < TOLERANCE[int(format)], "%s: attention with heads of %d, row %d: %g, not %g", set.name,
                  shape.headDim, row, double(all[size_t(row) * dim + d]), wanted[d]);
          const std::vector<float> alone = attention.attend(set, row, row + 1);
          check(same_bits(alone.data(), &all[size_t(row) * dim], dim), "%s: row %d of %d has other bits alone", set.name, row, attention.rows());
        }
        if (plain.empty()) plain = all;
        check(same_bits(plain.data(), all.data(), all.size()), "%s: attention with heads of %d has other bits", set.name, shape.headDim);
      });
    }
}

}  // namespace troupe::test
