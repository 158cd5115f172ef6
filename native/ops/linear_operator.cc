#include "../core/kernels.h"
#include "../runtime/model.h"
#include "rows.h"

namespace troupe {

namespace {

/** Adds Σ x² of what a block reads. Calibration only: it need not be fast. */
void collect(Model& model, int layer, int block, const float* x, bool gated) {
  const Architecture& a = model.architecture;
  const int inputs = block_inputs(a, block), tokens = model.current().tokens();
  if (!gated) {
    model.squares.add(layer, block, x, tokens, inputs);
    return;
  }
  const size_t width = size_t(inputs);
  model.scratch.begin(Scratch::room<float>(width));
  float* row = model.scratch.take<float>(width);
  for (int t = 0; t < tokens; t++) {
    const float* gate = x + size_t(t) * 2 * width;
    kernels().gated(a.activation, gate, gate + width, row, width);
    model.squares.add(layer, block, row, 1, inputs);
  }
}

/** One block of a layer: its product with everything the mixes do to it. The second product of a gated MLP reads gate and up as they are. */
void multiply(Call& call) {
  Model& model = call.model;
  const Architecture& a = model.architecture;
  const int tokens = model.current().tokens(), block = call.part;
  const LinearWeights& weights = model.weights.block(call.layer, block);
  const bool gated = block == DOWN && a.gated;
  const float* x = call.input(0, gated ? 2 * weights.inDim : weights.inDim);
  float* y = call.output(0, tokens, weights.outputs());
  if (model.squares.on()) collect(model, call.layer, block, x, gated);
  const bool last = block == DOWN && call.layer + 1 == a.layers;
  const int nextLayer = block == DOWN ? call.layer + 1 : call.layer;
  const int nextBlock = last ? HEAD : (block + 1) % BLOCKS;
  const auto adapters = model.groups.linear(model.current().uses, call.layer, block, nextLayer, nextBlock);
  const LinearInput input{x, tokens, gated ? InputStage::glu : InputStage::plain, a.activation};
  linear(weights, input, y, adapters.groups, adapters.count, call.pool, model.productScratch, adapters.next,
         block_inputs(a, nextBlock));
}

/** φ between the products of a plain MLP. */
void activate(Call& call) {
  const Architecture& a = call.model.architecture;
  const int tokens = call.model.current().tokens();
  const float* x = call.input(0, a.mlp);
  float* y = call.output(0, tokens, a.mlp);
  each_row(call.pool, tokens, 8 * a.mlp, [&](int row) {
    const size_t at = size_t(row) * size_t(a.mlp);
    kernels().activate(a.activation, x + at, y + at, size_t(a.mlp));
  });
}

}  // namespace

const OperatorKind LINEAR{"Linear", 1, 1, false, multiply};
const OperatorKind ACTIVATE{"Activate", 1, 1, false, activate};

}  // namespace troupe
