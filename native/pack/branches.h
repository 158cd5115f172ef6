#pragma once
#include <cstddef>

#include "../linear/linear.h"

namespace troupe {

/** Memory for the weights of one adapter; in huge pages where the system has them. Throws `std::bad_alloc`. */
class BranchMemory {
 public:
  explicit BranchMemory(size_t bytes);
  BranchMemory(const BranchMemory&) = delete;
  BranchMemory& operator=(const BranchMemory&) = delete;
  ~BranchMemory();

  /** The next `bytes`, on a cache line; throws `std::bad_alloc` beyond the size. */
  void* take(size_t bytes);
  size_t size() const { return size_; }

 private:
  char* memory_;
  size_t size_, used_ = 0;
};

/** A branch as adapters are read. */
struct BranchSource {
  int rank;
  int inDim, outDim;
  Activation activation;
  /** `[rank][inDim]` and `[rank][outDim]` */
  const float* down;
  const float* up;
  /** `[rank]` or null, `[outDim]` or null */
  const float* a;
  const float* c;
  /** Multiplies `up` and `c`. */
  float scale = 1;
};

/** Bytes that `pack_branches` takes for them. */
size_t packed_bytes(const BranchSource* sources, int count, Format format);

/**
 * Packs what one adapter has at one block, part after part (rank 0: none), so that all `down` lie one after the other, and all `up`.
 *
 * @param format f32 keeps the numbers exactly, bf16 rounds `down` and `up`
 */
void pack_branches(const BranchSource* sources, int count, Format format, BranchMemory& memory, Branch* branches);

/** Copies a gain, or any other row of floats, into the memory, times `scale`. */
const float* pack_row(const float* values, int count, BranchMemory& memory, float scale = 1);

/** Bytes that `pack_row` takes. */
constexpr size_t packed_row_bytes(int count) { return (size_t(count) * 4 + 63) & ~size_t{63}; }

}  // namespace troupe
