#pragma once
#include <cstddef>
#include <cstdint>

/**
 * The part of ONNX Runtime's C interface that is used here. Its table of functions only ever grows at the end, so a function is known by its
 * place in the table, and version 24 of the interface is served by every later library.
 */
struct OrtStatus;
struct OrtEnv;
struct OrtSession;
struct OrtSessionOptions;
struct OrtRunOptions;
struct OrtValue;
struct OrtMemoryInfo;
struct OrtTensorTypeAndShapeInfo;
struct OrtCustomOpDomain;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtShapeInferContext;

namespace troupe::ort {

constexpr uint32_t API_VERSION = 24;

enum Element : int32_t { F32 = 1, I32 = 6 };
enum Characteristic : int32_t { MUST_BE_THERE = 0, MAY_BE_ABSENT = 1 };
enum LogLevel : int32_t { WARNING = 2, FAILURE = 3 };
constexpr int32_t STATUS_FAIL = 1;
constexpr int32_t ALL_OPTIMISATIONS = 99;
constexpr int32_t DEVICE_ALLOCATOR = 0;
constexpr int32_t DEFAULT_MEMORY = 0;

/** `OrtApiBase`. */
struct ApiBase {
  const void* const* (*get_api)(uint32_t version);
  const char* (*version_string)();
};

/** `OrtApi`, the functions at the places that `bind` names. */
struct Api {
  OrtStatus* (*create_status)(int32_t code, const char* message);
  const char* (*error_message)(const OrtStatus*);
  OrtStatus* (*create_env)(int32_t level, const char* name, OrtEnv** out);
  OrtStatus* (*create_session)(const OrtEnv*, const void* model, size_t bytes, const OrtSessionOptions*, OrtSession** out);
  OrtStatus* (*run)(OrtSession*, const OrtRunOptions*, const char* const* input_names, const OrtValue* const* inputs,
                    size_t input_count, const char* const* output_names, size_t output_count, OrtValue** outputs);
  OrtStatus* (*create_options)(OrtSessionOptions** out);
  OrtStatus* (*disable_pattern)(OrtSessionOptions*);
  OrtStatus* (*set_optimisation)(OrtSessionOptions*, int32_t level);
  OrtStatus* (*set_threads)(OrtSessionOptions*, int32_t threads);
  OrtStatus* (*create_domain)(const char* name, OrtCustomOpDomain** out);
  OrtStatus* (*add_operator)(OrtCustomOpDomain*, const struct CustomOp*);
  OrtStatus* (*add_domain)(OrtSessionOptions*, OrtCustomOpDomain*);
  OrtStatus* (*create_tensor)(const OrtMemoryInfo*, void* data, size_t bytes, const int64_t* shape, size_t rank,
                              int32_t element, OrtValue** out);
  OrtStatus* (*tensor_data)(OrtValue*, void** out);
  OrtStatus* (*shape_rank)(const OrtTensorTypeAndShapeInfo*, size_t* out);
  OrtStatus* (*shape)(const OrtTensorTypeAndShapeInfo*, int64_t* dims, size_t rank);
  OrtStatus* (*tensor_shape)(const OrtValue*, OrtTensorTypeAndShapeInfo** out);
  OrtStatus* (*create_memory_info)(int32_t allocator, int32_t memory, OrtMemoryInfo** out);
  OrtStatus* (*attribute)(const OrtKernelInfo*, const char* name, int64_t* out);
  OrtStatus* (*input)(const OrtKernelContext*, size_t index, const OrtValue** out);
  OrtStatus* (*output)(OrtKernelContext*, size_t index, const int64_t* dims, size_t rank, OrtValue** out);
  void (*release_status)(OrtStatus*);
  void (*release_memory_info)(OrtMemoryInfo*);
  void (*release_session)(OrtSession*);
  void (*release_value)(OrtValue*);
  void (*release_shape)(OrtTensorTypeAndShapeInfo*);
  void (*release_options)(OrtSessionOptions*);
  void (*release_domain)(OrtCustomOpDomain*);
  OrtStatus* (*add_config)(OrtSessionOptions*, const char* key, const char* value);
  OrtStatus* (*parallel_for)(const OrtKernelContext*, void (*item)(void* arg, size_t index), size_t count, size_t batches,
                             void* arg);

  /** Takes the functions out of the library's table. */
  void bind(const void* const* table);
};

/** `OrtCustomOp`: how the library asks about an operator, in the order of its fields. */
struct CustomOp {
  uint32_t version;
  void* (*create_kernel)(const CustomOp*, const void* api, const OrtKernelInfo*);
  const char* (*name)(const CustomOp*);
  const char* (*provider)(const CustomOp*);
  int32_t (*input_type)(const CustomOp*, size_t index);
  size_t (*input_count)(const CustomOp*);
  int32_t (*output_type)(const CustomOp*, size_t index);
  size_t (*output_count)(const CustomOp*);
  void (*compute_void)(void* kernel, OrtKernelContext*);
  void (*destroy)(void* kernel);
  int32_t (*input_characteristic)(const CustomOp*, size_t index);
  int32_t (*output_characteristic)(const CustomOp*, size_t index);
  int32_t (*input_memory)(const CustomOp*, size_t index);
  int32_t (*variadic_input_least)(const CustomOp*);
  int32_t (*variadic_input_same)(const CustomOp*);
  int32_t (*variadic_output_least)(const CustomOp*);
  int32_t (*variadic_output_same)(const CustomOp*);
  OrtStatus* (*create)(const CustomOp*, const void* api, const OrtKernelInfo*, void** kernel);
  OrtStatus* (*compute)(void* kernel, OrtKernelContext*);
  OrtStatus* (*infer_shape)(const CustomOp*, OrtShapeInferContext*);
  int32_t (*first_version)(const CustomOp*);
  int32_t (*last_version)(const CustomOp*);
  size_t (*may_in_place)(int32_t** inputs, int32_t** outputs);
  void (*release_in_place)(int32_t* inputs, int32_t* outputs);
  size_t (*aliases)(int32_t** inputs, int32_t** outputs);
  void (*release_aliases)(int32_t* inputs, int32_t* outputs);
};

static_assert(sizeof(CustomOp) == 208, "OrtCustomOp has 25 pointers behind its version");

/**
 * Binds the library's interface, once in a process.
 *
 * @param library path of the library that onnxruntime-node ships
 */
const Api& load(const char* library);

/** The process's one environment: a second one, or one with other settings, would not share threads and logging with onnxruntime-node's. */
const OrtEnv* environment(const Api&);

/** Throws what a status says, as `onnx_runtime`, and releases it. */
void check(const Api&, OrtStatus*);

}  // namespace troupe::ort
