#pragma once
#include <cstdint>

#include "../core/format.h"
#include "../core/pool.h"
#include "../core/scratch.h"

namespace troupe {

constexpr int MAX_PARTS = 3;

/** One layer of a product that is computed in one go: q of qkv, gate of gate_up. Starts at a tile of its own. */
struct Part {
  int outDim;
  int firstTile;
  /** Where its outputs begin in a row of y. */
  int firstOutput;
};

/** A block of layers that read the same input; formats as in `format.h`. Points into the mapped file. */
struct LinearWeights {
  Format format;
  int inDim;
  int parts;
  Part part[MAX_PARTS];
  const void* w;
  /** f16 `[tiles][blocks][16]`; `m` for q4 only. */
  const uint16_t* d;
  const uint16_t* m;
  /** `[Σ outDim]` or null. */
  const float* bias;
  /** `[inDim]` or null: which input each column of the weights multiplies. */
  const int32_t* inputs;

  int outputs() const { return part[parts - 1].firstOutput + part[parts - 1].outDim; }
  int tiles() const { return part[parts - 1].firstTile + tiles_of(part[parts - 1].outDim); }
};

/** scale · (φ(x · down + a) · up + c), packed by `pack_branch`; rank 0 where an adapter has none. */
struct Branch {
  int rank;
  Activation activation;
  /** f32 or bf16. */
  Format format;
  /** `[rank][inDim]` */
  const void* down;
  /** `[tiles of outDim][rank][16]` */
  const void* up;
  /** `[rank]` or null */
  const float* a;
  /** `[outDim]` or null */
  const float* c;
};

/** What one adapter does to one block. The `down` of its branches lie one after the other, and so do the `up`. */
struct BlockAdapter {
  Branch branch[MAX_PARTS];
  /** `[inDim]` or null: multiplies what the part and its branch read. */
  const float* gainIn[MAX_PARTS];
  /** `[outDim]` or null: multiplies product + bias, before branches are added. */
  const float* gainOut[MAX_PARTS];
};

/** The rows of a step, ascending, that use one adapter. Groups are in the order of the mix, so that a row's branches are added in that order. */
struct Group {
  const BlockAdapter* block;
  const int32_t* rows;
  /** By row of the group: the mix's scale times the adapter's own. */
  const float* scales;
  int count;
};

/** What is done to x on the way: nothing, or x is `[tokens][2 · inDim]` and φ(first half) · second half is read. */
enum class InputStage : uint8_t { plain, glu };

struct LinearInput {
  /** `[tokens][inDim]`, or `[tokens][2 · inDim]` for `glu`. */
  const float* x;
  int tokens;
  InputStage stage = InputStage::plain;
  Activation activation = Activation::identity;
};

/**
 * y `[tokens][outputs]` = weights · x + bias, with gains and branches of the groups. A row's result has the same bits whatever other rows
 * there are and however many threads work.
 *
 * `next` may name the adapters of the block that is computed after this one (as many as `groupCount`, null entries allowed): their `down`
 * is fetched while this product runs.
 */
void linear(const LinearWeights& weights, const LinearInput& input, float* y, const Group* groups, int groupCount, const Pool& pool,
            Scratch& scratch, const BlockAdapter* const* next = nullptr, int nextInDim = 0);

/** What one adapter adds to the stream after one sublayer; `docs/architecture.md` says what each reads. Rank 0 where it has none. */
struct ResidualAdapter {
  /** Reads the stream before the sublayer. */
  Branch before;
  /** Reads what the sublayer returned, plus what lower levels added. */
  Branch output;
  /** Reads stream + result, plus what lower levels added. */
  Branch after;
};

/** As `Group`; of a stack, `level` counts from the bottom, and groups are ordered by level first. Members that are summed share level 0. */
struct ResidualGroup {
  const ResidualAdapter* block;
  const int32_t* rows;
  const float* scales;
  int count;
  int level;
};

/** next `[tokens][hidden]` = stream + result + what the groups add. `next` may be `stream` or `result`. */
void residual_branches(int hidden, const float* stream, const float* result, int tokens, float* next, const ResidualGroup* groups,
                       int groupCount, const Pool& pool, Scratch& scratch);

}  // namespace troupe
