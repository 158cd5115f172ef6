#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "../core/kernels.h"
#include "../core/pool.h"

namespace troupe::test {

inline int checks = 0, failures = 0;

/** Counts a check; prints the first failures with what they are about. */
template <typename... Args>
void check(bool holds, const char* format, Args... args) {
  checks++;
  if (holds || ++failures > 20) return;
  std::printf("FAILED: ");
  if constexpr (sizeof...(args) == 0) std::fputs(format, stdout);
  else std::printf(format, args...);
  std::printf("\n");
}

/** The same numbers in every run and on every machine. */
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2654435761u + 88172645463325252u) {}

  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545f4914f6cdd1du;
  }
  int below(int n) { return int((next() >> 33) % uint64_t(n)); }
  /** About normal, variance 1. */
  float normal() {
    double total = 0;
    for (int i = 0; i < 12; i++) total += double(next() >> 11) / 9007199254740992.0;
    return float(total - 6);
  }
  std::vector<float> normals(size_t count, float scale = 1) {
    std::vector<float> values(count);
    for (float& value : values) value = normal() * scale;
    return values;
  }

 private:
  uint64_t state_;
};

/** A pool of threads that are made for each call: slow, but any order of items can happen. */
inline Pool threaded_pool(int* threads) {
  return {threads,
          [](void* context, void (*item)(void*, size_t), size_t count, void* arg) {
            const size_t threads = size_t(*static_cast<int*>(context));
            std::vector<std::thread> running;
            for (size_t t = 0; t < threads; t++)
              running.emplace_back([=] {
                for (size_t i = t; i < count; i += threads) item(arg, i);
              });
            for (std::thread& thread : running) thread.join();
          },
          *threads};
}

inline bool same_bits(const float* a, const float* b, size_t count) { return memcmp(a, b, count * sizeof(float)) == 0; }

/** The sets that this machine can run, and what only tests run; the plain one is the last. */
std::vector<const Kernels*> tested_sets();

/** Takes the plain set. */
inline void use_plain() { use_kernels(*tested_sets().back()); }

/** Runs `body` once per kernel set, with that set chosen. */
template <typename Body>
void each_set(Body body) {
  for (const Kernels* set : tested_sets()) {
    use_kernels(*set);
    body(*set);
  }
}

void test_functions();
void test_rows();
void test_linear();
void test_residual();
void test_pack();

}  // namespace troupe::test
