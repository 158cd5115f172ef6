#include "input_squares.h"

namespace troupe {

void InputSquares::add(int layer, int block, const float* x, int rows, int inputs) {
  Sums& sums = sums_[{layer, block}];
  sums.squares.resize(size_t(inputs));
  sums.rows += size_t(rows);
  for (int row = 0; row < rows; row++, x += inputs)
    for (int k = 0; k < inputs; k++) sums.squares[size_t(k)] += double(x[k]) * x[k];
}

}  // namespace troupe
