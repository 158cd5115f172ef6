#include "operator.h"

#include <exception>
#include <new>
#include <string>

#include "../runtime/error.h"
#include "../runtime/model.h"

namespace troupe {

namespace {

/** A node of the graph. */
struct Node {
  const Operator* op;
  int layer, part;
  bool ran;
};

const Operator& operator_of(const ort::CustomOp* table) { return *reinterpret_cast<const Operator*>(table); }

OrtStatus* failure(const ort::Api& api, const char* message) { return api.create_status(ort::STATUS_FAIL, message); }

OrtStatus* create(const ort::CustomOp* table, const void*, const OrtKernelInfo* info, void** kernel) {
  const Operator& op = operator_of(table);
  const Architecture& architecture = op.model->architecture;
  int64_t layer = 0, part = 0;
  for (const auto& [name, value] : {std::pair<const char*, int64_t*>{"layer", &layer}, {"part", &part}})
    if (OrtStatus* status = op.api->attribute(info, name, value)) return status;
  if (layer < 0 || layer >= architecture.layers || part < 0 || part >= BLOCKS)
    return failure(*op.api, "a node of the graph names a layer or a part that the model does not have");
  *kernel = new (std::nothrow) Node{&op, int(layer), int(part), false};
  return *kernel == nullptr ? failure(*op.api, "out of memory for the nodes of the graph") : nullptr;
}

/** The C interface takes no exceptions: they become a status, which `Session::run` makes an `Error` again. */
OrtStatus* compute(void* kernel, OrtKernelContext* context) {
  Node& node = *static_cast<Node*>(kernel);
  const Operator& op = *node.op;
  try {
    Call call(*op.api, context, *op.model, node.layer, node.part, node.ran);
    op.kind->compute(call);
    node.ran = true;
    return nullptr;
  } catch (const std::bad_alloc&) {
    return failure(*op.api, "out of memory for a step");
  } catch (const std::exception& error) {
    return failure(*op.api, error.what());
  }
}

constexpr int32_t ANY_VERSION = INT32_MAX;

ort::CustomOp table_of() {
  ort::CustomOp table{};
  table.version = ort::API_VERSION;
  table.name = [](const ort::CustomOp* op) { return operator_of(op).kind->name; };
  table.provider = [](const ort::CustomOp*) { return "CPUExecutionProvider"; };
  table.input_type = [](const ort::CustomOp* op, size_t) -> int32_t {
    return operator_of(op).kind == &EMBED ? ort::I32 : ort::F32;
  };
  table.input_count = [](const ort::CustomOp* op) { return operator_of(op).kind->inputs; };
  table.output_type = [](const ort::CustomOp*, size_t) -> int32_t { return ort::F32; };
  table.output_count = [](const ort::CustomOp* op) { return operator_of(op).kind->outputs; };
  table.input_characteristic = [](const ort::CustomOp* op, size_t index) -> int32_t {
    const OperatorKind& kind = *operator_of(op).kind;
    return kind.optional && index + 1 == kind.inputs ? ort::MAY_BE_ABSENT : ort::MUST_BE_THERE;
  };
  table.output_characteristic = [](const ort::CustomOp*, size_t) -> int32_t { return ort::MUST_BE_THERE; };
  table.input_memory = [](const ort::CustomOp*, size_t) -> int32_t { return ort::DEFAULT_MEMORY; };
  table.variadic_input_least = table.variadic_output_least = [](const ort::CustomOp*) -> int32_t { return 0; };
  table.variadic_input_same = table.variadic_output_same = [](const ort::CustomOp*) -> int32_t { return 0; };
  table.create = create;
  table.compute = compute;
  table.destroy = [](void* kernel) { delete static_cast<Node*>(kernel); };
  table.first_version = [](const ort::CustomOp*) -> int32_t { return 1; };
  table.last_version = [](const ort::CustomOp*) -> int32_t { return ANY_VERSION; };
  return table;
}

}  // namespace

std::vector<Operator> all_operators(const ort::Api& api, Model& model) {
  std::vector<Operator> operators;
  for (const OperatorKind* kind :
       {&EMBED, &NORM, &ADD_NORM, &ADD_NORMS, &LINEAR, &ACTIVATE, &ATTENTION_OPERATOR, &HEAD_OPERATOR})
    operators.push_back({table_of(), &api, &model, kind});
  return operators;
}

Call::Call(const ort::Api& api, OrtKernelContext* context, Model& model, int layer, int part, bool trusted)
    : model(model), layer(layer), part(part), context_{api, context}, trusted_(trusted), pool{&context_, run_items, model.threads()} {}

void Call::run_items(void* context, void (*item)(void* arg, size_t index), size_t count, void* arg) {
  const Context& of = *static_cast<Context*>(context);
  ort::check(of.api, of.api.parallel_for(of.kernel, item, count, 0, arg));
}

const float* Call::input(size_t index, int width) const {
  const ort::Api& api = context_.api;
  const OrtValue* value = nullptr;
  ort::check(api, api.input(context_.kernel, index, &value));
  if (value == nullptr) return nullptr;
  if (!trusted_) {
    OrtTensorTypeAndShapeInfo* shape = nullptr;
    ort::check(api, api.tensor_shape(value, &shape));
    size_t rank = 0;
    int64_t dims[2] = {0, 0};
    OrtStatus* status = api.shape_rank(shape, &rank);
    if (status == nullptr && rank == 2) status = api.shape(shape, dims, rank);
    api.release_shape(shape);
    ort::check(api, status);
    if (rank != 2 || dims[0] != model.current().tokens() || dims[1] != width)
      throw Error("bad_graph", "an operator of layer " + std::to_string(layer) + " was given " + std::to_string(dims[0]) + " × " +
                                   std::to_string(dims[1]) + " values, not " + std::to_string(model.current().tokens()) +
                                   " × " + std::to_string(width));
  }
  void* data = nullptr;
  ort::check(api, api.tensor_data(const_cast<OrtValue*>(value), &data));
  return static_cast<const float*>(data);
}

float* Call::output(size_t index, int rows, int width) const {
  const ort::Api& api = context_.api;
  const int64_t dims[] = {rows, width};
  OrtValue* value = nullptr;
  void* data = nullptr;
  ort::check(api, api.output(context_.kernel, index, dims, 2, &value));
  ort::check(api, api.tensor_data(value, &data));
  return static_cast<float*>(data);
}

}  // namespace troupe
