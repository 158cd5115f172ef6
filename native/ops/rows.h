#pragma once
#include <algorithm>
#include <cstddef>

#include "../core/pool.h"

namespace troupe {

/** Numbers that one item of work reads at least: fewer are not worth waking a thread for. */
constexpr size_t ITEM_NUMBERS = size_t{1} << 15;

/** Runs `body(row)` for every row of `width` numbers, many rows to an item of work. */
template <typename Body>
void each_row(const Pool& pool, int rows, int width, Body body) {
  const int perItem = int(std::max<size_t>(1, ITEM_NUMBERS / size_t(std::max(1, width))));
  const auto item = [&](size_t index) {
    const int first = int(index) * perItem, end = std::min(rows, first + perItem);
    for (int row = first; row < end; row++) body(row);
  };
  parallel(pool, size_t((rows + perItem - 1) / perItem), item);
}

}  // namespace troupe
