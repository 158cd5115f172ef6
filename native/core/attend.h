#pragma once
#include <cstddef>
#include <cstdint>

namespace troupe {

/** Tokens of a page of keys and values; `runtime/kv_cache.h` draws a page. */
constexpr int PAGE = 16;

/** How keys and values are stored; int8 has a scale per head and token. */
enum class KvFormat : uint8_t { f32, bf16, int8 };

/** Bytes of the keys, or of the values, of one head in one page; scales stand behind int8 numbers, on a cache line. */
constexpr size_t kv_numbers_bytes(KvFormat format, int headDim) {
  const size_t size = format == KvFormat::f32 ? 4 : format == KvFormat::bf16 ? 2 : 1;
  return (size_t(headDim) * PAGE * size + 63) & ~size_t{63};
}
constexpr size_t kv_part_bytes(KvFormat format, int headDim) {
  return kv_numbers_bytes(format, headDim) + (format == KvFormat::int8 ? PAGE * sizeof(float) : 0);
}

/** Queries of one sequence that read the same head of keys: some tokens', of all query heads that share it. */
struct AttendRows {
  /** By row `[headDim]`, multiplied by the scale of attention. */
  const float* const* q;
  /** By row `[headDim]`. */
  float* const* out;
  /** By row: it sees the keys before this index. */
  const int32_t* end;
  int rows, headDim;
  /** It sees so many of them, the last ones; 0: all. */
  int window;
  /** c · tanh(score / c) before the softmax; 0: none. */
  float softcap;
  /** The sequence's pages from its first token on, and where this head's keys are in page 0. */
  const int32_t* pages;
  const uint8_t* keys;
  /** From page to page, and from keys to values. */
  size_t pageBytes, valuesOffset;
  /** `attend_room` floats, on a cache line. */
  float* memory;
};

/** Floats that `attend` needs for so many rows: sums, their largest score and their total. */
constexpr size_t attend_room(int rows, int headDim) {
  return size_t(rows) * ((size_t(headDim) + 15) / 16 * 16) + 2 * ((size_t(rows) + 15) / 16 * 16);
}

}  // namespace troupe
