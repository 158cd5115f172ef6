#pragma once
#include <string>
#include <vector>

#include "../runtime/error.h"
#include "napi.h"

namespace troupe::js {

/** A call into Node failed: an exception is under way there already, or the environment is shutting down. */
struct Pending {};

inline void check(napi_status status) {
  if (status != OK) throw Pending();
}

/** A value that JavaScript gave, with its name for messages; every reading throws `bad_argument` when it is of another kind. */
struct Value {
  napi_env env;
  napi_value value;
  const char* name;

  ValueType type() const;
  bool missing() const { return type() == UNDEFINED || type() == NULL_VALUE; }
  double number() const;
  /** An integer from `least` to `most`. */
  int32_t integer(int64_t least = INT32_MIN, int64_t most = INT32_MAX) const;
  bool boolean() const;
  std::string text() const;
  Value at(const char* property) const;
  uint32_t length() const;
  Value at(uint32_t index) const;

  template <typename T>
  struct Array {
    T* data;
    size_t count;
  };
  template <typename T>
  Array<T> array() const;

 private:
  [[noreturn]] void refuse(const char* wanted) const;
};

/** What a function was called with. */
class Arguments {
 public:
  static constexpr size_t MOST = 12;
  Arguments(napi_env env, napi_callback_info info);
  Value operator[](size_t index) const { return {env, values_[index], "an argument"}; }
  Value named(size_t index, const char* name) const { return {env, values_[index], name}; }
  const napi_env env;

 private:
  napi_value values_[MOST];
};

napi_value undefined(napi_env env);
napi_value number(napi_env env, double value);
napi_value text(napi_env env, const std::string& value);
napi_value error(napi_env env, const char* code, const std::string& message);
void set(napi_env env, napi_value object, const char* name, napi_value value);
/** A new Float32Array. */
napi_value floats(napi_env env, size_t count, float** data);

using Function = napi_value (*)(const Arguments&);
/** Adds a function whose C++ exceptions become errors with a `code`. */
void define(napi_env env, napi_value exports, const char* name, Function function);

}  // namespace troupe::js
