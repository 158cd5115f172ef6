#include "napi.h"

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace troupe::js {

const Napi* napi = nullptr;

namespace {

void* find(const char* name) {
#ifdef _WIN32
  return reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(nullptr), name));
#else
  return dlsym(RTLD_DEFAULT, name);
#endif
}

template <typename Function>
bool take(const char* name, Function& function) {
  function = reinterpret_cast<Function>(find(name));
  return function != nullptr;
}

struct Found {
  Napi napi;
  bool complete = true;

  Found() {
#define X(name, ...) complete = take("napi_" #name, napi.name##_) && complete;
    TROUPE_NAPI_FUNCTIONS(X)
#undef X
    if (complete) js::napi = &napi;
  }
};

}  // namespace

bool find_napi() {
  // Once, though several threads may load the addon together.
  static const Found found;
  return found.complete;
}

}  // namespace troupe::js
