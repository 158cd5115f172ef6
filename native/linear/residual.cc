#include <algorithm>
#include <cstring>

#include "branches.h"

namespace troupe {

namespace {

constexpr int SITES = 3;
/** Rows, and tiles of rows, that one item of work takes. */
constexpr int ROWS = 8, TILES = 8;

struct Use {
  BranchRows rows;
  /** Where row 0 of what it reads is. */
  const float* x;
  size_t firstReduction;
};

}  // namespace

void residual_branches(int hidden, const float* stream, const float* result, int tokens, float* next, const ResidualGroup* groups,
                       int groupCount, const Pool& pool, Scratch& scratch) {
  if (tokens == 0) return;
  const Kernels& k = kernels();
  const int tiles = tiles_of(hidden);
  const size_t width = size_t(hidden), numbers = tokens * width, rowItems = size_t((tokens + ROWS - 1) / ROWS);
  const bool stacked = groupCount > 0 && groups[groupCount - 1].level > 0;

  size_t xas = 0;
  for (int g = 0; g < groupCount; g++)
    for (const Branch* branch : {&groups[g].block->before, &groups[g].block->output, &groups[g].block->after})
      xas += Scratch::room<float>(size_t(branch->rank) * groups[g].count);
  scratch.begin(Scratch::room<float>(numbers) * (stacked ? 4 : 2) + xas + Scratch::room<Use>(size_t(groupCount) * SITES));
  // stream + result; what the levels so far add; and both with it added, which the next level reads.
  float* sums = scratch.take<float>(numbers);
  float* pending = scratch.take<float>(numbers);
  float* outputAbove = stacked ? scratch.take<float>(numbers) : nullptr;
  float* sumAbove = stacked ? scratch.take<float>(numbers) : nullptr;
  Use* uses = scratch.take<Use>(size_t(groupCount) * SITES);

  const auto each_rows = [&](auto body) {
    const auto item = [&](size_t index) {
      const size_t first = index * ROWS * width, end = std::min(numbers, first + ROWS * width);
      body(first, end - first);
    };
    parallel(pool, rowItems, item);
  };
  each_rows([&](size_t at, size_t count) {
    k.add(stream + at, result + at, sums + at, count);
    memset(pending + at, 0, count * 4);
  });

  for (int g = 0; g < groupCount;) {
    const int level = groups[g].level;
    int useCount = 0;
    size_t items = 0;
    if (level > 0)
      each_rows([&](size_t at, size_t count) {
        k.add(result + at, pending + at, outputAbove + at, count);
        k.add(sums + at, pending + at, sumAbove + at, count);
      });
    for (; g < groupCount && groups[g].level == level; g++) {
      const ResidualAdapter& block = *groups[g].block;
      const Branch* branches[SITES] = {&block.before, &block.output, &block.after};
      const float* reads[SITES] = {stream, level > 0 ? outputAbove : result, level > 0 ? sumAbove : sums};
      for (int site = 0; site < SITES; site++) {
        const Branch& branch = *branches[site];
        if (branch.rank == 0) continue;
        float* xa = scratch.take<float>(size_t(branch.rank) * groups[g].count);
        uses[useCount] = {{&branch, groups[g].rows, groups[g].scales, groups[g].count, xa}, reads[site], items};
        items += reductions(uses[useCount++].rows);
      }
    }
    const auto reduce_item = [&](size_t item) {
      const Use* use = uses;
      while (use + 1 < uses + useCount && (use + 1)->firstReduction <= item) use++;
      reduce(use->rows, item - use->firstReduction, use->x, width, hidden);
    };
    parallel(pool, items, reduce_item);

    const auto expand_item = [&](size_t item) {
      const int tile = int(item) * TILES, count = std::min(TILES, tiles - tile);
      alignas(64) float deltas[TILES * GROUP * TILE];
      for (int first = 0; first < tokens; first += GROUP) {
        const int rows = std::min(GROUP, tokens - first);
        const size_t stride = size_t(rows) * TILE;
        const auto each_piece = [&](auto body) {
          for (int row = 0; row < rows; row++)
            for (int t = 0; t < count; t++)
              body(deltas + t * stride + row * TILE, pending + (first + row) * width + (tile + t) * TILE,
                   size_t(std::min(TILE, hidden - (tile + t) * TILE)) * 4);
        };
        memset(deltas, 0, sizeof deltas);
        each_piece([](float* delta, float* sum, size_t bytes) { memcpy(delta, sum, bytes); });
        for (int u = 0; u < useCount; u++) expand(uses[u].rows, first, first + rows, tile, count, hidden, deltas, stride);
        each_piece([](float* delta, float* sum, size_t bytes) { memcpy(sum, delta, bytes); });
      }
    };
    if (useCount > 0) parallel(pool, size_t((tiles + TILES - 1) / TILES), expand_item);
  }
  each_rows([&](size_t at, size_t count) { k.add(sums + at, pending + at, next + at, count); });
}

}  // namespace troupe
