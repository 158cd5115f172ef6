#include "ort_api.h"

#include <mutex>
#include <string>

#include "error.h"

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace troupe::ort {

namespace {

template <typename Function>
void take(const void* const* table, int index, Function& function) {
  function = reinterpret_cast<Function>(const_cast<void*>(table[index]));
}

/** Where the library is in the process already, for onnxruntime-node, this is the same one. */
const ApiBase* find_base(const char* library) {
#ifdef _WIN32
  const int length = MultiByteToWideChar(CP_UTF8, 0, library, -1, nullptr, 0);
  std::wstring wide(size_t(length), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, library, -1, wide.data(), length);
  // Its own folder comes first in the search for the libraries it needs.
  HMODULE module = LoadLibraryExW(wide.c_str(), nullptr, LOAD_WITH_ALTERED_SEARCH_PATH);
  if (module == nullptr)
    throw Error("onnx_runtime_missing", std::string("cannot load ONNX Runtime from ") + library + ": error " + std::to_string(GetLastError()));
  void* symbol = reinterpret_cast<void*>(GetProcAddress(module, "OrtGetApiBase"));
#else
  void* module = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) throw Error("onnx_runtime_missing", std::string("cannot load ONNX Runtime: ") + dlerror());
  void* symbol = dlsym(module, "OrtGetApiBase");
#endif
  if (symbol == nullptr) throw Error("onnx_runtime_foreign", std::string(library) + " is not ONNX Runtime");
  return reinterpret_cast<const ApiBase* (*)()>(symbol)();
}

}  // namespace

void Api::bind(const void* const* table) {
  take(table, 0, create_status);
  take(table, 2, error_message);
  take(table, 3, create_env);
  take(table, 8, create_session);
  take(table, 9, run);
  take(table, 10, create_options);
  take(table, 17, disable_pattern);
  take(table, 23, set_optimisation);
  take(table, 24, set_threads);
  take(table, 26, create_domain);
  take(table, 27, add_operator);
  take(table, 28, add_domain);
  take(table, 49, create_tensor);
  take(table, 51, tensor_data);
  take(table, 61, shape_rank);
  take(table, 62, shape);
  take(table, 65, tensor_shape);
  take(table, 69, create_memory_info);
  take(table, 86, attribute);
  take(table, 90, input);
  take(table, 91, output);
  take(table, 93, release_status);
  take(table, 94, release_memory_info);
  take(table, 95, release_session);
  take(table, 96, release_value);
  take(table, 99, release_shape);
  take(table, 100, release_options);
  take(table, 101, release_domain);
  take(table, 130, add_config);
  take(table, 274, parallel_for);
}

const Api& load(const char* library) {
  static std::mutex mutex;
  static Api api;
  static bool bound = false;
  const std::lock_guard<std::mutex> lock(mutex);
  if (bound) return api;
  const ApiBase* base = find_base(library);
  const void* const* table = base->get_api(API_VERSION);
  if (table == nullptr)
    throw Error("onnx_runtime_foreign", std::string("ONNX Runtime ") + base->version_string() +
                                            " does not serve version " + std::to_string(API_VERSION) + " of its interface");
  api.bind(table);
  bound = true;
  return api;
}

const OrtEnv* environment(const Api& api) {
  static std::mutex mutex;
  static OrtEnv* env = nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  if (env == nullptr) check(api, api.create_env(WARNING, "troupe", &env));
  return env;
}

void check(const Api& api, OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = api.error_message(status);
  api.release_status(status);
  throw Error("onnx_runtime", message);
}

}  // namespace troupe::ort
