#pragma once

namespace troupe {

/** What the processor and the operating system allow, as far as kernels ask. */
struct Machine {
  bool avx2 = false, avxVnni = false, avx512 = false;
  bool dotprod = false, i8mm = false;
};

Machine this_machine();

}  // namespace troupe
