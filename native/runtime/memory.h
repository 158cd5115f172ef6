#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace troupe {

/** A file in the address space, read only and shared with every process that maps it. */
class MappedFile {
 public:
  /** Throws `weights_unreadable`. */
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

/** Zeroed memory in huge pages where the system has them; it takes none until it is written. */
class LargeMemory {
 public:
  LargeMemory() = default;
  /** Throws `out_of_memory`, naming what it was for. */
  LargeMemory(size_t size, const char* purpose);
  ~LargeMemory();
  LargeMemory(LargeMemory&& other) noexcept;
  LargeMemory& operator=(LargeMemory&& other) noexcept;

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace troupe
