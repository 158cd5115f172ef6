#pragma once
#include <memory>
#include <vector>

#include "../linear/linear.h"
#include "../pack/branches.h"

namespace troupe::bench {

/** Products of a step of the 0.4 B model that the benchmarks use: hidden 896, 24 layers, 14/2 heads of 64, MLP 4,864, vocabulary 32,000. */
class Products {
 public:
  /** Random weights of the format; only their size matters. */
  Products(Format format, int layers);

  /** Everything that a step of `rows` rows multiplies. `adapters[row]` is an index into `loaded`, or −1. */
  void run(int rows, const std::vector<int>& adapters, const Pool& pool, Scratch& scratch);
  /** Loads `count` adapters of that rank on all linear layers, in bf16. */
  void load(int count, int rank);
  size_t bytes() const;

 private:
  struct Block {
    LinearWeights weights;
    std::vector<std::unique_ptr<BlockAdapter>> adapters;
    int part_outputs(int part) const { return weights.part[part].outDim; }
  };

  void add_block(Format format, int inputs, const std::vector<int>& outputs);

  std::vector<Block> blocks_;
  std::vector<std::unique_ptr<char[]>> memory_;
  std::vector<std::unique_ptr<BranchMemory>> adapterMemory_;
  std::vector<float> x_, y_;
  size_t bytes_ = 0;
};

}  // namespace troupe::bench
