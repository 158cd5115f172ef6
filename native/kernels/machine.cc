#include "machine.h"

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__aarch64__) && defined(_WIN32)
extern "C" __declspec(dllimport) int __stdcall IsProcessorFeaturePresent(unsigned long feature);
#endif

namespace troupe {

#if defined(__x86_64__)

namespace {

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;

  Registers(unsigned leaf, unsigned subleaf) {
    if (!__get_cpuid_count(leaf, subleaf, &a, &b, &c, &d)) a = b = c = d = 0;
  }
};

bool bit(unsigned word, int index) { return word >> index & 1; }

/** Which registers the operating system saves. */
uint64_t saved_registers() {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low | uint64_t(high) << 32;
}

}  // namespace

Machine this_machine() {
  Machine machine;
  const Registers one(1, 0), seven(7, 0), sevenMore(7, 1);
  const bool osxsave = bit(one.c, 27);
  if (!osxsave) return machine;
  const uint64_t saved = saved_registers();
  const bool f16c = bit(one.c, 29), fma = bit(one.c, 12);
  machine.avx2 = (saved & 0x6) == 0x6 && bit(seven.b, 5) && f16c && fma;
  machine.avxVnni = machine.avx2 && bit(sevenMore.a, 4);
  const bool f = bit(seven.b, 16), dq = bit(seven.b, 17), bw = bit(seven.b, 30), vl = bit(seven.b, 31), vnni = bit(seven.c, 11);
  machine.avx512 = machine.avx2 && (saved & 0xe6) == 0xe6 && f && dq && bw && vl && vnni;
  return machine;
}

#elif defined(__aarch64__)

Machine this_machine() {
  Machine machine;
#if defined(__linux__)
  machine.dotprod = getauxval(AT_HWCAP) >> 20 & 1;  // HWCAP_ASIMDDP
  machine.i8mm = getauxval(AT_HWCAP2) >> 13 & 1;    // HWCAP2_I8MM
#elif defined(__APPLE__)
  const auto has = [](const char* name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
  };
  machine.dotprod = has("hw.optional.arm.FEAT_DotProd");
  machine.i8mm = has("hw.optional.arm.FEAT_I8MM");
#elif defined(_WIN32)
  machine.dotprod = IsProcessorFeaturePresent(43);  // PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE
  machine.i8mm = IsProcessorFeaturePresent(66);     // PF_ARM_V82_I8MM_INSTRUCTIONS_AVAILABLE
#endif
  return machine;
}

#else

Machine this_machine() { return {}; }

#endif

}  // namespace troupe
