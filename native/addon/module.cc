#include "model_functions.h"

#ifdef _WIN32
#define TROUPE_EXPORT extern "C" __declspec(dllexport)
#else
#define TROUPE_EXPORT extern "C" __attribute__((visibility("default")))
#endif

TROUPE_EXPORT int32_t node_api_module_get_api_version_v1() { return 8; }

/** Called once in every thread of JavaScript that loads the addon. Without the functions it needs, it exports nothing. */
TROUPE_EXPORT napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  using namespace troupe::js;
  if (!find_napi()) return exports;
  try {
    define_model(env, exports);
    define_logit_tools(env, exports);
    define_packing(env, exports);
  } catch (const Pending&) {
    return nullptr;
  }
  return exports;
}
