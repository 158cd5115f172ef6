#include <algorithm>
#include <memory>

#include "../pack/weights.h"
#include "model_functions.h"

namespace troupe::js {

namespace {

/** One `packRows`: done on a thread of Node's pool, on arrays that the references keep alive. */
struct Packing {
  Format format;
  const float* rows;
  const float* importance;
  int count, inputs;
  void* tiles;
  uint16_t *d, *m;
  bool done = false;
  std::string message;
  std::vector<napi_ref> arrays;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};

void run(napi_env, void* data) {
  Packing& packing = *static_cast<Packing*>(data);
  try {
    pack_rows(packing.format, packing.rows, packing.count, packing.inputs, packing.importance, packing.tiles, packing.d, packing.m);
    packing.done = true;
  } catch (const std::exception& error) {
    packing.message = error.what();
  }
}

void finished(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Packing> packing(static_cast<Packing*>(data));
  napi->delete_async_work_(env, packing->work);
  for (const napi_ref array : packing->arrays) napi->delete_reference_(env, array);
  try {
    if (packing->done) check(napi->resolve_deferred_(env, packing->deferred, undefined(env)));
    else check(napi->reject_deferred_(env, packing->deferred, error(env, "native", packing->message)));
  } catch (const Pending&) {
    // The environment is going away, and nobody waits any more.
  }
}

template <typename T>
T* taken(Packing& packing, const Value& value, size_t least) {
  const auto array = value.array<T>();
  if (array.count < least)
    throw Error("bad_argument", std::string(value.name) + " has " + std::to_string(array.count) + " elements, " + std::to_string(least) + " are needed");
  napi_ref reference;
  check(napi->create_reference_(value.env, value.value, 1, &reference));
  packing.arrays.push_back(reference);
  return array.data;
}

/** packRows(format, rows, inputs, importance | null, tiles, d, m): fills tiles, d and m, which are as large as the format needs. */
napi_value pack(const Arguments& args) {
  auto packing = std::make_unique<Packing>();
  packing->format = Format(args.named(0, "format").integer(0, 3));
  packing->inputs = args.named(2, "inputs").integer(1);
  const auto rows = args.named(1, "rows").array<float>();
  packing->count = int(rows.count / size_t(packing->inputs));
  const bool scaled = is_quantised(packing->format);
  const size_t tiles = size_t(tiles_of(packing->count)), scales = scaled ? tiles * tile_scales(packing->inputs) : 0;
  try {
    packing->rows = taken<float>(*packing, args.named(1, "rows"), rows.count);
    packing->tiles = taken<uint8_t>(*packing, args.named(4, "tiles"), tiles * tile_bytes(packing->format, packing->inputs));
    packing->d = taken<uint16_t>(*packing, args.named(5, "d"), scales);
    packing->m = taken<uint16_t>(*packing, args.named(6, "m"), packing->format == Format::q4 ? scales : 0);
    const Value importance = args.named(3, "importance");
    packing->importance = importance.missing() ? nullptr : taken<float>(*packing, importance, size_t(packing->inputs));
  } catch (...) {
    for (const napi_ref array : packing->arrays) napi->delete_reference_(args.env, array);
    throw;
  }
  napi_value promise;
  check(napi->create_promise_(args.env, &packing->deferred, &promise));
  check(napi->create_async_work_(args.env, nullptr, text(args.env, "troupe.packRows"), run, finished, packing.get(), &packing->work));
  check(napi->queue_async_work_(args.env, packing->work));
  packing.release();
  return promise;
}

}  // namespace

void define_packing(napi_env env, napi_value exports) { define(env, exports, "packRows", pack); }

}  // namespace troupe::js
