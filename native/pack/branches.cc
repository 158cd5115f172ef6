#include "branches.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "../core/kernels.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace troupe {

namespace {

constexpr size_t HUGE_PAGE = size_t{2} << 20;

size_t element(Format format) { return format == Format::bf16 ? 2 : 4; }
size_t down_numbers(const BranchSource& source) { return size_t(source.rank) * source.inDim; }
size_t up_numbers(const BranchSource& source) { return size_t(source.rank) * tiles_of(source.outDim) * TILE; }
size_t lines(size_t bytes) { return (bytes + 63) & ~size_t{63}; }

/** `count` numbers as they are in `format`. */
void write(const float* from, size_t count, Format format, char* to) {
  if (format == Format::bf16) kernels().narrow_bf16(from, reinterpret_cast<uint16_t*>(to), count);
  else memcpy(to, from, count * sizeof(float));
}

/** `[rank][outDim]` times the scale, to `[tiles][rank][16]`; the last tile is filled with zeros. */
void write_up(const BranchSource& source, Format format, char* to) {
  for (int first = 0; first < source.outDim; first += TILE) {
    const int width = std::min(TILE, source.outDim - first);
    for (int r = 0; r < source.rank; r++, to += TILE * element(format)) {
      const float* from = source.up + size_t(r) * source.outDim + first;
      float row[TILE] = {};
      for (int o = 0; o < width; o++) row[o] = from[o] * source.scale;
      write(row, TILE, format, to);
    }
  }
}

}  // namespace

BranchMemory::BranchMemory(size_t bytes) : size_(bytes) {
  const size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
  memory_ = static_cast<char*>(::operator new(bytes, std::align_val_t{alignment}));
#ifdef __linux__
  // Adapters are read from start to end at every step; in small pages the address translation costs as much as the reading. A refusal changes nothing.
  if (bytes >= HUGE_PAGE) madvise(memory_, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
}

BranchMemory::~BranchMemory() { ::operator delete(memory_, std::align_val_t{size_ >= HUGE_PAGE ? HUGE_PAGE : 64}); }

void* BranchMemory::take(size_t bytes) {
  bytes = lines(bytes);
  if (used_ + bytes > size_) throw std::bad_alloc();
  void* taken = memory_ + used_;
  used_ += bytes;
  return taken;
}

size_t packed_bytes(const BranchSource* sources, int count, Format format) {
  size_t down = 0, up = 0, rows = 0;
  for (int i = 0; i < count; i++) {
    if (sources[i].rank == 0) continue;
    down += down_numbers(sources[i]);
    up += up_numbers(sources[i]);
    if (sources[i].a) rows += packed_row_bytes(sources[i].rank);
    if (sources[i].c) rows += packed_row_bytes(sources[i].outDim);
  }
  return lines(down * element(format)) + lines(up * element(format)) + rows;
}

void pack_branches(const BranchSource* sources, int count, Format format, BranchMemory& memory, Branch* branches) {
  size_t downs = 0, ups = 0;
  for (int i = 0; i < count; i++) {
    downs += down_numbers(sources[i]);
    ups += up_numbers(sources[i]);
  }
  char* down = static_cast<char*>(memory.take(downs * element(format)));
  char* up = static_cast<char*>(memory.take(ups * element(format)));
  for (int i = 0; i < count; i++) {
    const BranchSource& source = sources[i];
    branches[i] = {};
    if (source.rank == 0) continue;
    write(source.down, down_numbers(source), format, down);
    write_up(source, format, up);
    branches[i] = {source.rank,
                   source.activation,
                   format,
                   down,
                   up,
                   source.a ? pack_row(source.a, source.rank, memory) : nullptr,
                   source.c ? pack_row(source.c, source.outDim, memory, source.scale) : nullptr};
    down += down_numbers(source) * element(format);
    up += up_numbers(source) * element(format);
  }
}

const float* pack_row(const float* values, int count, BranchMemory& memory, float scale) {
  float* row = static_cast<float*>(memory.take(packed_row_bytes(count)));
  for (int i = 0; i < count; i++) row[i] = values[i] * scale;
  return row;
}

}  // namespace troupe
