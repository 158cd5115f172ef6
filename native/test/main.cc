#include <chrono>

#include "check.h"

int main() {
  using namespace troupe::test;
  const struct {
    const char* name;
    void (*run)();
  } suites[] = {{"functions", test_functions}, {"rows", test_rows}, {"pack", test_pack}, {"linear", test_linear}, {"residual", test_residual}};
  size_t count;
  const troupe::Kernels* const* sets = troupe::available_kernels(&count);
  std::printf("kernels:");
  for (size_t i = 0; i < count; i++) std::printf(" %s", sets[i]->name);
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
