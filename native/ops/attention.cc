#include <atomic>
#include <cstring>

#include "../core/kernels.h"
#include "../runtime/model.h"
#include "add_norm.h"
#include "rows.h"

namespace troupe {

namespace {

/** Rotates the first `2 · half` dimensions of a head, dimension i with dimension i + half. */
void rotate(float* head, const float* cosine, const float* sine, int half) {
  for (int i = 0; i < half; i++) {
    const float x = head[i], y = head[i + half];
    head[i] = x * cosine[i] - y * sine[i];
    head[i + half] = y * cosine[i] + x * sine[i];
  }
}

/** Attention of one layer in one step. */
class Attention {
 public:
  Attention(Call& call, const float* qkv, float* out);
  void run();

 private:
  void place_token(int token);
  void attend(size_t worker);
  void attend_rows(const QueryChunk& chunk, int kvHead, int first, int count, char* memory);

  Model& model_;
  const Step& step_;
  const Architecture& a_;
  const LayerWeights& weights_;
  const Pool& pool_;
  const int layer_, group_, rope_;
  /** Pieces that the rows of a chunk are cut into: more than one where there are fewer heads of keys than threads. */
  int pieces_ = 1;
  const float* const qkv_;
  float* const out_;
  /** `[tokens][heads · headDim]`: normalised, rotated and scaled. */
  float* queries_;
  /** Keys of every token, before they are stored. */
  float* keys_;
  char* workspace_;
  size_t workspaceBytes_;
  std::atomic<size_t> nextItem_{0};
};

Attention::Attention(Call& call, const float* qkv, float* out)
    : model_(call.model),
      step_(model_.current()),
      a_(model_.architecture),
      weights_(model_.weights.layers[size_t(call.layer)]),
      pool_(call.pool),
      layer_(call.layer),
      group_(a_.heads / a_.kvHeads),
      rope_(a_.ropeOfLayer[size_t(call.layer)]),
      qkv_(qkv),
      out_(out) {
  int rows = 0;
  for (const QueryChunk& chunk : step_.chunks()) rows = std::max(rows, chunk.count * group_);
  const size_t heads = step_.chunks().size() * size_t(a_.kvHeads), threads = size_t(pool_.threads);
  if (heads < threads) pieces_ = int((threads + heads - 1) / heads);
  const size_t tokens = size_t(step_.tokens()), dim = size_t(a_.headDim), count = size_t(rows);
  workspaceBytes_ = Scratch::room<const float*>(count) + Scratch::room<float*>(count) + Scratch::room<int32_t>(count) +
                    Scratch::room<float>(attend_room(rows, a_.headDim));
  const size_t queries = tokens * size_t(a_.heads) * dim, keys = tokens * size_t(a_.kvHeads) * dim;
  model_.scratch.begin(Scratch::room<float>(queries) + Scratch::room<float>(keys) + workspaceBytes_ * size_t(pool_.threads));
  queries_ = model_.scratch.take<float>(queries);
  keys_ = model_.scratch.take<float>(keys);
  workspace_ = model_.scratch.take<char>(workspaceBytes_ * size_t(pool_.threads));
}

/** Stores a token's keys and values in its page, and makes its queries ready. */
void Attention::place_token(int token) {
  const size_t dim = size_t(a_.headDim), heads = size_t(a_.heads), kvHeads = size_t(a_.kvHeads);
  const float* row = qkv_ + size_t(token) * (heads + 2 * kvHeads) * dim;
  const float* values = row + (heads + kvHeads) * dim;
  float* queries = queries_ + size_t(token) * heads * dim;
  float* keys = keys_ + size_t(token) * kvHeads * dim;
  memcpy(queries, row, heads * dim * sizeof(float));
  memcpy(keys, row + heads * dim, kvHeads * dim * sizeof(float));
  const auto finish = [&](float* all, size_t count, const Norm& norm) {
    for (size_t head = 0; head < count; head++) {
      float* x = all + head * dim;
      if (norm) normalise(a_, norm, x, x, a_.headDim);
      if (rope_ < 0) continue;
      const int half = int(a_.ropes[size_t(rope_)].inverse.size());
      const size_t at = size_t(token) * size_t(half);
      rotate(x, step_.cosines(rope_) + at, step_.sines(rope_) + at, half);
    }
  };
  finish(queries, heads, weights_.qNorm);
  finish(keys, kvHeads, weights_.kNorm);
  for (size_t i = 0; i < heads * dim; i++) queries[i] *= a_.attentionScale;
  const SequenceSpan& span = step_.sequence_of(token);
  const int index = span.kvStart + token - span.firstToken;
  const int page = step_.pages_of(span)[index / PAGE];
  for (size_t head = 0; head < kvHeads; head++)
    model_.kv().write(model_.kv().head(page, layer_, int(head)), index % PAGE, keys + head * dim, values + head * dim);
}

void Attention::attend_rows(const QueryChunk& chunk, int kvHead, int first, int rows, char* memory) {
  const size_t dim = size_t(a_.headDim), heads = size_t(a_.heads);
  const float** q = reinterpret_cast<const float**>(memory);
  memory += Scratch::room<const float*>(size_t(rows));
  float** out = reinterpret_cast<float**>(memory);
  memory += Scratch::room<float*>(size_t(rows));
  int32_t* end = reinterpret_cast<int32_t*>(memory);
  memory += Scratch::room<int32_t>(size_t(rows));
  const SequenceSpan& span = step_.sequences()[size_t(chunk.sequence)];
  for (int i = 0; i < rows; i++) {
    const int token = chunk.firstToken + (first + i) / group_;
    const size_t head = size_t(kvHead) * size_t(group_) + size_t((first + i) % group_);
    const size_t at = (size_t(span.firstToken + token) * heads + head) * dim;
    q[i] = queries_ + at;
    out[i] = out_ + at;
    end[i] = span.kvStart + token + 1;
  }
  const KvCache& kv = model_.kv();
  const AttendRows attended{q,
                            out,
                            end,
                            rows,
                            a_.headDim,
                            a_.windows[size_t(layer_)],
                            a_.attentionSoftcap,
                            step_.pages_of(span),
                            kv.head(0, layer_, kvHead),
                            kv.page_bytes(),
                            kv.values_offset(),
                            reinterpret_cast<float*>(memory)};
  kernels().attend[int(kv.format())](attended);
}

void Attention::attend(size_t worker) {
  const size_t kvHeads = size_t(a_.kvHeads), pieces = size_t(pieces_), items = step_.chunks().size() * kvHeads * pieces;
  for (size_t item; (item = nextItem_.fetch_add(1, std::memory_order_relaxed)) < items;) {
    const QueryChunk& chunk = step_.chunks()[item / (kvHeads * pieces)];
    const int rows = chunk.count * group_, perPiece = (rows + pieces_ - 1) / pieces_, first = int(item % pieces) * perPiece;
    if (first < rows)
      attend_rows(chunk, int(item / pieces % kvHeads), first, std::min(perPiece, rows - first), workspace_ + worker * workspaceBytes_);
  }
}

void Attention::run() {
  const int width = (a_.heads + 2 * a_.kvHeads) * a_.headDim;
  each_row(pool_, step_.tokens(), 4 * width, [&](int token) { place_token(token); });
  const size_t items = step_.chunks().size() * size_t(a_.kvHeads) * size_t(pieces_);
  const auto work = [&](size_t worker) { attend(worker); };
  parallel(pool_, std::min(items, size_t(pool_.threads)), work);
}

void attend(Call& call) {
  const Architecture& a = call.model.architecture;
  const float* qkv = call.input(0, (a.heads + 2 * a.kvHeads) * a.headDim);
  float* out = call.output(0, call.model.current().tokens(), a.heads * a.headDim);
  Attention(call, qkv, out).run();
}

}  // namespace

const OperatorKind ATTENTION_OPERATOR{"Attention", 1, 1, false, attend};

}  // namespace troupe
