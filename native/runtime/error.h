#pragma once
#include <stdexcept>
#include <string>

namespace troupe {

/** What JavaScript gets as a `DeviceError`: a code for machines and a message for people. */
struct Error : std::runtime_error {
  Error(const char* code, const std::string& message) : std::runtime_error(message), code(code) {}
  const char* code;
};

}  // namespace troupe
