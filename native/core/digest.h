#pragma once

namespace troupe {

/** `sha256:…` of the sources that this library was built from; `native/build/sources.ts` computes it. Empty in test programs. */
const char* source_digest();

}  // namespace troupe
