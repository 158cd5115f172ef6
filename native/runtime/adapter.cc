#include "adapter.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>

#include "../core/numbers.h"
#include "error.h"
#include "weights.h"

namespace troupe {

namespace {

[[noreturn]] void bad(const std::string& message) { throw Error("bad_adapter_weights", message); }

/** Block and part of a linear site. */
struct Place {
  int block, part;
};

Place place_of(int site, bool gated) {
  switch (site) {
    case Q_PROJ: return {QKV, 0};
    case K_PROJ: return {QKV, 1};
    case V_PROJ: return {QKV, 2};
    case O_PROJ: return {O, 0};
    case GATE_PROJ: return {MLP_IN, gated ? 0 : -1};
    case UP_PROJ: return {MLP_IN, gated ? 1 : 0};
    case DOWN_PROJ: return {DOWN, 0};
    case LM_HEAD: return {HEAD, 0};
    default: return {HEAD, -1};
  }
}

void check_size(const Floats& floats, size_t count, const char* what) {
  if (floats.count != count || (count > 0 && floats.data == nullptr))
    bad(std::string(what) + " has " + std::to_string(floats.count) + " values, not " + std::to_string(count));
}

/** Branches of one block or sublayer, still where JavaScript has them. */
struct Pending {
  BranchSource branches[MAX_PARTS] = {};
  const float* gainIn[MAX_PARTS] = {};
  const float* gainOut[MAX_PARTS] = {};
  int inDim = 0, outDims[MAX_PARTS] = {};
  bool used = false;
};

BranchSource source_of(const AdapterSource::Branch& from, int inDim, int outDim) {
  if (from.rank < 1) bad("a branch has rank " + std::to_string(from.rank));
  if (from.activation < 0 || from.activation > int(Activation::laplace)) bad("a branch has an unknown non-linearity");
  const size_t rank = size_t(from.rank);
  check_size(from.down, rank * size_t(inDim), "down");
  check_size(from.up, rank * size_t(outDim), "up");
  if (from.a.data != nullptr) check_size(from.a, rank, "a");
  if (from.c.data != nullptr) check_size(from.c, size_t(outDim), "c");
  return {from.rank, inDim, outDim, Activation(from.activation), from.down.data, from.up.data, from.a.data, from.c.data, from.scale};
}

void put(void* to, Format format, size_t at, float value) {
  if (format == Format::bf16) static_cast<uint16_t*>(to)[at] = to_bf16(value);
  else static_cast<float*>(to)[at] = value;
}

}  // namespace

Adapter::Adapter(const AdapterSource& source, const Architecture& a, Format format) {
  const size_t hidden = size_t(a.hidden), element = format == Format::bf16 ? 2 : 4;
  std::vector<Pending> linear(size_t(a.layers) * BLOCKS + 1), residual(size_t(a.layers) * 2);
  const auto block_of = [&](int layer, int site, int& part) -> Pending& {
    const Place place = place_of(site, a.gated);
    if (place.part < 0) bad("the base model has no site " + std::to_string(site));
    if (place.block != HEAD && (layer < 0 || layer >= a.layers)) bad("the base model has no layer " + std::to_string(layer));
    part = place.part;
    Pending& pending = linear[place.block == HEAD ? linear.size() - 1 : size_t(layer) * BLOCKS + size_t(place.block)];
    const std::vector<int> outputs = part_outputs(a, place.block);
    std::copy(outputs.begin(), outputs.end(), pending.outDims);
    pending.inDim = block_inputs(a, place.block);
    pending.used = true;
    return pending;
  };

  const AdapterSource::Branch* embed = nullptr;
  for (const AdapterSource::Branch& branch : source.branches) {
    if (branch.site < 0 || branch.site >= SITES) bad("a branch has an unknown site");
    if (branch.site == EMBED_TOKENS) {
      if (embed != nullptr) bad("two branches act at embed_tokens");
      source_of(branch, a.vocab, a.hidden);
      if (branch.activation != int(Activation::identity) || branch.a.data != nullptr || branch.c.data != nullptr)
        bad("a branch at embed_tokens has a non-linearity or a bias");
      embed = &branch;
      continue;
    }
    Pending* pending;
    int part;
    if (branch.site >= ATTN_IN && branch.site <= MLP_STREAM) {
      if (branch.layer < 0 || branch.layer >= a.layers) bad("the base model has no layer " + std::to_string(branch.layer));
      if (a.parallel) bad("modules in the residual stream have no place in a layer whose sublayers stand side by side");
      pending = &residual[size_t(branch.layer) * 2 + (branch.site >= MLP_IN_SITE ? 1 : 0)];
      part = (branch.site - ATTN_IN) % 3;
      pending->inDim = pending->outDims[part] = a.hidden;
      pending->used = hasResidual = true;
    } else {
      pending = &block_of(branch.layer, branch.site, part);
    }
    if (pending->branches[part].rank != 0) bad("two branches act at one site of layer " + std::to_string(branch.layer));
    pending->branches[part] = source_of(branch, pending->inDim, pending->outDims[part]);
  }
  for (const AdapterSource::Gain& gain : source.gains) {
    if (gain.site < Q_PROJ || gain.site > DOWN_PROJ) bad("a gain acts at no linear site");
    int part;
    Pending& pending = block_of(gain.layer, gain.site, part);
    check_size(gain.values, size_t(gain.out ? pending.outDims[part] : pending.inDim), "a gain");
    const float*& place = gain.out ? pending.gainOut[part] : pending.gainIn[part];
    if (place != nullptr) bad("two gains act at one site of layer " + std::to_string(gain.layer));
    place = gain.values.data;
  }
  const size_t tokenValues = source.tokenIds.size() * hidden;
  check_size(source.virtualEmbeddings, size_t(source.virtualCount) * hidden, "the virtual embedding");
  if (source.tokenEmbed.data != nullptr) check_size(source.tokenEmbed, tokenValues, "the embedding of tokens");
  if (source.tokenHead.data != nullptr) check_size(source.tokenHead, tokenValues, "the head of tokens");
  const size_t prefixValues = size_t(a.kvHeads) * size_t(source.prefixCount) * size_t(a.headDim);
  if (source.prefixCount > 0 && source.prefix.size() != size_t(a.layers)) bad("keys and values are missing of some layers");
  for (const AdapterSource::PrefixLayer& layer : source.prefix) {
    check_size(layer.keys, prefixValues, "keys");
    check_size(layer.values, prefixValues, "values");
  }

  size_t bytes = 0;
  const auto row = [&](const float* values, size_t count) {
    if (values != nullptr) bytes += packed_row_bytes(int(count));
  };
  for (const std::vector<Pending>* all : {&linear, &residual})
    for (const Pending& pending : *all) {
      if (!pending.used) continue;
      bytes += packed_bytes(pending.branches, MAX_PARTS, format);
      for (int part = 0; part < MAX_PARTS; part++) {
        row(pending.gainIn[part], size_t(pending.inDim));
        row(pending.gainOut[part], size_t(pending.outDims[part]));
      }
    }
  const auto lines = [](size_t size) { return (size + 63) & ~size_t{63}; };
  const size_t embedDowns = embed == nullptr ? 0 : size_t(embed->rank) * size_t(a.vocab) * element;
  const size_t embedUps = embed == nullptr ? 0 : size_t(embed->rank) * hidden * element;
  bytes += lines(embedDowns) + lines(embedUps);
  const auto floats = [&](size_t count) { bytes += lines(count * sizeof(float)); };
  floats(size_t(source.virtualCount) * hidden);
  if (source.tokenEmbed.data != nullptr) floats(tokenValues);
  if (source.tokenHead.data != nullptr) floats(tokenValues);
  for (size_t layer = 0; layer < source.prefix.size(); layer++) floats(2 * prefixValues);
  memory_ = std::make_unique<BranchMemory>(std::max<size_t>(bytes, 64));

  blockAt_.assign(linear.size(), -1);
  for (size_t i = 0; i < linear.size(); i++) {
    Pending& pending = linear[i];
    if (!pending.used) continue;
    BlockAdapter block{};
    pack_branches(pending.branches, MAX_PARTS, format, *memory_, block.branch);
    for (int part = 0; part < MAX_PARTS; part++) {
      if (pending.gainIn[part] != nullptr) block.gainIn[part] = pack_row(pending.gainIn[part], pending.inDim, *memory_);
      if (pending.gainOut[part] != nullptr) block.gainOut[part] = pack_row(pending.gainOut[part], pending.outDims[part], *memory_);
    }
    blockAt_[i] = int32_t(blocks_.size());
    blocks_.push_back(block);
  }
  residualAt_.assign(residual.size(), -1);
  for (size_t i = 0; i < residual.size(); i++) {
    if (!residual[i].used) continue;
    Branch branches[MAX_PARTS];
    pack_branches(residual[i].branches, MAX_PARTS, format, *memory_, branches);
    residualAt_[i] = int32_t(residuals_.size());
    residuals_.push_back({branches[0], branches[1], branches[2]});
  }
  if (embed != nullptr) {
    void* down = memory_->take(embedDowns);
    void* up = memory_->take(embedUps);
    const size_t rank = size_t(embed->rank), vocab = size_t(a.vocab);
    for (size_t r = 0; r < rank; r++)
      for (size_t id = 0; id < vocab; id++) put(down, format, id * rank + r, embed->down.data[r * vocab + id]);
    for (size_t i = 0; i < rank * hidden; i++) put(up, format, i, embed->up.data[i] * embed->scale);
    embedRank = embed->rank;
    embedFormat = format;
    embedDown = down;
    embedUp = up;
  }
  const auto copy = [&](const float* values, size_t count) {
    float* to = static_cast<float*>(memory_->take(count * sizeof(float)));
    memcpy(to, values, count * sizeof(float));
    return to;
  };
  virtualCount = source.virtualCount;
  if (virtualCount > 0) virtualEmbeddings = copy(source.virtualEmbeddings.data, size_t(virtualCount) * hidden);
  prefixCount = source.prefixCount;
  for (const AdapterSource::PrefixLayer& layer : source.prefix) {
    float* both = static_cast<float*>(memory_->take(2 * prefixValues * sizeof(float)));
    memcpy(both, layer.keys.data, prefixValues * sizeof(float));
    memcpy(both + prefixValues, layer.values.data, prefixValues * sizeof(float));
    prefix.push_back(both);
  }
  std::vector<size_t> order(source.tokenIds.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t x, size_t y) { return source.tokenIds[x] < source.tokenIds[y]; });
  float* embedRows = source.tokenEmbed.data == nullptr ? nullptr : static_cast<float*>(memory_->take(tokenValues * sizeof(float)));
  float* headRows = source.tokenHead.data == nullptr ? nullptr : static_cast<float*>(memory_->take(tokenValues * sizeof(float)));
  for (size_t i = 0; i < order.size(); i++) {
    const int32_t id = source.tokenIds[order[i]];
    if (id < 0 || id == INT32_MAX || (i > 0 && id == tokenIds.back())) bad("token " + std::to_string(id) + " is given twice or is no token");
    tokenIds.push_back(id);
    tokenEnd = id + 1;
    if (embedRows != nullptr) memcpy(embedRows + i * hidden, source.tokenEmbed.data + order[i] * hidden, hidden * sizeof(float));
    if (headRows != nullptr) memcpy(headRows + i * hidden, source.tokenHead.data + order[i] * hidden, hidden * sizeof(float));
  }
  tokenEmbed = embedRows;
  tokenHead = headRows;
}

int Adapter::token_row(int32_t id) const {
  const auto found = std::lower_bound(tokenIds.begin(), tokenIds.end(), id);
  return found != tokenIds.end() && *found == id ? int(found - tokenIds.begin()) : -1;
}

}  // namespace troupe
