#include "panel.h"

namespace troupe {

size_t Panel::room(Format format, int inputs, int tokens) {
  const size_t rows = size_t(tokens);
  if (!is_quantised(format)) return Scratch::room<float>(rows * inputs);
  const size_t blocks = rows * blocks_of(inputs);
  return Scratch::room<int8_t>(blocks * BLOCK) + 3 * Scratch::room<float>(blocks);
}

Panel::Panel(Format format, int inputs, int tokens, Scratch& scratch) : format_(format), inputs_(inputs), tokens_(tokens) {
  if (!is_quantised(format)) {
    x_ = scratch.take<float>(size_t(tokens) * inputs);
    return;
  }
  const size_t blocks = size_t(tokens) * blocks_of(inputs);
  q_ = scratch.take<int8_t>(blocks * BLOCK);
  scale_ = scratch.take<float>(blocks);
  offset_ = scratch.take<float>(blocks);
  zero_ = scratch.take<int32_t>(blocks);
}

void Panel::write(int row, const float* x) const {
  const int index = row / GROUP, at = row % GROUP, count = rows(index);
  const size_t first = size_t(index) * GROUP;
  if (is_quantised(format_)) {
    const size_t blocks = first * blocks_of(inputs_);
    kernels().quantise(x, inputs_, {count, q_ + blocks * BLOCK, scale_ + blocks, offset_ + blocks, zero_ + blocks}, at);
    return;
  }
  float* to = x_ + first * inputs_ + at;
  for (int k = 0; k < inputs_; k++) to[size_t(k) * count] = x[k];
}

RowGroup Panel::group(int index) const {
  const size_t first = size_t(index) * GROUP;
  if (!is_quantised(format_)) return {rows(index), nullptr, nullptr, nullptr, nullptr, x_ + first * inputs_};
  const size_t blocks = first * blocks_of(inputs_);
  return {rows(index), q_ + blocks * BLOCK, scale_ + blocks, offset_ + blocks, zero_ + blocks, nullptr};
}

}  // namespace troupe
