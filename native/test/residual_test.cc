#include <cmath>
#include <memory>

#include "../core/numbers.h"
#include "../linear/linear.h"
#include "../pack/branches.h"
#include "check.h"

namespace troupe::test {

namespace {

constexpr int SITES = 3;

struct Module {
  ResidualAdapter block{};
  std::vector<float> down[SITES], up[SITES], a[SITES], c[SITES];
  std::unique_ptr<BranchMemory> memory;

  Module(int hidden, const int (&ranks)[SITES], Random& random) {
    BranchSource sources[SITES];
    for (int s = 0; s < SITES; s++) {
      down[s] = random.normals(size_t(ranks[s]) * hidden, 0.2f), up[s] = random.normals(size_t(ranks[s]) * hidden, 0.2f);
      a[s] = random.normals(ranks[s]), c[s] = random.normals(hidden);
      sources[s] = {ranks[s], hidden, hidden, Activation::relu, down[s].data(), up[s].data(), a[s].data(), c[s].data()};
    }
    memory = std::make_unique<BranchMemory>(packed_bytes(sources, SITES, Format::f32));
    Branch branches[SITES];
    pack_branches(sources, SITES, Format::f32, *memory, branches);
    block = {branches[0], branches[1], branches[2]};
  }

  /** Adds what the module gives at a site for `x` in f64. */
  void add(int site, const std::vector<double>& x, double scale, std::vector<double>& to) const {
    const size_t hidden = x.size(), rank = a[site].size();
    if (rank == 0) return;
    for (size_t r = 0; r < rank; r++) {
      double dot = a[site][r];
      for (size_t k = 0; k < hidden; k++) dot += down[site][r * hidden + k] * x[k];
      for (size_t o = 0; o < hidden && dot > 0; o++) to[o] += scale * dot * up[site][r * hidden + o];
    }
    for (size_t o = 0; o < hidden; o++) to[o] += scale * c[site][o];
  }
};

struct Member {
  const Module* module;
  float scale;
  int level;
};

std::vector<double> expected(const float* stream, const float* result, int hidden, const std::vector<Member>& mix) {
  std::vector<double> before(stream, stream + hidden), pending(hidden, 0), next(hidden);
  for (int level = 0; level < 4; level++) {
    std::vector<double> output(hidden), after(hidden), added = pending;
    for (int k = 0; k < hidden; k++) output[k] = result[k] + pending[k], after[k] = double(stream[k]) + result[k] + pending[k];
    for (const Member& member : mix) {
      if (member.level != level) continue;
      member.module->add(0, before, member.scale, added);
      member.module->add(1, output, member.scale, added);
      member.module->add(2, after, member.scale, added);
    }
    pending = added;
  }
  for (int k = 0; k < hidden; k++) next[k] = double(stream[k]) + result[k] + pending[k];
  return next;
}

void run_case(int hidden, bool stacked, int most) {
  Random random(uint64_t(hidden) + stacked);
  std::vector<std::unique_ptr<Module>> modules;
  for (const auto& ranks : {std::vector<int>{3, 0, 5}, {0, 24, 0}, {0, 1, 7}, {2, 0, 0}}) {
    const int three[SITES] = {ranks[0], ranks[1], ranks[2]};
    modules.push_back(std::make_unique<Module>(hidden, three, random));
  }
  const std::vector<float> stream = random.normals(size_t(most) * hidden), result = random.normals(size_t(most) * hidden);
  std::vector<std::vector<Member>> mixes(most);
  for (auto& mix : mixes)
    for (int m = 0, members = random.below(4); m < members; m++)
      mix.push_back({modules[random.below(int(modules.size()))].get(), random.normal(), stacked ? m : 0});

  Scratch scratch;
  const auto run = [&](int first, int count, const Pool& pool, bool inPlace) {
    std::vector<ResidualGroup> groups;
    std::vector<std::vector<int32_t>> rows;
    std::vector<std::vector<float>> scales;
    rows.reserve(64), scales.reserve(64);
    for (size_t position = 0; position < 4; position++)
      for (const auto& module : modules) {
        std::vector<int32_t> at;
        std::vector<float> by;
        for (int row = 0; row < count; row++) {
          const auto& mix = mixes[first + row];
          if (position < mix.size() && mix[position].module == module.get()) at.push_back(row), by.push_back(mix[position].scale);
        }
        if (at.empty()) continue;
        rows.push_back(at), scales.push_back(by);
        groups.push_back({&module->block, rows.back().data(), scales.back().data(), int(at.size()), stacked ? int(position) : 0});
      }
    const float* from = stream.data() + size_t(first) * hidden;
    std::vector<float> next(from, from + size_t(count) * hidden);
    residual_branches(hidden, inPlace ? next.data() : from, result.data() + size_t(first) * hidden, count, next.data(), groups.data(),
                      int(groups.size()), pool, scratch);
    return next;
  };

  use_plain();
  const std::vector<float> reference = run(0, most, serial_pool(), false);
  for (int row = 0; row < most; row++) {
    const std::vector<double> y = expected(stream.data() + size_t(row) * hidden, result.data() + size_t(row) * hidden, hidden, mixes[row]);
    double worst = 0, size = 1;
    for (int k = 0; k < hidden; k++) {
      worst = std::max(worst, std::fabs(y[k] - reference[size_t(row) * hidden + k]));
      size = std::max(size, std::fabs(y[k]));
    }
    check(worst <= size * 1e-5, "residual, hidden %d, row %d: %g from f64", hidden, row, worst / size);
  }
  each_set([&](const Kernels& set) {
    for (const int count : {1, 2, 5, 16, 17, most}) {
      int threads = count % 3 + 1;
      const int first = count % (most - count + 1);
      const std::vector<float> part = run(first, count, threads > 1 ? threaded_pool(&threads) : serial_pool(), count % 2 == 1);
      check(same_bits(part.data(), reference.data() + size_t(first) * hidden, part.size()), "residual, hidden %d: %s has other bits for %d rows on %d threads",
            hidden, set.name, count, threads);
    }
  });
}

}  // namespace

void test_residual() {
  for (const int hidden : {48, 80, 96, 200, 33})
    for (const bool stacked : {false, true}) run_case(hidden, stacked, 37);
}

}  // namespace troupe::test
