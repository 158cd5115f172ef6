#include "digest.h"

#ifndef TROUPE_SOURCES
#define TROUPE_SOURCES ""
#endif

namespace troupe {

// Exported, or a linker that drops what nobody calls would drop it.
#ifdef _WIN32
extern "C" __declspec(dllexport) const char* troupe_source_digest();
#else
extern "C" __attribute__((visibility("default"))) const char* troupe_source_digest();
#endif

extern "C" const char* troupe_source_digest() { return source_digest(); }

const char* source_digest() {
  // With its name in front, so that a file can be asked without being loaded.
  static const char digest[] = "troupe-sources=" TROUPE_SOURCES;
  return digest + sizeof "troupe-sources=" - 1;
}

}  // namespace troupe
