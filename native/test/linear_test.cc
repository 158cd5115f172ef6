#include <cmath>
#include <memory>

#include "../core/numbers.h"
#include "../linear/linear.h"
#include "../pack/branches.h"
#include "../pack/weights.h"
#include "check.h"

namespace troupe::test {

namespace {

struct Shape {
  int inputs;
  std::vector<int> outputs;
};

/** A block of random weights, in memory as `prepare` writes it. */
struct Weights {
  LinearWeights block{};
  std::vector<char> w;
  std::vector<uint16_t> d, m;
  std::vector<float> bias;
  std::vector<int32_t> inputs;

  Weights(Format format, const Shape& shape, bool biased, bool ordered, Random& random) {
    block.format = format;
    block.inDim = shape.inputs;
    block.parts = int(shape.outputs.size());
    int tiles = 0, outputs = 0;
    for (int p = 0; p < block.parts; p++) {
      block.part[p] = {shape.outputs[p], tiles, outputs};
      tiles += tiles_of(shape.outputs[p]);
      outputs += shape.outputs[p];
    }
    const size_t perTile = tile_bytes(format, shape.inputs), scales = tile_scales(shape.inputs);
    w.resize(tiles * perTile);
    if (is_quantised(format)) d.resize(tiles * scales), m.resize(tiles * scales);
    for (int p = 0; p < block.parts; p++)
      for (int tile = 0; tile < tiles_of(shape.outputs[p]); tile++) {
        const int count = std::min(TILE, shape.outputs[p] - tile * TILE);
        const size_t at = size_t(block.part[p].firstTile + tile);
        fill(format, count, shape.inputs, w.data() + at * perTile, d.data() + at * scales, m.data() + at * scales, random);
      }
    if (biased) bias = random.normals(outputs);
    for (int k = 0; ordered && k < shape.inputs; k++) inputs.push_back((k * 7 + 3) % shape.inputs);
    block.w = w.data();
    if (is_quantised(format)) block.d = d.data();
    if (format == Format::q4) block.m = m.data();
    block.bias = biased ? bias.data() : nullptr;
    block.inputs = ordered ? inputs.data() : nullptr;
  }

 private:
  static void fill(Format format, int count, int inputs, void* tile, uint16_t* d, uint16_t* m, Random& random) {
    const int blocks = blocks_of(inputs);
    if (format == Format::q4) {
      std::vector<uint8_t> q(size_t(count) * inputs);
      for (uint8_t& value : q) value = uint8_t(random.below(16));
      std::vector<uint16_t> scales(size_t(count) * blocks), minima(scales.size());
      for (uint16_t& value : scales) value = to_f16(0.02f + 0.01f * random.normal());
      for (uint16_t& value : minima) value = to_f16(-0.15f + 0.05f * random.normal());
      pack_quantised_q4(q.data(), scales.data(), minima.data(), count, inputs, tile, d, m);
      return;
    }
    const std::vector<float> rows = random.normals(size_t(count) * inputs, 0.1f);
    if (format == Format::q8) pack_q8(rows.data(), count, inputs, tile, d);
    else pack_floats(format, rows.data(), count, inputs, tile);
  }
};

/** A random adapter at a block, and the numbers it was packed from. */
struct Adapter {
  BlockAdapter block{};
  std::vector<float> down[MAX_PARTS], up[MAX_PARTS], a[MAX_PARTS], c[MAX_PARTS], gainIn[MAX_PARTS], gainOut[MAX_PARTS];
  std::unique_ptr<BranchMemory> memory;

  struct Kind {
    int rank;
    Activation activation;
    bool biased, gains;
    Format format;
  };

  Adapter(const Shape& shape, const Kind& kind, Random& random) {
    const int parts = int(shape.outputs.size());
    std::vector<BranchSource> sources;
    for (int p = 0; p < parts; p++) {
      const int outputs = shape.outputs[p];
      // Not every part has a branch, and ranks differ.
      const int rank = parts > 1 && p == 1 ? 0 : kind.rank + p;
      down[p] = rounded(random.normals(size_t(rank) * shape.inputs, 0.1f), kind.format);
      up[p] = rounded(random.normals(size_t(rank) * outputs, 0.1f), kind.format);
      if (kind.biased) a[p] = random.normals(rank), c[p] = random.normals(outputs);
      if (kind.gains && p != 2) gainIn[p] = random.normals(shape.inputs), gainOut[p] = random.normals(outputs);
      sources.push_back({rank, shape.inputs, outputs, kind.activation, down[p].data(), up[p].data(), kind.biased ? a[p].data() : nullptr,
                         kind.biased ? c[p].data() : nullptr});
    }
    memory = std::make_unique<BranchMemory>(packed_bytes(sources.data(), parts, kind.format));
    pack_branches(sources.data(), parts, kind.format, *memory, block.branch);
    for (int p = 0; p < parts; p++) {
      block.gainIn[p] = gainIn[p].empty() ? nullptr : gainIn[p].data();
      block.gainOut[p] = gainOut[p].empty() ? nullptr : gainOut[p].data();
    }
  }

  static std::vector<float> rounded(std::vector<float> values, Format format) {
    if (format == Format::bf16)
      for (float& value : values) value = from_bf16(to_bf16(value));
    return values;
  }
};

double phi(Activation activation, double x) {
  switch (activation) {
    case Activation::identity: return x;
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::gelu: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    default: return x > 0 ? x : 0;
  }
}

/** Members of one row's mix. */
struct Use {
  const Adapter* adapter;
  float scale;
};

/** What `linear` computes for one row, in f64; quantised weights multiply x as it is after quantising. */
std::vector<double> expected(const Weights& weights, std::vector<double> x, const std::vector<Use>& mix, double* magnitude) {
  const LinearWeights& block = weights.block;
  std::vector<double> y(block.outputs());
  std::vector<float> row(block.inDim);
  *magnitude = 0;
  for (int p = 0; p < block.parts; p++) {
    std::vector<double> read = x;
    for (const Use& use : mix)
      for (int k = 0; k < block.inDim && use.adapter->block.gainIn[p]; k++) read[k] = float(read[k]) * use.adapter->gainIn[p][k];
    std::vector<double> base(block.inDim);
    for (int k = 0; k < block.inDim; k++) base[k] = read[block.inputs ? block.inputs[k] : k];
    for (int first = 0; is_quantised(block.format) && first < block.inDim; first += BLOCK) {
      float peak = 0;
      const int end = std::min(first + BLOCK, block.inDim);
      for (int k = first; k < end; k++) peak = std::max(peak, std::fabs(float(base[k])));
      for (int k = first; k < end; k++) base[k] = peak > 0 ? std::nearbyint(float(base[k]) * (127.0f / peak)) * (peak / 127.0f) : 0;
    }
    for (int o = 0; o < block.part[p].outDim; o++) {
      unpack_row(block, p, o, row.data());
      double sum = 0, size = 0;
      for (int k = 0; k < block.inDim; k++) sum += row[k] * base[k], size += std::fabs(row[k] * base[k]);
      if (block.bias) sum += block.bias[block.part[p].firstOutput + o];
      for (const Use& use : mix)
        if (use.adapter->block.gainOut[p]) sum *= use.adapter->gainOut[p][o], size *= std::fabs(use.adapter->gainOut[p][o]);
      for (const Use& use : mix) {
        const Branch& branch = use.adapter->block.branch[p];
        for (int r = 0; r < branch.rank; r++) {
          double dot = use.adapter->a[p].empty() ? 0 : use.adapter->a[p][r];
          for (int k = 0; k < block.inDim; k++) dot += use.adapter->down[p][size_t(r) * block.inDim + k] * float(read[k]);
          sum += use.scale * phi(branch.activation, dot) * use.adapter->up[p][size_t(r) * block.part[p].outDim + o];
          size += std::fabs(use.scale * dot * use.adapter->up[p][size_t(r) * block.part[p].outDim + o]);
        }
        if (branch.rank && !use.adapter->c[p].empty()) sum += use.scale * use.adapter->c[p][o];
      }
      y[block.part[p].firstOutput + o] = sum;
      *magnitude = std::max(*magnitude, size);
    }
  }
  return y;
}

/** The groups of a step: position in the mix first, then adapter; rows ascending. */
struct Groups {
  std::vector<Group> groups;
  std::vector<std::vector<int32_t>> rows;
  std::vector<std::vector<float>> scales;

  Groups(const std::vector<std::vector<Use>>& mixes, const std::vector<const Adapter*>& adapters) {
    for (size_t position = 0; position < 4; position++)
      for (const Adapter* adapter : adapters) {
        std::vector<int32_t> at;
        std::vector<float> by;
        for (size_t row = 0; row < mixes.size(); row++)
          if (position < mixes[row].size() && mixes[row][position].adapter == adapter)
            at.push_back(int32_t(row)), by.push_back(mixes[row][position].scale);
        if (at.empty()) continue;
        rows.push_back(at), scales.push_back(by);
        groups.push_back({&adapter->block, nullptr, nullptr, int(at.size())});
      }
    for (size_t g = 0; g < groups.size(); g++) groups[g].rows = rows[g].data(), groups[g].scales = scales[g].data();
  }
};

const char* name_of(Format format) {
  const char* const names[] = {"f32", "bf16", "q8", "q4"};
  return names[int(format)];
}

void run_case(Format format, const Shape& shape, bool biased, bool ordered, bool gated, const std::vector<Adapter::Kind>& kinds, int most) {
  Random random(uint64_t(shape.inputs) * 31 + int(format) * 7 + kinds.size() + ordered + 2 * gated);
  const Weights weights(format, shape, biased, ordered, random);
  std::vector<std::unique_ptr<Adapter>> owned;
  std::vector<const Adapter*> adapters;
  for (const Adapter::Kind& kind : kinds) owned.push_back(std::make_unique<Adapter>(shape, kind, random)), adapters.push_back(owned.back().get());

  const int outputs = weights.block.outputs(), width = shape.inputs * (gated ? 2 : 1);
  const std::vector<float> x = random.normals(size_t(most) * width);
  std::vector<std::vector<Use>> mixes(most);
  for (auto& mix : mixes)
    for (int members = adapters.empty() ? 0 : random.below(4); members > 0; members--)
      mix.push_back({adapters[random.below(int(adapters.size()))], random.normal()});

  Scratch scratch;
  const auto run = [&](int first, int count, const Pool& pool) {
    const Groups groups({mixes.begin() + first, mixes.begin() + first + count}, adapters);
    std::vector<const BlockAdapter*> next;
    for (const Group& group : groups.groups) next.push_back(group.block);
    std::vector<float> y(size_t(count) * outputs, NAN);
    const LinearInput input = {x.data() + size_t(first) * width, count, gated ? InputStage::glu : InputStage::plain, Activation::silu};
    linear(weights.block, input, y.data(), groups.groups.data(), int(groups.groups.size()), pool, scratch, next.data(), shape.inputs);
    return y;
  };

  const char* what = name_of(format);
  std::vector<float> reference;
  use_plain();
  reference = run(0, most, serial_pool());
  for (int row = 0; row < std::min(most, 5); row++) {
    std::vector<double> read(shape.inputs);
    for (int k = 0; k < shape.inputs; k++) {
      const float* at = x.data() + size_t(row) * width + k;
      read[k] = gated ? float(phi(Activation::silu, at[0]) * at[shape.inputs]) : at[0];
    }
    double magnitude;
    const std::vector<double> y = expected(weights, read, mixes[row], &magnitude);
    double worst = 0;
    for (int o = 0; o < outputs; o++) worst = std::max(worst, std::fabs(y[o] - reference[size_t(row) * outputs + o]));
    // A gated value may fall on the other side of a rounding to int8 than in f64.
    const double bound = 1e-6 + magnitude * (gated && is_quantised(format) ? 5e-3 : 3e-6);
    check(worst <= bound, "%s %d inputs, row %d of plain is %g from f64, allowed %g", what, shape.inputs, row, worst, bound);
  }

  each_set([&](const Kernels& set) {
    const std::vector<float> y = run(0, most, serial_pool());
    check(same_bits(y.data(), reference.data(), y.size()), "%s %d inputs: %s differs from plain", what, shape.inputs, set.name);
    for (const int count : {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 33}) {
      if (count > most) break;
      int threads = count % 3 + 1;
      const int first = count % (most - count + 1);
      const std::vector<float> part = run(first, count, threads > 1 ? threaded_pool(&threads) : serial_pool());
      check(same_bits(part.data(), reference.data() + size_t(first) * outputs, part.size()), "%s %d inputs: %s has other bits for %d rows on %d threads",
            what, shape.inputs, set.name, count, threads);
    }
  });
}

}  // namespace

void test_linear() {
  const Format formats[] = {Format::f32, Format::bf16, Format::q8, Format::q4};
  const Activation none = Activation::identity;
  const std::vector<Adapter::Kind> loras = {{1, none, false, false, Format::bf16}, {3, none, false, false, Format::f32}, {16, none, false, false, Format::bf16}};
  const std::vector<Adapter::Kind> others = {{5, Activation::silu, true, false, Format::f32}, {7, none, true, false, Format::bf16}};
  const std::vector<Adapter::Kind> gains = {{4, none, false, true, Format::bf16}, {2, Activation::gelu, true, true, Format::f32}};
  for (const Format format : formats) {
    for (const int inputs : {48, 80, 96, 200, 31, 1}) {
      run_case(format, {inputs, {48, 16, 16}}, false, false, false, loras, 41);
      run_case(format, {inputs, {100}}, true, false, false, {}, 20);
    }
    run_case(format, {96, {257}}, true, false, false, others, 18);
    run_case(format, {200, {50, 50}}, true, true, false, others, 19);
    run_case(format, {80, {33, 17, 20}}, true, false, false, gains, 20);
    run_case(format, {80, {90}}, false, true, false, gains, 18);
    run_case(format, {96, {80}}, false, false, true, loras, 20);
    run_case(format, {64, {40}}, false, false, true, gains, 18);
    run_case(format, {200, {48}}, false, false, false, {{300, Activation::silu, true, false, Format::f32}}, 17);
  }
}

}  // namespace troupe::test
