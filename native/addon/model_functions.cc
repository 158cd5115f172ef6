#include "model_functions.h"

#include <memory>

#include "../core/kernels.h"
#include "options.h"

namespace troupe::js {

namespace {

/** Tells a model from other things that JavaScript could pass. */
constexpr napi_type_tag MODEL_TAG = {0x7a1f6b52c0de4e10, 0x93d4a8875b2e61f7};

/** What JavaScript holds; loads under way keep the model until they are done. */
struct Handle {
  std::shared_ptr<Model> model;
};

Handle& handle_of(const Value& value) {
  bool is = false;
  if (value.type() != EXTERNAL || napi->check_object_type_tag_(value.env, value.value, &MODEL_TAG, &is) != OK || !is)
    throw Error("bad_argument", "the first argument must be a model that `open` returned");
  void* data;
  check(napi->get_value_external_(value.env, value.value, &data));
  return *static_cast<Handle*>(data);
}

Model& model_of(const Arguments& args) {
  const Handle& handle = handle_of(args[0]);
  if (!handle.model) throw Error("closed", "the model was closed");
  return *handle.model;
}

const Kernels& usable_kernels() {
  try {
    return kernels();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw Error("kernels_unsupported", error.what());
  }
}

napi_value open(const Arguments& args) {
  usable_kernels();
  auto handle = std::make_unique<Handle>();
  handle->model = std::make_shared<Model>(read_options(args.named(0, "options")));
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<Handle*>(data); };
  napi_value out;
  check(napi->create_external_(args.env, handle.get(), finalize, nullptr, &out));
  handle.release();
  check(napi->type_tag_object_(args.env, out, &MODEL_TAG));
  return out;
}

napi_value close(const Arguments& args) {
  handle_of(args[0]).model.reset();
  return undefined(args.env);
}

/** One `loadAdapter`: packed on a thread of Node's pool, while JavaScript goes on. */
struct Load {
  std::shared_ptr<Model> model;
  AdapterSource source;
  std::unique_ptr<Adapter> adapter;
  /** What the packing threw. */
  const char* code = nullptr;
  std::string message;
  napi_ref weights = nullptr;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};

void pack(napi_env, void* data) {
  Load& load = *static_cast<Load*>(data);
  try {
    load.adapter = std::make_unique<Adapter>(load.source, load.model->architecture, load.model->adapter_format());
  } catch (const Error& error) {
    load.code = error.code;
    load.message = error.what();
  } catch (const std::bad_alloc&) {
    load.code = "out_of_memory";
    load.message = "the system has no memory left for the adapter";
  } catch (const std::exception& error) {
    load.code = "native";
    load.message = error.what();
  }
}

/** Puts a packed adapter into its model and answers with its handle. */
void add_loaded(napi_env env, Load& load) {
  const size_t bytes = load.adapter->bytes();
  int32_t id;
  try {
    id = load.model->add(std::move(load.adapter));
  } catch (const Error& error) {
    load.code = error.code;
    load.message = error.what();
    return;
  }
  napi_value out;
  check(napi->create_object_(env, &out));
  set(env, out, "id", number(env, id));
  set(env, out, "bytes", number(env, double(bytes)));
  check(napi->resolve_deferred_(env, load.deferred, out));
}

void loaded(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Load> load(static_cast<Load*>(data));
  napi->delete_async_work_(env, load->work);
  napi->delete_reference_(env, load->weights);
  try {
    if (load->code == nullptr) add_loaded(env, *load);
    if (load->code != nullptr) check(napi->reject_deferred_(env, load->deferred, error(env, load->code, load->message)));
  } catch (const Pending&) {
    // The environment is going away, and nobody waits any more.
  }
}

napi_value load_adapter(const Arguments& args) {
  model_of(args);
  auto load = std::make_unique<Load>();
  load->model = handle_of(args[0]).model;
  const Value weights = args.named(1, "weights");
  load->source = read_adapter(weights);
  napi_value promise;
  check(napi->create_promise_(args.env, &load->deferred, &promise));
  check(napi->create_reference_(args.env, weights.value, 1, &load->weights));
  check(napi->create_async_work_(args.env, nullptr, text(args.env, "troupe.loadAdapter"), pack, loaded, load.get(), &load->work));
  check(napi->queue_async_work_(args.env, load->work));
  load.release();
  return promise;
}

napi_value drop_adapter(const Arguments& args) {
  model_of(args).drop(args.named(1, "id").integer());
  return undefined(args.env);
}

napi_value step(const Arguments& args) {
  Model& model = model_of(args);
  StepInput input{};
  size_t index = 1;
  const auto read = [&](auto& to, const char* name) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(to.data)>>;
    const auto array = args.named(index++, name).array<T>();
    to = {array.data, array.count};
  };
  read(input.tokens, "tokens");
  read(input.sequences, "sequences");
  read(input.pages, "pages");
  read(input.mixStart, "mixStart");
  read(input.mixAdapters, "mixAdapters");
  read(input.mixScales, "mixScales");
  read(input.mixStacked, "mixStacked");
  read(input.logitRows, "logitRows");
  const auto logits = args.named(index, "logits").array<float>();
  model.step(input, logits.data, logits.count);
  return undefined(args.env);
}

napi_value copy_page(const Arguments& args) {
  model_of(args).copy_page(args.named(1, "from").integer(), args.named(2, "to").integer());
  return undefined(args.env);
}

napi_value write_prefix(const Arguments& args) {
  const auto pages = args.named(2, "pages").array<int32_t>();
  model_of(args).write_prefix(args.named(1, "adapter").integer(), pages.data, pages.count);
  return undefined(args.env);
}

napi_value logit_width(const Arguments& args) { return number(args.env, model_of(args).logit_width()); }

napi_value page_bytes(const Arguments& args) { return number(args.env, double(model_of(args).kv().page_bytes())); }

napi_value statistics(const Arguments& args) {
  const Model::Statistics from = model_of(args).statistics();
  napi_value out;
  check(napi->create_object_(args.env, &out));
  set(args.env, out, "kernels", text(args.env, kernels().name));
  const auto add = [&](const char* name, double value) { set(args.env, out, name, number(args.env, value)); };
  add("steps", double(from.steps));
  add("tokens", double(from.tokens));
  add("stepSeconds", from.seconds);
  add("weightBytes", double(from.weightBytes));
  add("kvBytes", double(from.kvBytes));
  add("adapterBytes", double(from.adapterBytes));
  add("scratchBytes", double(from.scratchBytes));
  return out;
}

napi_value collect_inputs(const Arguments& args) {
  model_of(args).squares.collect(args.named(1, "on").boolean());
  return undefined(args.env);
}

/** `{ rows, squares: Float32Array }` of a block of a layer (4: the head), or null. */
napi_value input_squares(const Arguments& args) {
  const Model& model = model_of(args);
  const int layer = args.named(1, "layer").integer(0, model.architecture.layers - 1), block = args.named(2, "block").integer(0, BLOCKS);
  const InputSquares::Sums* sums = block == BLOCKS ? model.squares.of(0, HEAD) : model.squares.of(layer, block);
  napi_value out;
  if (sums == nullptr) {
    check(napi->get_null_(args.env, &out));
    return out;
  }
  float* data;
  check(napi->create_object_(args.env, &out));
  set(args.env, out, "rows", number(args.env, double(sums->rows)));
  set(args.env, out, "squares", floats(args.env, sums->squares.size(), &data));
  for (size_t i = 0; i < sums->squares.size(); i++) data[i] = float(sums->squares[i]);
  return out;
}

}  // namespace

void define_model(napi_env env, napi_value exports) {
  define(env, exports, "open", open);
  define(env, exports, "close", close);
  define(env, exports, "loadAdapter", load_adapter);
  define(env, exports, "dropAdapter", drop_adapter);
  define(env, exports, "step", step);
  define(env, exports, "copyPage", copy_page);
  define(env, exports, "writePrefix", write_prefix);
  define(env, exports, "logitWidth", logit_width);
  define(env, exports, "pageBytes", page_bytes);
  define(env, exports, "statistics", statistics);
  define(env, exports, "collectInputs", collect_inputs);
  define(env, exports, "inputSquares", input_squares);
}

}  // namespace troupe::js
