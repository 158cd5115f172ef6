#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../core/scratch.h"
#include "../ops/operator.h"
#include "adapter.h"
#include "adapter_groups.h"
#include "architecture.h"
#include "input_squares.h"
#include "kv_cache.h"
#include "session.h"
#include "step.h"
#include "weights.h"

namespace troupe {

struct ModelOptions {
  std::string ortLibrary, weights;
  const void* graph;
  size_t graphBytes;
  TensorPlaces tensors;
  Architecture architecture;
  KvFormat kvFormat;
  int kvPages;
  Format adapterFormat;
  Session::Options session;
};

/**
 * One base model: weights, adapters, pages and the graph that evaluates them. One thread calls it; only `Adapter`s are made on others.
 * Every call that throws leaves it as it was, save for the pages that a failed step was to write.
 */
class Model final : public AdapterTable {
 public:
  explicit Model(const ModelOptions& options);

  const Architecture architecture;
  const Weights weights;
  const KvCache& kv() const { return kv_; }
  Format adapter_format() const { return adapterFormat_; }
  int threads() const { return threads_; }

  /** @returns its id, which no other adapter of this model ever has */
  int32_t add(std::unique_ptr<Adapter> adapter);
  /** Throws `bad_adapter` for an id that is not loaded. */
  void drop(int32_t id);
  const Adapter& adapter(int32_t id) const override;

  /** Values of a row of logits. */
  int logit_width() const { return logitWidth_; }
  /** @param logits room for `[logitRows, logitWidth]`, `room` values */
  void step(const StepInput& input, float* logits, size_t room);
  void copy_page(int from, int to) { kv_.copy(from, to); }
  void write_prefix(int32_t adapter, const int32_t* pages, size_t count);

  struct Statistics {
    int64_t steps, tokens;
    double seconds;
    size_t weightBytes, kvBytes, adapterBytes, scratchBytes;
  };
  Statistics statistics() const;

  // What operators use while a step runs.
  const Step& current() const { return step_; }
  /** Of products, and of the other operators. */
  Scratch productScratch, scratch;
  AdapterGroups groups;
  InputSquares squares;

 private:
  void measure_width();

  const Format adapterFormat_;
  const int threads_;
  KvCache kv_;
  Step step_;
  std::map<int32_t, std::unique_ptr<Adapter>> adapters_;
  int32_t lastAdapter_ = 0;
  int logitWidth_;
  int64_t steps_ = 0, tokens_ = 0;
  double seconds_ = 0;
  // The operators point to this model, the session to the operators: in this order, so that the session goes first.
  std::vector<Operator> operators_;
  Session session_;
};

}  // namespace troupe
