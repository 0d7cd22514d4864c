#include "fisherdiag/io/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag::io {

std::string system_message(const std::string& path, const std::string& action, int error) {
  return path + ": " + action + ": " + std::generic_category().message(error);
}

InputFile::InputFile(const std::filesystem::path& path) : name_(path.string()) {
  do {
    // Without O_NONBLOCK, opening a pipe nobody writes to would wait for ever.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) throw IoError(system_message(name_, "cannot open", errno));

  struct stat status {};
  std::string problem;
  if (::fstat(descriptor_, &status) != 0) {
    problem = system_message(name_, "cannot read its size", errno);
  } else if (S_ISDIR(status.st_mode)) {
    problem = name_ + ": is a folder, not a file";
  } else if (!S_ISREG(status.st_mode)) {
    problem = name_ + ": is not a regular file; save the stream to a file first";
  }
  if (!problem.empty()) {
    ::close(descriptor_);
    throw IoError(problem);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : name_(std::move(other.name_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  return *this;
}

void InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  constexpr std::size_t kMostPerCall = std::size_t{1} << 30;
  while (!out.empty()) {
    const std::size_t wanted = std::min(out.size(), kMostPerCall);
    const ssize_t got = ::pread(descriptor_, out.data(), wanted, static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      throw IoError(system_message(name_, "cannot read", errno));
    }
    if (got == 0)
      throw IoError(name_ + ": ends at byte " + std::to_string(offset) + ", but had " +
                    std::to_string(size_) + " bytes when it was opened; it changed while being read");
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace fisherdiag::io
