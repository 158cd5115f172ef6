#pragma once
#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include "../core/format.h"

namespace troupe {

/** Σ x² of every input of every block over all rows evaluated while it is on: how much each input matters to a quantiser. */
class InputSquares {
 public:
  struct Sums {
    std::vector<double> squares;
    size_t rows = 0;
  };

  bool on() const { return on_; }
  /** Turning it on forgets what was there. */
  void collect(bool on) {
    if (on) sums_.clear();
    on_ = on;
  }
  /** @param x `[rows][inputs]` */
  void add(int layer, int block, const float* x, int rows, int inputs);
  /** null for a block that no row went through. */
  const Sums* of(int layer, int block) const {
    const auto found = sums_.find({layer, block});
    return found == sums_.end() ? nullptr : &found->second;
  }

 private:
  bool on_ = false;
  std::map<std::pair<int, int>, Sums> sums_;
};

}  // namespace troupe
