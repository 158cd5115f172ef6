#include "linear.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "branches.h"
#include "panel.h"

namespace troupe {

namespace {

/** Most tiles that a worker takes at a time, and most bytes of their weights, which stay in its cache while all rows pass. */
constexpr int CHUNK = 8;
constexpr size_t CHUNK_BYTES = 256 << 10;

/** One call of `linear`. */
class Product {
 public:
  Product(const LinearWeights& weights, const LinearInput& input, float* y, const Group* groups, int groupCount, const Pool& pool,
          Scratch& scratch, const BlockAdapter* const* next, int nextInDim);
  void run();

 private:
  /** A branch that rows of the step use, and the part it belongs to. */
  struct Use {
    BranchRows rows;
    int part;
    size_t firstReduction;
  };

  void lay_out(Scratch& scratch);
  void read_rows(int first, int end);
  void reduce_item(size_t item);
  void multiply(size_t worker);
  void multiply_chunk(int part, int tile, int tiles, Ahead* ahead);
  void finish(int part, int tile, int tiles, int first, int rows, float* sums);
  Ahead plan_ahead(int part, int tile, int tiles, int chunk, Ahead::Span* spans) const;

  const float* row_of(int part, int row) const {
    return (gained_[part] ? gained_[part] : read_) + size_t(row) * weights_.inDim;
  }
  bool gains_input(int part) const {
    return std::any_of(groups_, groups_ + groupCount_, [&](const Group& group) { return group.block->gainIn[part] != nullptr; });
  }

  const Kernels& kernels_ = kernels();
  const LinearWeights& weights_;
  const LinearInput& input_;
  float* const y_;
  const Group* const groups_;
  const int groupCount_;
  const Pool& pool_;
  const BlockAdapter* const* const next_;
  const int nextInDim_;

  /** What the weights multiply, before gains: x, or the gated rows. */
  const float* read_;
  float* gated_ = nullptr;
  /** Rows with the gains of a part, where it has any. */
  float* gained_[MAX_PARTS] = {};
  /** Columns in the order of the weights, a row per item of work. */
  float* ordered_ = nullptr;
  Panel* panels_[MAX_PARTS] = {};
  alignas(Panel) char panelMemory_[MAX_PARTS][sizeof(Panel)];
  Use* uses_ = nullptr;
  int useCount_ = 0;
  size_t reductions_ = 0;
  Ahead::Span* spans_ = nullptr;
  int readItems_, readRows_;
  int chunkTiles_, chunks_ = 0;
  std::atomic<int> nextChunk_{0};
};

Product::Product(const LinearWeights& weights, const LinearInput& input, float* y, const Group* groups, int groupCount, const Pool& pool,
                 Scratch& scratch, const BlockAdapter* const* next, int nextInDim)
    : weights_(weights),
      input_(input),
      y_(y),
      groups_(groups),
      groupCount_(groupCount),
      pool_(pool),
      next_(next),
      nextInDim_(nextInDim),
      read_(input.x) {
  const int tokens = input.tokens;
  readRows_ = std::max(1, tokens / (4 * std::max(1, pool.threads)));
  readItems_ = (tokens + readRows_ - 1) / readRows_;

  const size_t perTile = tile_bytes(weights.format, weights.inDim);
  const int balanced = weights.tiles() / (8 * std::max(1, pool.threads));
  chunkTiles_ = std::clamp(std::min(balanced, int(CHUNK_BYTES / perTile)), 1, CHUNK);
  for (int p = 0; p < weights.parts; p++) chunks_ += (tiles_of(weights.part[p].outDim) + chunkTiles_ - 1) / chunkTiles_;
  lay_out(scratch);
}

void Product::lay_out(Scratch& scratch) {
  const size_t tokens = size_t(input_.tokens), inputs = size_t(weights_.inDim);
  const size_t spans = size_t(std::max(1, pool_.threads)) * (2 * size_t(groupCount_) + 1);
  bool gained[MAX_PARTS] = {};
  bool plain = false;
  int panels = 0;
  size_t numbers = 0, uses = 0, xas = 0;
  for (int p = 0; p < weights_.parts; p++) {
    gained[p] = gains_input(p);
    if (gained[p]) numbers += Scratch::room<float>(tokens * inputs);
    panels += gained[p] || !plain;
    plain = plain || !gained[p];
    for (int g = 0; g < groupCount_; g++) {
      const size_t rank = size_t(groups_[g].block->branch[p].rank);
      if (rank == 0) continue;
      uses++;
      xas += Scratch::room<float>(rank * groups_[g].count);
    }
  }
  const bool gates = input_.stage == InputStage::glu;
  if (gates) numbers += Scratch::room<float>(tokens * inputs);
  if (weights_.inputs) numbers += Scratch::room<float>(readItems_ * inputs);
  scratch.begin(numbers + xas + Scratch::room<Use>(uses) + Scratch::room<Ahead::Span>(spans) +
                panels * Panel::room(weights_.format, weights_.inDim, input_.tokens));

  if (gates) read_ = gated_ = scratch.take<float>(tokens * inputs);
  if (weights_.inputs) ordered_ = scratch.take<float>(readItems_ * inputs);
  Panel* shared = nullptr;
  for (int p = 0; p < weights_.parts; p++) {
    if (gained[p]) gained_[p] = scratch.take<float>(tokens * inputs);
    if (gained[p] || !shared) {
      panels_[p] = new (panelMemory_[p]) Panel(weights_.format, weights_.inDim, input_.tokens, scratch);
      if (!gained[p]) shared = panels_[p];
    } else {
      panels_[p] = shared;
    }
  }
  spans_ = scratch.take<Ahead::Span>(spans);
  uses_ = scratch.take<Use>(uses);
  // Part by part, and within one in the order of the groups, which is that of the mix.
  for (int p = 0; p < weights_.parts; p++)
    for (int g = 0; g < groupCount_; g++) {
      const Group& group = groups_[g];
      const Branch& branch = group.block->branch[p];
      if (branch.rank == 0) continue;
      float* xa = scratch.take<float>(size_t(branch.rank) * group.count);
      uses_[useCount_] = {{&branch, group.rows, group.scales, group.count, xa}, p, reductions_};
      reductions_ += reductions(uses_[useCount_++].rows);
    }
}

void Product::read_rows(int first, int end) {
  const int inputs = weights_.inDim;
  const size_t width = size_t(inputs);
  if (gated_)
    for (int row = first; row < end; row++) {
      const float* gate = input_.x + 2 * width * row;
      kernels_.gated(input_.activation, gate, gate + width, gated_ + width * row, width);
    }
  for (int p = 0; p < weights_.parts; p++) {
    if (gained_[p]) {
      memcpy(gained_[p] + width * first, read_ + width * first, size_t(end - first) * width * 4);
      for (int g = 0; g < groupCount_; g++) {
        const Group& group = groups_[g];
        const float* gain = group.block->gainIn[p];
        if (!gain) continue;
        for (const int32_t* row = std::lower_bound(group.rows, group.rows + group.count, first); row < group.rows + group.count && *row < end; row++)
          kernels_.multiply(gained_[p] + width * *row, gain, gained_[p] + width * *row, width);
      }
    }
    if (std::find(panels_, panels_ + p, panels_[p]) != panels_ + p) continue;
    for (int row = first; row < end; row++) {
      const float* x = row_of(p, row);
      if (weights_.inputs) {
        float* ordered = ordered_ + width * (first / readRows_);
        for (int k = 0; k < inputs; k++) ordered[k] = x[weights_.inputs[k]];
        x = ordered;
      }
      panels_[p]->write(row, x);
    }
  }
}

void Product::reduce_item(size_t item) {
  const Use* use = uses_;
  while (use + 1 < uses_ + useCount_ && (use + 1)->firstReduction <= item) use++;
  reduce(use->rows, item - use->firstReduction, row_of(use->part, 0), weights_.inDim, weights_.inDim);
}

Ahead Product::plan_ahead(int part, int tile, int tiles, int chunk, Ahead::Span* spans) const {
  int count = 0;
  size_t bytes = 0;
  const auto add = [&](const void* at, size_t from, size_t to) {
    if (to <= from) return;
    spans[count++] = {static_cast<const char*>(at) + from, static_cast<const char*>(at) + to};
    bytes += to - from;
  };
  for (int u = 0; u < useCount_; u++) {
    if (uses_[u].part != part) continue;
    const Branch& branch = *uses_[u].rows.branch;
    const size_t tileSize = size_t(branch.rank) * TILE * (branch.format == Format::bf16 ? 2 : 4);
    add(branch.up, tile * tileSize, (tile + tiles) * tileSize);
  }
  // Every chunk fetches its share of what the next product begins with.
  for (int g = 0; next_ && g < groupCount_; g++) {
    if (!next_[g]) continue;
    const void* first = nullptr;
    size_t size = 0;
    for (const Branch& branch : next_[g]->branch) {
      if (branch.rank == 0) continue;
      if (!first) first = branch.down;
      size += size_t(branch.rank) * nextInDim_ * (branch.format == Format::bf16 ? 2 : 4);
    }
    add(first, size * chunk / chunks_ & ~size_t{63}, size * (chunk + 1) / chunks_ & ~size_t{63});
  }
  const size_t blocks = size_t(tiles) * blocks_of(weights_.inDim), lines = bytes / 64 + count;
  return {spans, count, int((lines + blocks - 1) / blocks)};
}

void Product::multiply(size_t worker) {
  Ahead::Span* spans = spans_ + worker * (2 * size_t(groupCount_) + 1);
  for (int chunk; (chunk = nextChunk_.fetch_add(1, std::memory_order_relaxed)) < chunks_;) {
    int part = 0, at = chunk;
    for (;; part++) {
      const int inPart = (tiles_of(weights_.part[part].outDim) + chunkTiles_ - 1) / chunkTiles_;
      if (at < inPart) break;
      at -= inPart;
    }
    const int tile = at * chunkTiles_, tiles = std::min(chunkTiles_, tiles_of(weights_.part[part].outDim) - tile);
    // With more rows than one group the product takes longer than any memory, and fetched lines would be gone again.
    if (groupCount_ == 0 || input_.tokens > GROUP) {
      multiply_chunk(part, tile, tiles, nullptr);
    } else {
      Ahead ahead = plan_ahead(part, tile, tiles, chunk, spans);
      multiply_chunk(part, tile, tiles, &ahead);
    }
  }
}

void Product::multiply_chunk(int part, int tile, int tiles, Ahead* ahead) {
  const size_t index = size_t(weights_.part[part].firstTile) + tile, scales = index * tile_scales(weights_.inDim);
  const TileRun run = {static_cast<const char*>(weights_.w) + index * tile_bytes(weights_.format, weights_.inDim),
                       weights_.d ? weights_.d + scales : nullptr, weights_.m ? weights_.m + scales : nullptr, weights_.inDim, tiles};
  alignas(64) float sums[CHUNK * GROUP * TILE];
  for (int g = 0; g < panels_[part]->groups(); g++) {
    const RowGroup group = panels_[part]->group(g);
    kernels_.product[int(weights_.format)](run, group, sums, ahead);
    finish(part, tile, tiles, g * GROUP, group.rows, sums);
    ahead = nullptr;
  }
}

void Product::finish(int part, int tile, int tiles, int first, int rows, float* sums) {
  const Part& place = weights_.part[part];
  const size_t stride = size_t(rows) * TILE;
  const auto width = [&](int t) { return std::min(TILE, place.outDim - (tile + t) * TILE); };

  if (weights_.bias)
    for (int t = 0; t < tiles; t++) {
      const float* bias = weights_.bias + place.firstOutput + (tile + t) * TILE;
      for (int row = 0; row < rows; row++)
        for (int o = 0; o < width(t); o++) sums[t * stride + row * TILE + o] += bias[o];
    }
  for (int g = 0; g < groupCount_; g++) {
    const Group& group = groups_[g];
    const float* gain = group.block->gainOut[part];
    if (!gain) continue;
    for (const int32_t* row = std::lower_bound(group.rows, group.rows + group.count, first); row < group.rows + group.count && *row < first + rows; row++)
      for (int t = 0; t < tiles; t++)
        for (int o = 0; o < width(t); o++) sums[t * stride + (*row - first) * TILE + o] *= gain[(tile + t) * TILE + o];
  }
  for (int u = 0; u < useCount_; u++)
    if (uses_[u].part == part) expand(uses_[u].rows, first, first + rows, tile, tiles, place.outDim, sums, stride);

  const size_t outputs = size_t(weights_.outputs());
  for (int row = 0; row < rows; row++) {
    float* to = y_ + (first + row) * outputs + place.firstOutput + tile * TILE;
    const int whole = width(tiles - 1) == TILE ? tiles : tiles - 1;
    for (int t = 0; t < whole; t++) memcpy(to + t * TILE, sums + t * stride + row * TILE, TILE * 4);
    if (whole < tiles) memcpy(to + whole * TILE, sums + whole * stride + row * TILE, size_t(width(whole)) * 4);
  }
}

void Product::run() {
  const size_t reads = size_t(readItems_);
  const auto read = [&](size_t item) {
    const int first = int(item) * readRows_;
    read_rows(first, std::min(first + readRows_, input_.tokens));
  };
  const bool changed = gated_ || std::any_of(gained_, gained_ + MAX_PARTS, [](float* rows) { return rows != nullptr; });
  if (changed) {
    // The branches read what this writes.
    parallel(pool_, reads, read);
    const auto reduce = [&](size_t item) { reduce_item(item); };
    parallel(pool_, reductions_, reduce);
  } else {
    const auto both = [&](size_t item) { item < reads ? read(item) : reduce_item(item - reads); };
    parallel(pool_, reads + reductions_, both);
  }
  const auto work = [&](size_t worker) { multiply(worker); };
  parallel(pool_, size_t(std::min(std::max(1, pool_.threads), chunks_)), work);
}

}  // namespace

void linear(const LinearWeights& weights, const LinearInput& input, float* y, const Group* groups, int groupCount, const Pool& pool,
            Scratch& scratch, const BlockAdapter* const* next, int nextInDim) {
  if (input.tokens == 0) return;
  Product(weights, input, y, groups, groupCount, pool, scratch, next, nextInDim).run();
}

}  // namespace troupe
