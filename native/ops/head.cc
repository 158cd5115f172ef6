#include <cmath>
#include <cstring>
#include <limits>

#include "../core/kernels.h"
#include "add_norm.h"
#include "rows.h"

namespace troupe {

namespace {

float capped(float logit, float cap) { return cap == 0.f ? logit : cap * std::tanh(logit / cap); }

/** c · tanh(logits / c) */
void cap_logits(const Pool& pool, float cap, float* logits, int rows, int width) {
  each_row(pool, rows, 4 * width, [&](int row) {
    float* values = logits + size_t(row) * size_t(width);
    for (int i = 0; i < width; i++) values[i] /= cap;
    kernels().activate(Activation::tanh, values, values, size_t(width));
    for (int i = 0; i < width; i++) values[i] *= cap;
  });
}

/** Moves rows of the vocabulary to rows of `width` values, the last one first, and fills up with −∞. */
void widen_rows(float* logits, int rows, int vocab, int width) {
  for (int row = rows - 1; row >= 0 && width > vocab; row--) {
    float* to = logits + size_t(row) * size_t(width);
    memmove(to, logits + size_t(row) * size_t(vocab), size_t(vocab) * sizeof(float));
    std::fill(to + vocab, to + width, -std::numeric_limits<float>::infinity());
  }
}

/** The logits of tokens whose row of the head is the mix's own; where several members have one, the first counts. */
void replace_tokens(const Model& model, const float* normed, float* logits, int width) {
  const Step& step = model.current();
  const Architecture& a = model.architecture;
  for (int i = 0; i < step.logit_rows(); i++) {
    const SequenceSpan& span = step.sequence_of(step.input().logitRows[size_t(i)]);
    const float* x = normed + size_t(i) * size_t(a.hidden);
    float* row = logits + size_t(i) * size_t(width);
    step.each_member(span, [&](const Adapter& adapter, float) {
      if (adapter.tokenHead == nullptr) return;
      for (size_t j = 0; j < adapter.tokenIds.size(); j++) {
        const int32_t id = adapter.tokenIds[j];
        const auto has = [&](const Adapter& m) { return m.tokenHead != nullptr && m.token_row(id) >= 0; };
        if (step.member(span, has) != &adapter) continue;
        float product;
        kernels().down[int(Format::f32)](&x, 1, adapter.tokenHead + j * size_t(a.hidden), 1, a.hidden, &product, 1);
        row[id] = capped(product * a.logitScale, a.logitSoftcap);
      }
    });
  }
}

/** Logits of the rows that are wanted: what the last sublayer leaves, the final norm, the head. */
void head(Call& call) {
  Model& model = call.model;
  const Step& step = model.current();
  const Architecture& a = model.architecture;
  const int rows = step.logit_rows(), width = model.logit_width();
  float* logits = call.output(0, rows, width);
  if (rows == 0) return;
  const size_t hidden = size_t(a.hidden), numbers = size_t(rows) * hidden;
  const float* inputs[] = {call.input(0, a.hidden), call.input(1, a.hidden), a.parallel ? call.input(2, a.hidden) : nullptr};
  model.scratch.begin(5 * Scratch::room<float>(numbers));
  float* gathered[] = {model.scratch.take<float>(numbers), model.scratch.take<float>(numbers),
                       a.parallel ? model.scratch.take<float>(numbers) : nullptr};
  for (int i = 0; i < 3; i++)
    for (int row = 0; row < rows && inputs[i] != nullptr; row++)
      memcpy(gathered[i] + size_t(row) * hidden, inputs[i] + size_t(step.input().logitRows[size_t(row)]) * hidden,
             hidden * sizeof(float));
  float* stream = model.scratch.take<float>(numbers);
  float* normed = model.scratch.take<float>(numbers);
  const SublayerResult last{a.layers - 1, MLP, gathered[1], gathered[2]};
  leave_sublayer(model, call.pool, gathered[0], last, step.logitResidualUses, rows, stream, normed);
  each_row(call.pool, rows, 2 * a.hidden, [&](int row) {
    const size_t at = size_t(row) * hidden;
    normalise(a, model.weights.finalNorm, stream + at, normed + at, a.hidden);
  });
  if (model.squares.on()) model.squares.add(0, HEAD, normed, rows, a.hidden);
  const auto adapters = model.groups.linear(step.logitUses, 0, HEAD, 0, QKV);
  linear(model.weights.head, {normed, rows}, logits, adapters.groups, adapters.count, call.pool, model.productScratch);
  if (a.logitSoftcap != 0.f) cap_logits(call.pool, a.logitSoftcap, logits, rows, a.vocab);
  widen_rows(logits, rows, a.vocab, width);
  replace_tokens(model, normed, logits, width);
}

}  // namespace

const OperatorKind HEAD_OPERATOR{"Head", 3, 1, true, head};

}  // namespace troupe
