#pragma once
#include <cstddef>

namespace troupe {

/**
 * Threads that the operators of a session share. `run` calls `item(arg, i)` for every `i < count`, on any of the threads, and returns when
 * all are done. Items must not wait for each other, as one thread may run all of them, and must not throw.
 */
struct Pool {
  void* context;
  void (*run)(void* context, void (*item)(void* arg, size_t index), size_t count, void* arg);
  /** How many threads there are, the caller's included; more items than that only balance. */
  int threads;
};

/** Runs everything on the calling thread. */
inline Pool serial_pool() {
  return {nullptr,
          [](void*, void (*item)(void*, size_t), size_t count, void* arg) {
            for (size_t i = 0; i < count; i++) item(arg, i);
          },
          1};
}

/** Runs `body(i)` for every `i < count` on the pool; a single item runs on the calling thread without waking the others. */
template <typename Body>
void parallel(const Pool& pool, size_t count, const Body& body) {
  if (count == 0) return;
  if (count == 1) return body(size_t{0});
  pool.run(
      pool.context, [](void* arg, size_t index) { (*static_cast<const Body*>(arg))(index); }, count, const_cast<Body*>(&body));
}

}  // namespace troupe
