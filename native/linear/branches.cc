#include "branches.h"

#include <algorithm>

namespace troupe {

void reduce(const BranchRows& use, size_t item, const float* x, size_t stride, int inputs) {
  const Branch& branch = *use.branch;
  const int parts = (branch.rank + REDUCED_RANKS - 1) / REDUCED_RANKS;
  const int row = int(item) / parts * REDUCED_ROWS, rank = int(item) % parts * REDUCED_RANKS;
  const int rows = std::min(REDUCED_ROWS, use.count - row), ranks = std::min(REDUCED_RANKS, branch.rank - rank);
  const Kernels& k = kernels();

  const float* read[REDUCED_ROWS];
  for (int i = 0; i < rows; i++) read[i] = x + size_t(use.rows[row + i]) * stride;
  const size_t first = size_t(rank) * inputs * (branch.format == Format::bf16 ? 2 : 4);
  float* xa = use.xa + size_t(row) * branch.rank + rank;
  k.down[int(branch.format)](read, rows, static_cast<const char*>(branch.down) + first, ranks, inputs, xa, branch.rank);

  for (int i = 0; i < rows; i++, xa += branch.rank) {
    if (branch.a)
      for (int r = 0; r < ranks; r++) xa[r] += branch.a[rank + r];
    if (branch.activation != Activation::identity) k.activate(branch.activation, xa, xa, ranks);
    for (int r = 0; r < ranks; r++) xa[r] *= use.scales[row + i];
  }
}

void expand(const BranchRows& use, int first, int end, int tile, int tiles, int outputs, float* sums, size_t stride) {
  const Branch& branch = *use.branch;
  const int32_t* rowsEnd = use.rows + use.count;
  const int32_t* row = std::lower_bound(use.rows, rowsEnd, first);
  const size_t tileSize = size_t(branch.rank) * TILE * (branch.format == Format::bf16 ? 2 : 4);
  const float* xa[GROUP];
  float* to[GROUP];
  while (row < rowsEnd && *row < end) {
    const size_t index = row - use.rows;
    int count = 0;
    for (; count < GROUP && row < rowsEnd && *row < end; row++, count++) {
      xa[count] = use.xa + (index + count) * branch.rank;
      to[count] = sums + size_t(*row - first) * TILE;
    }
    kernels().up[int(branch.format)](
        {static_cast<const char*>(branch.up) + tile * tileSize, branch.rank, tiles, count, xa, to, stride});
    if (!branch.c) continue;
    for (int i = 0; i < count; i++)
      for (int t = 0; t < tiles; t++) {
        const int output = (tile + t) * TILE, width = std::min(TILE, outputs - output);
        for (int o = 0; o < width; o++) to[i][t * stride + o] += use.scales[index + i] * branch.c[output + o];
      }
  }
}

}  // namespace troupe
