#include "memory.h"

#include <utility>

#include "error.h"

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#endif

namespace troupe {

namespace {

[[noreturn]] void unreadable(const std::string& path, const std::string& why) {
  throw Error("weights_unreadable", "cannot map the prepared weights " + path + ": " + why);
}

[[noreturn]] void no_memory(size_t size, const char* purpose) {
  throw Error("out_of_memory", "cannot get " + std::to_string(size) + " bytes of memory for " + purpose);
}

}  // namespace

#ifdef _WIN32

MappedFile::MappedFile(const std::string& path) {
  const int length = MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, nullptr, 0);
  std::wstring wide(size_t(length), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, wide.data(), length);
  const HANDLE file =
      CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING, 0, nullptr);
  if (file == INVALID_HANDLE_VALUE) unreadable(path, "error " + std::to_string(GetLastError()));
  LARGE_INTEGER size;
  GetFileSizeEx(file, &size);
  size_ = size_t(size.QuadPart);
  const HANDLE mapping = size_ == 0 ? nullptr : CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
  if (mapping != nullptr) data_ = static_cast<const uint8_t*>(MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0));
  const DWORD error = GetLastError();
  if (mapping != nullptr) CloseHandle(mapping);
  CloseHandle(file);
  if (data_ == nullptr && size_ > 0) unreadable(path, "error " + std::to_string(error));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) UnmapViewOfFile(data_);
}

LargeMemory::LargeMemory(size_t size, const char* purpose) : size_(size) {
  if (size == 0) return;
  data_ = static_cast<uint8_t*>(VirtualAlloc(nullptr, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
  if (data_ == nullptr) no_memory(size, purpose);
}

LargeMemory::~LargeMemory() {
  if (data_ != nullptr) VirtualFree(data_, 0, MEM_RELEASE);
}

#else

MappedFile::MappedFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) unreadable(path, strerror(errno));
  struct stat status;
  const bool known = fstat(file, &status) == 0;
  size_ = known ? size_t(status.st_size) : 0;
  void* data = size_ == 0 ? nullptr : mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0);
  const int error = errno;
  close(file);
  if (!known || data == MAP_FAILED) unreadable(path, strerror(error));
  data_ = static_cast<const uint8_t*>(data);
  if (data_ == nullptr) return;
  // Everything is read in every step: the system may as well begin now, and use large pages where its file systems can.
  madvise(data, size_, MADV_WILLNEED);
#ifdef MADV_HUGEPAGE
  madvise(data, size_, MADV_HUGEPAGE);
#endif
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

LargeMemory::LargeMemory(size_t size, const char* purpose) : size_(size) {
  if (size == 0) return;
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) no_memory(size, purpose);
  data_ = static_cast<uint8_t*>(data);
#ifdef MADV_HUGEPAGE
  madvise(data, size, MADV_HUGEPAGE);
#endif
}

LargeMemory::~LargeMemory() {
  if (data_ != nullptr) munmap(data_, size_);
}

#endif

LargeMemory::LargeMemory(LargeMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

LargeMemory& LargeMemory::operator=(LargeMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace troupe
