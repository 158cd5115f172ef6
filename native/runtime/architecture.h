#pragma once
#include <cstdint>
#include <vector>

#include "../core/format.h"

namespace troupe {

/** A rotary position embedding of the first `2 · inverse.size()` dimensions of a head. */
struct Rope {
  /** Angle per position of each pair of dimensions. */
  std::vector<double> inverse;
  /** Multiplies cos and sin. */
  double factor;
};

/** What the operators need to know of `src/model/architecture.ts`. */
struct Architecture {
  int hidden, layers, heads, kvHeads, headDim, mlp, vocab, maxContext;
  bool layerNorm;
  float epsilon;
  bool parallel;
  float residualScale;
  bool gated;
  Activation activation;
  float attentionScale;
  /** 0: none, here and below. */
  float attentionSoftcap;
  /** By layer: positions a query sees, its own among them; 0: all. */
  std::vector<int32_t> windows;
  /** By layer: index into `ropes`; -1: no rotation. */
  std::vector<int32_t> ropeOfLayer;
  std::vector<Rope> ropes;
  /** Takes the place of every rope in sequences of `ropeTable` 1. */
  std::vector<Rope> longRope;
  bool learnedPositions;
  float embedScale, logitScale, logitSoftcap;
};

/** The products of a layer, as `fusedBlocks` has them; the third is gate and up, or up alone. */
enum Block : int { QKV = 0, O = 1, MLP_IN = 2, DOWN = 3 };
constexpr int BLOCKS = 4;
/** Stands for the head where a block of a layer is meant elsewhere. */
constexpr int HEAD = -1;

/** Sublayers, whose results are added to the stream. */
enum Sublayer : int { ATTENTION = 0, MLP = 1 };

}  // namespace troupe
