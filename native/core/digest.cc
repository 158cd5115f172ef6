#include "digest.h"

#ifndef TROUPE_SOURCES
#define TROUPE_SOURCES ""
#endif

namespace troupe {

const char* source_digest() {
  // With its name in front, so that a file can be asked without being loaded.
  static const char digest[] = "troupe-sources=" TROUPE_SOURCES;
  return digest + sizeof "troupe-sources=" - 1;
}

}  // namespace troupe
