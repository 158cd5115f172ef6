#pragma once
#include "../core/kernels.h"
#include "linear.h"

namespace troupe {

/** Rows that one branch acts on, and what it computed from them. */
struct BranchRows {
  const Branch* branch;
  const int32_t* rows;
  const float* scales;
  int count;
  /** `[count][rank]`: scale · φ(x · down + a), filled in by `reduce`. */
  float* xa;
};

/** Rows and ranks that one item of work reduces. */
constexpr int REDUCED_ROWS = 64, REDUCED_RANKS = 8;

/** Items of work that `reduce` splits a branch into. */
inline size_t reductions(const BranchRows& use) {
  return size_t((use.count + REDUCED_ROWS - 1) / REDUCED_ROWS) * ((use.branch->rank + REDUCED_RANKS - 1) / REDUCED_RANKS);
}

/** Does one of them. `x` holds the row that a row of the step reads at `x + row · stride`. */
void reduce(const BranchRows& use, size_t item, const float* x, size_t stride, int inputs);

/**
 * Adds xa · up + scale · c of the rows `first ≤ row < end` to their sums, for `tiles` tiles of the branch from `tile` on.
 * The sums of a row are at `sums + (row − first) · TILE`, those of the next tile `stride` floats further on.
 */
void expand(const BranchRows& use, int first, int end, int tile, int tiles, int outputs, float* sums, size_t stride);

}  // namespace troupe
