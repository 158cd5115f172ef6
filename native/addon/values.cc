#include "values.h"

#include <cmath>
#include <new>

namespace troupe::js {

namespace {

template <typename T>
constexpr ArrayType array_type();
template <>
constexpr ArrayType array_type<float>() { return F32; }
template <>
constexpr ArrayType array_type<int32_t>() { return I32; }
template <>
constexpr ArrayType array_type<uint32_t>() { return U32; }
template <>
constexpr ArrayType array_type<uint16_t>() { return U16; }
template <>
constexpr ArrayType array_type<uint8_t>() { return U8; }
template <>
constexpr ArrayType array_type<int8_t>() { return I8; }
template <>
constexpr ArrayType array_type<double>() { return F64; }

constexpr const char* ARRAY_NAMES[] = {"Int8Array",   "Uint8Array",  "Uint8ClampedArray", "Int16Array",   "Uint16Array",  "Int32Array",
                                       "Uint32Array", "Float32Array", "Float64Array",      "BigInt64Array", "BigUint64Array"};

/** Runs a function for JavaScript; C++ exceptions must not pass through Node. */
napi_value call(napi_env env, napi_callback_info info) {
  const char* code;
  std::string message;
  try {
    void* data = nullptr;
    check(napi->get_cb_info_(env, info, nullptr, nullptr, nullptr, &data));
    const Arguments args(env, info);
    return reinterpret_cast<Function>(data)(args);
  } catch (const Pending&) {
    return nullptr;
  } catch (const Error& error) {
    code = error.code;
    message = error.what();
  } catch (const std::bad_alloc&) {
    code = "out_of_memory";
    message = "the system has no memory left for this";
  } catch (const std::exception& error) {
    code = "native";
    message = error.what();
  }
  try {
    napi->throw_(env, error(env, code, message));
  } catch (const Pending&) {
  }
  return nullptr;
}

}  // namespace

void Value::refuse(const char* wanted) const { throw Error("bad_argument", std::string(name) + " must be " + wanted); }

ValueType Value::type() const {
  int32_t type;
  check(napi->typeof_(env, value, &type));
  return ValueType(type);
}

double Value::number() const {
  double number;
  if (napi->get_value_double_(env, value, &number) != OK) refuse("a number");
  return number;
}

int32_t Value::integer(int64_t least, int64_t most) const {
  const double number = this->number();
  if (!(number >= double(least) && number <= double(most)) || number != std::floor(number))
    throw Error("bad_argument", std::string(name) + " must be an integer from " + std::to_string(least) + " to " + std::to_string(most));
  return int32_t(number);
}

bool Value::boolean() const {
  bool boolean;
  if (napi->get_value_bool_(env, value, &boolean) != OK) refuse("true or false");
  return boolean;
}

std::string Value::text() const {
  size_t length;
  if (napi->get_value_string_utf8_(env, value, nullptr, 0, &length) != OK) refuse("a string");
  std::string text(length + 1, '\0');
  check(napi->get_value_string_utf8_(env, value, text.data(), length + 1, &length));
  text.resize(length);
  return text;
}

Value Value::at(const char* property) const {
  if (type() != OBJECT) refuse("an object");
  napi_value found;
  check(napi->get_named_property_(env, value, property, &found));
  return {env, found, property};
}

uint32_t Value::length() const {
  bool is = false;
  if (napi->is_array_(env, value, &is) != OK || !is) refuse("an array");
  uint32_t length;
  check(napi->get_array_length_(env, value, &length));
  return length;
}

Value Value::at(uint32_t index) const {
  napi_value found;
  check(napi->get_element_(env, value, index, &found));
  return {env, found, name};
}

template <typename T>
Value::Array<T> Value::array() const {
  bool is = false;
  int32_t type = -1;
  size_t count = 0;
  void* data = nullptr;
  const char* wanted = ARRAY_NAMES[array_type<T>()];
  if (napi->is_typedarray_(env, value, &is) != OK || !is) refuse(wanted);
  check(napi->get_typedarray_info_(env, value, &type, &count, &data, nullptr, nullptr));
  if (type != array_type<T>()) refuse(wanted);
  return {static_cast<T*>(data), count};
}

template Value::Array<float> Value::array<float>() const;
template Value::Array<int32_t> Value::array<int32_t>() const;
template Value::Array<uint32_t> Value::array<uint32_t>() const;
template Value::Array<uint16_t> Value::array<uint16_t>() const;
template Value::Array<uint8_t> Value::array<uint8_t>() const;
template Value::Array<int8_t> Value::array<int8_t>() const;
template Value::Array<double> Value::array<double>() const;

Arguments::Arguments(napi_env env, napi_callback_info info) : env(env) {
  size_t count = MOST;
  check(napi->get_cb_info_(env, info, &count, values_, nullptr, nullptr));
}

napi_value undefined(napi_env env) {
  napi_value out;
  check(napi->get_undefined_(env, &out));
  return out;
}

napi_value number(napi_env env, double value) {
  napi_value out;
  check(napi->create_double_(env, value, &out));
  return out;
}

napi_value text(napi_env env, const std::string& value) {
  napi_value out;
  check(napi->create_string_utf8_(env, value.data(), value.size(), &out));
  return out;
}

napi_value error(napi_env env, const char* code, const std::string& message) {
  napi_value out;
  check(napi->create_error_(env, text(env, code), text(env, message), &out));
  return out;
}

void set(napi_env env, napi_value object, const char* name, napi_value value) {
  check(napi->set_named_property_(env, object, name, value));
}

napi_value floats(napi_env env, size_t count, float** data) {
  napi_value buffer, out;
  void* bytes;
  check(napi->create_arraybuffer_(env, count * sizeof(float), &bytes, &buffer));
  check(napi->create_typedarray_(env, F32, count, buffer, 0, &out));
  *data = static_cast<float*>(bytes);
  return out;
}

void define(napi_env env, napi_value exports, const char* name, Function function) {
  napi_value out;
  check(napi->create_function_(env, name, SIZE_MAX, call, reinterpret_cast<void*>(function), &out));
  set(env, exports, name, out);
}

}  // namespace troupe::js
