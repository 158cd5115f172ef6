#include "scratch.h"

#include <new>

namespace troupe {

Scratch::~Scratch() { ::operator delete(memory_, std::align_val_t{64}); }

void Scratch::begin(size_t bytes) {
  used_ = 0;
  if (bytes <= size_) return;
  // Some more than asked for, so that a prompt that grows token by token does not allocate at each.
  const size_t size = (bytes + bytes / 4 + 4095) & ~size_t{4095};
  ::operator delete(memory_, std::align_val_t{64});
  memory_ = nullptr;
  size_ = 0;
  memory_ = static_cast<char*>(::operator new(size, std::align_val_t{64}));
  size_ = size;
}

char* Scratch::take_bytes(size_t bytes) {
  if (used_ + bytes > size_) throw std::bad_alloc();
  char* taken = memory_ + used_;
  used_ += bytes;
  return taken;
}

}  // namespace troupe
