#include <chrono>

#include "../kernels/machine.h"
#include "check.h"

namespace troupe {
#if defined(__x86_64__)
extern const Kernels avx2_vnni_as_avx512_kernels;
#endif

std::vector<const Kernels*> test::tested_sets() {
  size_t count;
  const Kernels* const* sets = available_kernels(&count);
  std::vector<const Kernels*> tested(sets, sets + count);
#if defined(__x86_64__)
  if (this_machine().avx512) tested.insert(tested.begin(), &avx2_vnni_as_avx512_kernels);
#endif
  return tested;
}
}  // namespace troupe

int main() {
  using namespace troupe::test;
  const struct {
    const char* name;
    void (*run)();
  } suites[] = {{"functions", test_functions}, {"rows", test_rows}, {"pack", test_pack}, {"linear", test_linear}, {"residual", test_residual}};
  std::printf("kernels:");
  for (const troupe::Kernels* set : tested_sets()) std::printf(" [%s]", set->name);
  std::printf("\n");
  for (const auto& suite : suites) {
    const int before = checks, failed = failures;
    const auto start = std::chrono::steady_clock::now();
    suite.run();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%-10s %7d checks, %d failed, %.1f s\n", suite.name, checks - before, failures - failed, seconds);
  }
  return failures > 0 ? 1 : 0;
}
