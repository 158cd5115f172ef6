#pragma once
#include <cstddef>
#include <cstdint>

/** The part of Node-API (version 8) that is used here. */
extern "C" {
typedef struct napi_env__* napi_env;
typedef struct napi_value__* napi_value;
typedef struct napi_ref__* napi_ref;
typedef struct napi_deferred__* napi_deferred;
typedef struct napi_async_work__* napi_async_work;
typedef struct napi_callback_info__* napi_callback_info;
typedef int32_t napi_status;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);
typedef void (*napi_finalize)(napi_env, void* data, void* hint);
typedef void (*napi_execute)(napi_env, void* data);
typedef void (*napi_complete)(napi_env, napi_status, void* data);
struct napi_type_tag {
  uint64_t lower, upper;
};
}

namespace troupe::js {

constexpr napi_status OK = 0;
enum ValueType : int32_t { UNDEFINED, NULL_VALUE, BOOLEAN, NUMBER, STRING, SYMBOL, OBJECT, FUNCTION, EXTERNAL, BIGINT };
enum ArrayType : int32_t { I8, U8, U8_CLAMPED, I16, U16, I32, U32, F32, F64, I64, U64 };

// name, then what it takes behind the environment
#define TROUPE_NAPI_FUNCTIONS(X)                                                                         \
  X(get_cb_info, napi_callback_info, size_t* count, napi_value* args, napi_value* self, void** data)     \
  X(create_function, const char* name, size_t length, napi_callback, void* data, napi_value* out)        \
  X(create_external, void* data, napi_finalize, void* hint, napi_value* out)                             \
  X(get_value_external, napi_value, void** out)                                                          \
  X(type_tag_object, napi_value, const napi_type_tag*)                                                   \
  X(check_object_type_tag, napi_value, const napi_type_tag*, bool* out)                                  \
  X(typeof, napi_value, int32_t* out)                                                                    \
  X(get_named_property, napi_value, const char* name, napi_value* out)                                   \
  X(set_named_property, napi_value, const char* name, napi_value)                                        \
  X(get_value_double, napi_value, double* out)                                                           \
  X(get_value_bool, napi_value, bool* out)                                                               \
  X(get_value_string_utf8, napi_value, char* to, size_t room, size_t* length)                            \
  X(is_typedarray, napi_value, bool* out)                                                                \
  X(get_typedarray_info, napi_value, int32_t* type, size_t* length, void** data, napi_value* buffer, size_t* offset) \
  X(is_array, napi_value, bool* out)                                                                     \
  X(get_array_length, napi_value, uint32_t* out)                                                         \
  X(get_element, napi_value, uint32_t index, napi_value* out)                                            \
  X(create_object, napi_value* out)                                                                      \
  X(create_double, double, napi_value* out)                                                              \
  X(create_string_utf8, const char*, size_t length, napi_value* out)                                     \
  X(create_arraybuffer, size_t bytes, void** data, napi_value* out)                                      \
  X(create_typedarray, int32_t type, size_t length, napi_value buffer, size_t offset, napi_value* out)   \
  X(get_undefined, napi_value* out)                                                                      \
  X(get_null, napi_value* out)                                                                           \
  X(create_error, napi_value code, napi_value message, napi_value* out)                                  \
  X(throw, napi_value)                                                                                   \
  X(create_promise, napi_deferred*, napi_value* out)                                                     \
  X(resolve_deferred, napi_deferred, napi_value)                                                         \
  X(reject_deferred, napi_deferred, napi_value)                                                          \
  X(create_async_work, napi_value resource, napi_value name, napi_execute, napi_complete, void* data, napi_async_work* out) \
  X(queue_async_work, napi_async_work)                                                                   \
  X(delete_async_work, napi_async_work)                                                                  \
  X(create_reference, napi_value, uint32_t count, napi_ref* out)                                         \
  X(delete_reference, napi_ref)

/**
 * The functions of Node that are called, found by name in the process when the addon is loaded. So the addon needs no headers of Node's to be built and no
 * import library, and a Node that lacks one of them gets a message in place of a linker's.
 */
struct Napi {
#define X(name, ...) napi_status (*name##_)(napi_env, __VA_ARGS__);
  TROUPE_NAPI_FUNCTIONS(X)
#undef X
};

/** The functions, once `find_napi` has found them. */
extern const Napi* napi;
/** False when this Node lacks one of them. */
bool find_napi();

}  // namespace troupe::js
