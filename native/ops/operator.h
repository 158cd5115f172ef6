#pragma once
#include <vector>

#include "../core/pool.h"
#include "../runtime/ort_api.h"

namespace troupe {

class Model;

/** One run of one node of the graph. */
class Call {
 public:
  /** @param trusted whether the shapes of the node's inputs were looked at before: in one graph only the number of tokens ever differs */
  Call(const ort::Api& api, OrtKernelContext* context, Model& model, int layer, int part, bool trusted);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Model& model;
  /** What the node's attributes say: its layer, and which of a layer's blocks or sublayers it is. */
  const int layer, part;

  /** Input `index`, `[tokens][width]`; null where an optional one was left out. Throws `bad_graph` for another shape. */
  const float* input(size_t index, int width) const;
  /** Output `index`, `[rows][width]`. */
  float* output(size_t index, int rows, int width) const;

 private:
  struct Context {
    const ort::Api& api;
    OrtKernelContext* kernel;
  };
  static void run_items(void* context, void (*item)(void* arg, size_t index), size_t count, void* arg);

  Context context_;
  const bool trusted_;

 public:
  /** The session's threads. */
  const Pool pool;
};

/** A type of node: its name in the graph, how many values it takes and gives, and what it does. */
struct OperatorKind {
  const char* name;
  size_t inputs, outputs;
  /** The last input may be left out. */
  bool optional;
  void (*compute)(Call& call);
};

/** An operator as the library knows it; the model it works for comes behind the library's own part. */
struct Operator {
  ort::CustomOp table;
  const ort::Api* api;
  Model* model;
  const OperatorKind* kind;
};

/** All operators, for one model. They must stay where they are while a session uses them. */
std::vector<Operator> all_operators(const ort::Api& api, Model& model);

extern const OperatorKind EMBED, NORM, ADD_NORM, ADD_NORMS, LINEAR, ACTIVATE, ATTENTION_OPERATOR, HEAD_OPERATOR;

}  // namespace troupe
