#pragma once
#include <cstddef>
#include <cstdint>

namespace troupe {

/**
 * Memory for what an operator needs while it runs. A model owns one: it grows to what the largest step needs and stays, so that no step
 * allocates. `begin` gives everything back; what `take` returned stays valid until then. Contents are arbitrary. Throws `std::bad_alloc`.
 */
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();

  /** Starts an operator that will take `bytes` at most. Sum `room<T>(count)` of everything it takes. */
  void begin(size_t bytes);

  /** `count` elements, on a cache line. */
  template <typename T>
  T* take(size_t count) {
    return reinterpret_cast<T*>(take_bytes(room<T>(count)));
  }

  /** Bytes that taking `count` elements uses up. */
  template <typename T>
  static constexpr size_t room(size_t count) {
    return (count * sizeof(T) + 63) & ~size_t{63};
  }

  size_t bytes() const { return size_; }

 private:
  char* take_bytes(size_t bytes);

  char* memory_ = nullptr;
  size_t size_ = 0, used_ = 0;
};

}  // namespace troupe
