#pragma once
#include <cstdint>

#include "../core/attend.h"
#include "memory.h"

namespace troupe {

/**
 * Keys and values in pages of 16 tokens. A page holds, for every layer and every head of keys,
 *
 *     keys    [headDim][16 tokens]     so that one vector is one dimension of all tokens of the page
 *     scales  f32 [16]                 of the keys, int8 only
 *     values  [16 tokens][headDim]
 *     scales  f32 [16]                 of the values, int8 only
 *
 * each part beginning at a cache line.
 */
class KvCache {
 public:
  KvCache(KvFormat format, int layers, int kvHeads, int headDim, int pages);

  int pages() const { return pages_; }
  KvFormat format() const { return format_; }
  size_t page_bytes() const { return pageBytes_; }
  size_t bytes() const { return memory_.size(); }
  /** Bytes from a head's keys to its values. */
  size_t values_offset() const { return partBytes_; }

  /** Keys of one head in one page, its values behind them. */
  uint8_t* head(int page, int layer, int kvHead) const {
    return memory_.data() + size_t(page) * pageBytes_ + (size_t(layer) * size_t(kvHeads_) + size_t(kvHead)) * 2 * partBytes_;
  }

  /** Stores key and value `[headDim]` of one token, whose place in its page is `slot`. */
  void write(uint8_t* head, int slot, const float* key, const float* value) const;

  /** Throws `bad_page`. */
  void copy(int from, int to);
  void check_page(int64_t page) const;

 private:
  KvFormat format_;
  int kvHeads_, headDim_, pages_;
  size_t partBytes_, pageBytes_;
  LargeMemory memory_;
};

}  // namespace troupe
