#include <cstdlib>
#include <stdexcept>
#include <string>

#include "../core/kernels.h"
#include "machine.h"

namespace troupe {

extern const Kernels plain_kernels;
#if defined(__x86_64__)
extern const Kernels avx512_kernels, avx2_vnni_kernels, avx2_kernels;
#elif defined(__aarch64__)
extern const Kernels neon_i8mm_kernels, neon_dotprod_kernels, neon_kernels;
#endif

namespace {

struct Available {
  const Kernels* sets[4];
  size_t count = 0;

  Available() {
    const Machine machine = this_machine();
    const auto add = [&](bool runs, const Kernels& set) {
      if (runs) sets[count++] = &set;
    };
#if defined(__x86_64__)
    add(machine.avx512, avx512_kernels);
    add(machine.avxVnni, avx2_vnni_kernels);
    add(machine.avx2, avx2_kernels);
#elif defined(__aarch64__)
    add(machine.i8mm && machine.dotprod, neon_i8mm_kernels);
    add(machine.dotprod, neon_dotprod_kernels);
    add(true, neon_kernels);
#endif
    add(true, plain_kernels);
  }
};

const Available& available() {
  static const Available found;
  return found;
}

const Kernels* chosen() {
  const Available& found = available();
  const char* wanted = std::getenv("TROUPE_KERNELS");
  if (!wanted || !*wanted) {
    if (found.count > 1) return found.sets[0];
    throw std::runtime_error("this processor has no AVX2; set TROUPE_KERNELS=plain to run without, many times slower");
  }
  std::string names;
  for (size_t i = 0; i < found.count; i++) {
    if (std::string(wanted) == found.sets[i]->name) return found.sets[i];
    names += std::string(i ? ", " : "") + found.sets[i]->name;
  }
  throw std::runtime_error("TROUPE_KERNELS is '" + std::string(wanted) + "', but this machine runs: " + names);
}

const Kernels*& choice() {
  static const Kernels* set = chosen();
  return set;
}

}  // namespace

const Kernels* const* available_kernels(size_t* count) {
  *count = available().count;
  return available().sets;
}

const Kernels& kernels() { return *choice(); }

void use_kernels(const Kernels& set) { choice() = &set; }

}  // namespace troupe
