#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../linear/linear.h"
#include "architecture.h"
#include "memory.h"

namespace troupe {

/** Where a tensor lies in `weights.bin`, as the manifest says. */
struct TensorPlace {
  std::string format;
  size_t offset, bytes;
};
using TensorPlaces = std::map<std::string, TensorPlace>;

/** `bias` is null for RMS norms, `weight` where the family has no such norm. */
struct Norm {
  const float* weight = nullptr;
  const float* bias = nullptr;
  explicit operator bool() const { return weight != nullptr; }
};

struct LayerWeights {
  LinearWeights blocks[BLOCKS];
  /** By sublayer: before it, and after it. */
  Norm norm[2], postNorm[2];
  Norm qNorm, kNorm;
};

/** Where the rows of the embedding lie: by themselves, or as columns of the head's tiles. */
struct Embedding {
  Format format;
  const void* data;
  bool tiled;
};

/** The weights of a prepared model: pointers into the mapped file, checked against its size and the architecture's. */
class Weights {
 public:
  /** Throws `weights_unreadable`, or `weights_foreign` where a tensor is missing or of another size. */
  Weights(const std::string& path, const TensorPlaces& places, const Architecture& architecture);

  const LinearWeights& block(int layer, int block) const { return block == HEAD ? head : layers[size_t(layer)].blocks[block]; }
  size_t bytes() const { return file_.size(); }

  std::vector<LayerWeights> layers;
  LinearWeights head;
  Norm finalNorm;
  Embedding embedding;
  /** `[maxContext][hidden]` or null. */
  const float* positions = nullptr;

 private:
  MappedFile file_;
};

/** Outputs of the parts of a layer's block, and what they read. */
std::vector<int> part_outputs(const Architecture& architecture, int block);
int block_inputs(const Architecture& architecture, int block);

}  // namespace troupe
