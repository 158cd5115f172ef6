#include "model.h"

#include <cstring>

#include "../core/numbers.h"

namespace troupe::bench {

namespace {

constexpr int HIDDEN = 896, KV = 128, MLP = 4864, VOCABULARY = 32000, MOST_ROWS = 512;

/** Cheap numbers: products take the same time whatever they are, unless they overflow or underflow. */
uint32_t next(uint32_t& state) { return state = state * 1664525u + 1013904223u; }

}  // namespace

Products::Products(Format format, int layers) : x_(size_t(MOST_ROWS) * MLP), y_(size_t(MOST_ROWS) * VOCABULARY) {
  uint32_t state = 1;
  for (float& value : x_) value = float(int32_t(next(state))) / 2147483648.0f;
  for (int layer = 0; layer < layers; layer++) {
    add_block(format, HIDDEN, {HIDDEN, KV, KV});
    add_block(format, HIDDEN, {HIDDEN});
    add_block(format, HIDDEN, {MLP, MLP});
    add_block(format, MLP, {HIDDEN});
  }
  add_block(format, HIDDEN, {VOCABULARY});
}

void Products::add_block(Format format, int inputs, const std::vector<int>& outputs) {
  LinearWeights weights{};
  weights.format = format;
  weights.inDim = inputs;
  weights.parts = int(outputs.size());
  int tiles = 0, first = 0;
  for (int p = 0; p < weights.parts; p++) {
    weights.part[p] = {outputs[p], tiles, first};
    tiles += tiles_of(outputs[p]);
    first += outputs[p];
  }
  const size_t size = tiles * tile_bytes(format, inputs), scales = is_quantised(format) ? tiles * tile_scales(inputs) : 0;
  const auto room = [&](size_t bytes) {
    memory_.push_back(std::make_unique<char[]>(bytes + 64));
    bytes_ += bytes;
    return reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(memory_.back().get()) + 63) & ~uintptr_t{63});
  };
  char* w = room(size);
  uint32_t state = 7;
  for (size_t i = 0; i < size; i += 4) {
    const uint32_t bits = format == Format::f32 ? 0x3c000000u : format == Format::bf16 ? 0x3c003c00u : next(state);
    memcpy(w + i, &bits, 4);
  }
  weights.w = w;
  if (scales) {
    uint16_t* d = reinterpret_cast<uint16_t*>(room(scales * 2));
    for (size_t i = 0; i < scales; i++) d[i] = to_f16(0.01f);
    weights.d = d;
  }
  if (format == Format::q4) {
    uint16_t* m = reinterpret_cast<uint16_t*>(room(scales * 2));
    for (size_t i = 0; i < scales; i++) m[i] = to_f16(-0.07f);
    weights.m = m;
  }
  blocks_.push_back({weights, {}});
}

void Products::load(int count, int rank) {
  std::vector<float> numbers(size_t(rank) * MLP, 0.01f);
  for (Block& block : blocks_) block.adapters.clear();
  adapterMemory_.clear();
  for (int i = 0; i < count; i++) {
    std::vector<std::vector<BranchSource>> sources;
    size_t bytes = 0;
    for (size_t b = 0; b + 1 < blocks_.size(); b++) {
      sources.emplace_back();
      for (int p = 0; p < blocks_[b].weights.parts; p++)
        sources[b].push_back({rank, blocks_[b].weights.inDim, blocks_[b].part_outputs(p), Activation::identity, numbers.data(), numbers.data(), nullptr, nullptr});
      bytes += packed_bytes(sources[b].data(), int(sources[b].size()), Format::bf16);
    }
    adapterMemory_.push_back(std::make_unique<BranchMemory>(bytes));
    for (size_t b = 0; b + 1 < blocks_.size(); b++) {
      blocks_[b].adapters.push_back(std::make_unique<BlockAdapter>());
      pack_branches(sources[b].data(), int(sources[b].size()), Format::bf16, *adapterMemory_.back(), blocks_[b].adapters.back()->branch);
    }
  }
}

void Products::run(int rows, const std::vector<int>& adapters, const Pool& pool, Scratch& scratch) {
  std::vector<std::vector<int32_t>> rowsOf(adapterMemory_.size());
  for (int row = 0; row < rows; row++)
    if (adapters[row] >= 0) rowsOf[adapters[row]].push_back(row);
  const std::vector<float> scales(rows, 1);
  std::vector<Group> groups;
  std::vector<const BlockAdapter*> next;
  for (size_t b = 0; b < blocks_.size(); b++) {
    groups.clear(), next.clear();
    for (size_t a = 0; a < rowsOf.size(); a++) {
      if (rowsOf[a].empty() || b + 1 == blocks_.size()) continue;
      groups.push_back({blocks_[b].adapters[a].get(), rowsOf[a].data(), scales.data(), int(rowsOf[a].size())});
      next.push_back(b + 2 < blocks_.size() ? blocks_[b + 1].adapters[a].get() : nullptr);
    }
    linear(blocks_[b].weights, {x_.data(), rows}, y_.data(), groups.data(), int(groups.size()), pool, scratch, next.data(),
           b + 1 < blocks_.size() ? blocks_[b + 1].weights.inDim : 0);
  }
}

size_t Products::bytes() const { return bytes_; }

}  // namespace troupe::bench
