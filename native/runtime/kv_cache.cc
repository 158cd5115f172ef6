#include "kv_cache.h"

#include <cmath>
#include <cstring>

#include "../core/numbers.h"
#include "error.h"

namespace troupe {

namespace {

/** Writes `count` numbers `stride` places apart as int8. @returns their scale */
float write_int8(const float* values, int count, int8_t* out, size_t stride) {
  float largest = 0;
  for (int i = 0; i < count; i++) largest = std::fmax(largest, std::fabs(values[i]));
  const float inverse = largest > 0 ? 127.f / largest : 0.f;
  for (int i = 0; i < count; i++) out[size_t(i) * stride] = int8_t(std::lrintf(values[i] * inverse));
  return largest / 127.f;
}

}  // namespace

KvCache::KvCache(KvFormat format, int layers, int kvHeads, int headDim, int pages)
    : format_(format),
      kvHeads_(kvHeads),
      headDim_(headDim),
      pages_(pages),
      partBytes_(kv_part_bytes(format, headDim)),
      pageBytes_(partBytes_ * 2 * size_t(kvHeads) * size_t(layers)),
      memory_(pageBytes_ * size_t(pages), "pages of keys and values") {}

void KvCache::write(uint8_t* head, int slot, const float* key, const float* value) const {
  uint8_t* values = head + partBytes_;
  const size_t row = size_t(slot) * size_t(headDim_);
  switch (format_) {
    case KvFormat::f32: {
      float* keys = reinterpret_cast<float*>(head) + slot;
      for (int d = 0; d < headDim_; d++) keys[d * PAGE] = key[d];
      memcpy(reinterpret_cast<float*>(values) + row, value, size_t(headDim_) * sizeof(float));
      return;
    }
    case KvFormat::bf16: {
      uint16_t* keys = reinterpret_cast<uint16_t*>(head) + slot;
      uint16_t* out = reinterpret_cast<uint16_t*>(values) + row;
      for (int d = 0; d < headDim_; d++) keys[d * PAGE] = to_bf16(key[d]);
      for (int d = 0; d < headDim_; d++) out[d] = to_bf16(value[d]);
      return;
    }
    case KvFormat::int8: {
      const size_t scales = kv_numbers_bytes(format_, headDim_);
      reinterpret_cast<float*>(head + scales)[slot] = write_int8(key, headDim_, reinterpret_cast<int8_t*>(head) + slot, PAGE);
      reinterpret_cast<float*>(values + scales)[slot] =
          write_int8(value, headDim_, reinterpret_cast<int8_t*>(values) + row, 1);
      return;
    }
  }
}

void KvCache::check_page(int64_t page) const {
  if (page < 0 || page >= pages_)
    throw Error("bad_page", "page " + std::to_string(page) + " does not exist: there are " + std::to_string(pages_));
}

void KvCache::copy(int from, int to) {
  check_page(from);
  check_page(to);
  if (from != to) memcpy(head(to, 0, 0), head(from, 0, 0), pageBytes_);
}

}  // namespace troupe
