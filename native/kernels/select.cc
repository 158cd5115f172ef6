#include <cstdlib>
#include <stdexcept>
#include <string>

#include "../core/kernels.h"

namespace troupe {

extern const Kernels plain_kernels;

namespace {

struct Available {
  const Kernels* sets[8];
  size_t count = 0;

  Available() { sets[count++] = &plain_kernels; }
};

const Available& available() {
  static const Available found;
  return found;
}

const Kernels& chosen() {
  const Available& found = available();
  const char* wanted = std::getenv("TROUPE_KERNELS");
  if (!wanted || !*wanted) return *found.sets[0];
  std::string names;
  for (size_t i = 0; i < found.count; i++) {
    if (std::string(wanted) == found.sets[i]->name) return *found.sets[i];
    names += std::string(i ? ", " : "") + found.sets[i]->name;
  }
  throw std::runtime_error("TROUPE_KERNELS is '" + std::string(wanted) + "', but this machine can run: " + names);
}

}  // namespace

const Kernels* const* available_kernels(size_t* count) {
  *count = available().count;
  return available().sets;
}

namespace {

const Kernels*& choice() {
  static const Kernels* set = &chosen();
  return set;
}

}  // namespace

const Kernels& kernels() { return *choice(); }

void use_kernels(const Kernels& set) { choice() = &set; }

}  // namespace troupe
