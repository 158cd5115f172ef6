#include <cstring>

#include "../core/kernels.h"
#include "../core/numbers.h"
#include "../runtime/model.h"
#include "rows.h"

namespace troupe {

namespace {

/** A row of the embedding, out of the columns of the head's tiles where it has no table of its own. */
void look_up(const Embedding& embedding, int hidden, int32_t id, float* row) {
  const size_t width = size_t(hidden);
  const bool halves = embedding.format == Format::bf16;
  if (!embedding.tiled) {
    if (halves) kernels().widen_bf16(static_cast<const uint16_t*>(embedding.data) + size_t(id) * width, row, width);
    else memcpy(row, static_cast<const float*>(embedding.data) + size_t(id) * width, width * sizeof(float));
    return;
  }
  const size_t first = size_t(id / TILE) * width * TILE + size_t(id % TILE);
  for (size_t k = 0; k < width; k++) {
    const size_t at = first + k * TILE;
    row[k] = halves ? from_bf16(static_cast<const uint16_t*>(embedding.data)[at]) : static_cast<const float*>(embedding.data)[at];
  }
}

float number_at(const void* data, Format format, size_t at) {
  return format == Format::bf16 ? from_bf16(static_cast<const uint16_t*>(data)[at]) : static_cast<const float*>(data)[at];
}

/** row += scale · down[id] · up */
void add_branch(const Adapter& adapter, int hidden, int32_t id, float scale, float* row) {
  const size_t rank = size_t(adapter.embedRank), width = size_t(hidden);
  for (size_t r = 0; r < rank; r++) {
    const float factor = scale * number_at(adapter.embedDown, adapter.embedFormat, size_t(id) * rank + r);
    for (size_t k = 0; k < width; k++) row[k] += factor * number_at(adapter.embedUp, adapter.embedFormat, r * width + k);
  }
}

/** What the stream begins with: the embedding of each token, the mix's own rows in its place, and what its branches add. */
void embed(Call& call) {
  Model& model = call.model;
  const Step& step = model.current();
  const Architecture& a = model.architecture;
  const size_t width = size_t(a.hidden);
  float* stream = call.output(0, step.tokens(), a.hidden);
  each_row(call.pool, step.tokens(), a.hidden, [&](int t) {
    const int32_t id = step.input().tokens[size_t(t)];
    float* row = stream + size_t(t) * width;
    const SequenceSpan& span = step.sequence_of(t);
    if (id < 0) {
      const Adapter* adapter = step.member(span, [&](const Adapter& m) { return -(int64_t(id) + 1) < m.virtualCount; });
      memcpy(row, adapter->virtualEmbeddings + size_t(-(int64_t(id) + 1)) * width, width * sizeof(float));
    } else {
      const Adapter* adapter = step.member(span, [&](const Adapter& m) { return m.tokenEmbed != nullptr && m.token_row(id) >= 0; });
      if (adapter != nullptr) memcpy(row, adapter->tokenEmbed + size_t(adapter->token_row(id)) * width, width * sizeof(float));
      else look_up(model.weights.embedding, a.hidden, id, row);
      if (a.embedScale != 1.f)
        for (size_t k = 0; k < width; k++) row[k] *= a.embedScale;
      if (id < a.vocab) step.each_member(span, [&](const Adapter& m, float scale) {
        if (m.embedRank > 0) add_branch(m, a.hidden, id, scale, row);
      });
    }
    if (model.weights.positions != nullptr)
      kernels().add(row, model.weights.positions + size_t(step.position(t)) * width, row, width);
  });
}

}  // namespace

const OperatorKind EMBED{"Embed", 1, 1, false, embed};

}  // namespace troupe
