#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "../linear/linear.h"
#include "../pack/branches.h"
#include "architecture.h"

namespace troupe {

/** Where a branch acts, in the order of `LINEAR_KINDS`, `RESIDUAL_KINDS` and `EDGE_KINDS` in `src/core/branch.ts`. */
enum Site : int {
  Q_PROJ, K_PROJ, V_PROJ, O_PROJ, GATE_PROJ, UP_PROJ, DOWN_PROJ,
  ATTN_IN, ATTN_OUT, ATTN_STREAM, MLP_IN_SITE, MLP_OUT, MLP_STREAM,
  EMBED_TOKENS, LM_HEAD
};
constexpr int SITES = LM_HEAD + 1;

/** Numbers that JavaScript owns. */
struct Floats {
  const float* data = nullptr;
  size_t count = 0;
};

/** An adapter as JavaScript has it; see `AdapterWeights` in `src/core/branch.ts`. */
struct AdapterSource {
  struct Branch {
    int layer, site, rank, activation;
    float scale;
    Floats down, up, a, c;
  };
  struct Gain {
    int layer, site;
    bool out;
    Floats values;
  };
  struct PrefixLayer {
    Floats keys, values;
  };
  std::vector<Branch> branches;
  std::vector<Gain> gains;
  /** `[count][hidden]`. */
  int virtualCount = 0;
  Floats virtualEmbeddings;
  /** By layer, each `[kvHeads][count][headDim]`. */
  int prefixCount = 0;
  std::vector<PrefixLayer> prefix;
  /** Rows of the embedding and of the head that it replaces or adds, `[ids][hidden]` each, or none. */
  std::vector<int32_t> tokenIds;
  Floats tokenEmbed, tokenHead;
};

/** The weights of one adapter version in one piece of native memory, at their true ranks. */
class Adapter {
 public:
  /**
   * Copies and packs. Runs on any thread.
   *
   * @param format f32 or bf16, of branches
   * Throws `bad_adapter_weights`, `out_of_memory`.
   */
  Adapter(const AdapterSource& source, const Architecture& architecture, Format format);

  /** null where it does nothing to a block of a layer, or to the head. */
  const BlockAdapter* block(int layer, int block) const {
    const int32_t at = blockAt_[block == HEAD ? blockAt_.size() - 1 : size_t(layer) * BLOCKS + size_t(block)];
    return at < 0 ? nullptr : &blocks_[size_t(at)];
  }
  const ResidualAdapter* residual(int layer, int sublayer) const {
    const int32_t at = residualAt_[size_t(layer) * 2 + size_t(sublayer)];
    return at < 0 ? nullptr : &residuals_[size_t(at)];
  }
  /** Where an id stands among the token rows; -1 when it does not. */
  int token_row(int32_t id) const;
  size_t bytes() const { return memory_->size(); }

  bool hasResidual = false;
  /** The branch at the embedding: `down` is `[vocab][rank]`, `up` `[rank][hidden]`; rank 0 without one. */
  int embedRank = 0;
  Format embedFormat = Format::f32;
  const void *embedDown = nullptr, *embedUp = nullptr;
  int virtualCount = 0;
  const float* virtualEmbeddings = nullptr;
  int prefixCount = 0;
  /** By layer: keys, then values, each `[kvHeads][count][headDim]`. */
  std::vector<const float*> prefix;
  /** Ascending. */
  std::vector<int32_t> tokenIds;
  const float *tokenEmbed = nullptr, *tokenHead = nullptr;
  /** One more than the largest id of its token rows. */
  int tokenEnd = 0;

 private:
  std::vector<int32_t> blockAt_, residualAt_;
  std::vector<BlockAdapter> blocks_;
  std::vector<ResidualAdapter> residuals_;
  std::unique_ptr<BranchMemory> memory_;
};

}  // namespace troupe
