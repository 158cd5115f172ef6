#include "add_norm.h"

#include "../core/kernels.h"
#include "rows.h"

namespace troupe {

void normalise(const Architecture& architecture, const Norm& norm, const float* x, float* y, int width) {
  if (architecture.layerNorm) kernels().layer_norm(x, norm.weight, norm.bias, architecture.epsilon, y, size_t(width));
  else kernels().rms_norm(x, norm.weight, architecture.epsilon, y, size_t(width));
}

namespace {

/** Whether something is done to a result before it is added. */
bool changes(const Model& model, const SublayerResult& result) {
  return result.other != nullptr || model.weights.layers[size_t(result.layer)].postNorm[result.sublayer] ||
         model.architecture.residualScale != 1.f;
}

/** Writes what goes into the stream to `to` and returns it, or returns `x` itself where nothing is done to it. */
const float* finish_row(const Model& model, const SublayerResult& result, size_t at, float* to) {
  const Architecture& a = model.architecture;
  const size_t width = size_t(a.hidden);
  const LayerWeights& weights = model.weights.layers[size_t(result.layer)];
  const auto one = [&](int sublayer, const float* x) {
    const Norm& norm = weights.postNorm[sublayer];
    if (norm) normalise(a, norm, x, to, a.hidden);
    if (a.residualScale != 1.f)
      for (size_t k = 0; k < width; k++) to[k] = (norm ? to[k] : x[k]) * a.residualScale;
    return norm || a.residualScale != 1.f ? to : x;
  };
  if (result.other == nullptr) return one(result.sublayer, result.x + at);
  // Families with sublayers side by side have neither norms behind them nor a scale.
  kernels().add(result.x + at, result.other + at, to, width);
  return to;
}

}  // namespace

void leave_sublayer(Model& model, const Pool& pool, const float* stream, const SublayerResult& result, const Uses& uses, int rows,
                    float* next, float* spare) {
  const int hidden = model.architecture.hidden;
  const auto groups = model.groups.residual(uses, result.layer, result.sublayer);
  if (groups.count == 0) {
    each_row(pool, rows, 4 * hidden, [&](int row) {
      const size_t at = size_t(row) * size_t(hidden);
      kernels().add(stream + at, finish_row(model, result, at, spare + at), next + at, size_t(hidden));
    });
    return;
  }
  // All rows' results in one place, since some of them are read by modules.
  const bool changed = changes(model, result);
  if (changed) each_row(pool, rows, 4 * hidden, [&](int row) {
    const size_t at = size_t(row) * size_t(hidden);
    finish_row(model, result, at, spare + at);
  });
  const float* finished = changed ? spare : result.x;
  residual_branches(hidden, stream, finished, rows, next, groups.groups, groups.count, pool, model.productScratch);
}

namespace {

void norm(Call& call) {
  const Model& model = call.model;
  const int hidden = model.architecture.hidden, tokens = model.current().tokens();
  const float* x = call.input(0, hidden);
  float* y = call.output(0, tokens, hidden);
  const Norm& weights = model.weights.layers[size_t(call.layer)].norm[call.part];
  each_row(call.pool, tokens, 2 * hidden, [&](int row) {
    normalise(model.architecture, weights, x + size_t(row) * size_t(hidden), y + size_t(row) * size_t(hidden), hidden);
  });
}

/** Adds what sublayer `part` of the layer returned and normalises for the next. */
void add_norm(Call& call) {
  Model& model = call.model;
  const Architecture& a = model.architecture;
  const int tokens = model.current().tokens();
  const SublayerResult result{call.layer, call.part, call.input(1, a.hidden), nullptr};
  const float* stream = call.input(0, a.hidden);
  float* next = call.output(0, tokens, a.hidden);
  float* normed = call.output(1, tokens, a.hidden);
  leave_sublayer(model, call.pool, stream, result, model.current().residualUses, tokens, next, normed);
  const int layer = call.part == ATTENTION ? call.layer : call.layer + 1;
  const Norm& weights = model.weights.layers.at(size_t(layer)).norm[call.part == ATTENTION ? MLP : ATTENTION];
  each_row(call.pool, tokens, 2 * a.hidden, [&](int row) {
    const size_t at = size_t(row) * size_t(a.hidden);
    normalise(a, weights, next + at, normed + at, a.hidden);
  });
}

/** The same where attention and MLP stand side by side: both results are added, and the next layer's two norms read the sum. */
void add_norms(Call& call) {
  Model& model = call.model;
  const Architecture& a = model.architecture;
  const int tokens = model.current().tokens();
  const SublayerResult result{call.layer, MLP, call.input(1, a.hidden), call.input(2, a.hidden)};
  const float* stream = call.input(0, a.hidden);
  float* next = call.output(0, tokens, a.hidden);
  float* normed[2] = {call.output(1, tokens, a.hidden), call.output(2, tokens, a.hidden)};
  leave_sublayer(model, call.pool, stream, result, model.current().residualUses, tokens, next, normed[0]);
  const LayerWeights& weights = model.weights.layers.at(size_t(call.layer) + 1);
  each_row(call.pool, tokens, 3 * a.hidden, [&](int row) {
    const size_t at = size_t(row) * size_t(a.hidden);
    for (int sublayer : {ATTENTION, MLP}) normalise(a, weights.norm[sublayer], next + at, normed[sublayer] + at, a.hidden);
  });
}

}  // namespace

const OperatorKind NORM{"Norm", 1, 1, false, norm};
const OperatorKind ADD_NORM{"AddNorm", 2, 2, false, add_norm};
const OperatorKind ADD_NORMS{"AddNorms", 3, 3, false, add_norms};

}  // namespace troupe
