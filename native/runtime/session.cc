#include "session.h"

namespace troupe {

namespace {

/** A value of the library's that is released with the scope. */
template <typename T>
struct Owned {
  T* value = nullptr;
  void (*release)(T*);
  explicit Owned(void (*release)(T*)) : release(release) {}
  ~Owned() {
    if (value != nullptr) release(value);
  }
};

}  // namespace

Session::Session(const ort::Api& api, const void* graph, size_t bytes, const std::vector<const ort::CustomOp*>& operators,
                 const Options& options)
    : api_(api) {
  const OrtEnv* env = ort::environment(api);
  Owned<OrtSessionOptions> settings(api.release_options);
  Owned<OrtCustomOpDomain> domain(api.release_domain);
  Owned<OrtMemoryInfo> memory(api.release_memory_info);
  ort::check(api, api.create_options(&settings.value));
  ort::check(api, api.create_domain("troupe", &domain.value));
  for (const ort::CustomOp* op : operators) ort::check(api, api.add_operator(domain.value, op));
  ort::check(api, api.add_domain(settings.value, domain.value));
  ort::check(api, api.set_threads(settings.value, options.threads));
  ort::check(api, api.set_optimisation(settings.value, ort::ALL_OPTIMISATIONS));
  // Steps differ in their number of tokens: a pattern of memory for each would grow without end.
  ort::check(api, api.disable_pattern(settings.value));
  // Threads of a session that is not running must not take the cores of one that is.
  ort::check(api, api.add_config(settings.value, "session.force_spinning_stop", "1"));
  ort::check(api, api.add_config(settings.value, "session.intra_op.allow_spinning", options.spinning ? "1" : "0"));
  ort::check(api, api.create_memory_info(ort::DEVICE_ALLOCATOR, ort::DEFAULT_MEMORY, &memory.value));
  ort::check(api, api.create_session(env, graph, bytes, settings.value, &session_));
  domain_ = domain.value;
  memory_ = memory.value;
  domain.value = nullptr;
  memory.value = nullptr;
}

Session::~Session() {
  if (session_ != nullptr) api_.release_session(session_);
  if (domain_ != nullptr) api_.release_domain(domain_);
  if (memory_ != nullptr) api_.release_memory_info(memory_);
}

void Session::run(const int32_t* tokens, int64_t count, float* logits, int64_t rows, int64_t width) {
  static const char* const inputs[] = {"tokens"};
  static const char* const outputs[] = {"logits"};
  Owned<OrtValue> in(api_.release_value), out(api_.release_value);
  const int64_t shape[] = {rows, width};
  // Without logits the operator still has an output, of no rows.
  static float none;
  float* data = rows > 0 ? logits : &none;
  ort::check(api_, api_.create_tensor(memory_, const_cast<int32_t*>(tokens), size_t(count) * sizeof(int32_t), &count, 1, ort::I32, &in.value));
  ort::check(api_, api_.create_tensor(memory_, data, size_t(rows * width) * sizeof(float), shape, 2, ort::F32, &out.value));
  ort::check(api_, api_.run(session_, nullptr, inputs, &in.value, 1, outputs, 1, &out.value));
}

}  // namespace troupe
