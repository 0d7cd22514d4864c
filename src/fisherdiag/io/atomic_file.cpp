#include "fisherdiag/io/atomic_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/file.hpp"

namespace fisherdiag {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, const char* action) {
  throw IoError(io::system_message(path.string(), action, errno));
}

/// Where an output goes and how.
struct Destination {
  fs::path file;        ///< symbolic links resolved: the link stays, its target is replaced
  bool direct = false;  ///< written in place: a device, a pipe or an open descriptor
  bool exists = false;
  mode_t mode = 0;  ///< permissions of the existing file
};

/// True for names that mean a descriptor this process has open, even if that is a regular file.
bool names_descriptor(const fs::path& path) {
  const fs::path folder = path.parent_path();
  return path == "/dev/stdout" || path == "/dev/stderr" || folder == "/dev/fd" || folder == "/proc/self/fd";
}

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

/// What `path` points to in the end, whether that exists or not.
fs::path follow_links(const fs::path& path) {
  constexpr int kMostLinks = 40;  // as many as Linux follows
  fs::path target = path;
  std::error_code error;
  for (int i = 0; i < kMostLinks && fs::is_symlink(fs::symlink_status(target, error)); ++i)
    target = folder_of(target) / fs::read_symlink(target, error);
  return target;
}

Destination resolve(const fs::path& path) {
  if (path.empty()) throw IoError("the output's name is empty");
  Destination destination{path};
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode))
      throw IoError(path.string() + ": is a folder, so no file can be written there");
    if (::access(path.c_str(), W_OK) != 0) fail(path, "cannot be written");
    destination.direct = !S_ISREG(status.st_mode) || names_descriptor(path);
    destination.mode = status.st_mode & 0777;
    destination.exists = true;
  } else if (errno != ENOENT) {
    fail(path, "cannot be written");
  }
  if (destination.direct) return destination;
  destination.file = follow_links(path);
  std::error_code error;
  const fs::path folder = folder_of(destination.file);
  if (!fs::is_directory(folder, error))
    throw IoError(path.string() + ": its folder " + folder.string() + " does not exist");
  if (::access(folder.c_str(), W_OK | X_OK) != 0) fail(path, "no file can be created in its folder");
  return destination;
}

/// With the numbers after it, a temporary name stays under the usual limit of 255 bytes.
constexpr std::size_t kMostKeptBytes = 180;
constexpr std::string_view kTemporaryEnd = ".tmp";
constexpr std::size_t kTemporaryNumbers = 3;

/// ".NAME." for a file called NAME: how its temporary names begin.
std::string temporary_start(const fs::path& file) {
  return std::string(".").append(file.filename().string(), 0, kMostKeptBytes).append(".");
}

/// A name beside `file` that no other process or thread takes: the process, a count and the time go into it.
fs::path temporary_name(const fs::path& file) {
  static std::atomic<unsigned> count{0};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  std::string name = temporary_start(file) + std::to_string(::getpid());
  for (const auto part : {static_cast<long long>(count.fetch_add(1)), static_cast<long long>(now)})
    name.append(".").append(std::to_string(part));
  return folder_of(file) / name.append(kTemporaryEnd);
}

bool is_temporary_of(const std::string& name, const std::string& start) {
  if (!name.starts_with(start) || !name.ends_with(kTemporaryEnd)) return false;
  if (name.size() < start.size() + kTemporaryEnd.size()) return false;
  const std::string numbers = name.substr(start.size(), name.size() - start.size() - kTemporaryEnd.size());
  return numbers.find_first_not_of("0123456789.") == std::string::npos &&
         std::ranges::count(numbers, '.') == kTemporaryNumbers - 1;
}

int open_retrying(const fs::path& path, int flags, mode_t mode = 0) {
  int descriptor;
  do {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

/// Removes `path` if its writer is gone: a living one holds a lock, and one that has not come to locking yet
/// has a young file.
void remove_if_abandoned(const fs::path& path) {
  constexpr std::chrono::minutes kYoung{10};
  std::error_code error;
  const auto written = fs::last_write_time(path, error);
  if (error || fs::file_time_type::clock::now() - written < kYoung) return;
  const int descriptor = open_retrying(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return;
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
  ::close(descriptor);
}

/// What killed writers of `file` left beside it. Failing to clean up is no error.
void remove_abandoned(const fs::path& file) {
  // Not std::filesystem's iterator: libstdc++'s ends the process where an allocation in it fails.
  struct Close {
    void operator()(DIR* folder) const { ::closedir(folder); }
  };
  const std::string start = temporary_start(file);
  const fs::path folder = folder_of(file);
  const std::unique_ptr<DIR, Close> listing(::opendir(folder.c_str()));
  if (!listing) return;
  while (const dirent* entry = ::readdir(listing.get()))
    if (is_temporary_of(entry->d_name, start)) remove_if_abandoned(folder / entry->d_name);
}

/// Syncs what `descriptor` is open on. Never retried: after a failure the kernel may have dropped the data
/// and a second call would report success.
bool synced(int descriptor) {
  return ::fsync(descriptor) == 0;
}

/// Holds a shared lock on a file, if it is there, can be read and nobody else has it locked.
class SharedLock {
 public:
  explicit SharedLock(const fs::path& path)
      : descriptor_(open_retrying(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)) {
    if (descriptor_ >= 0) [[maybe_unused]]
      const int unlocked = ::flock(descriptor_, LOCK_SH | LOCK_NB);
  }
  ~SharedLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  SharedLock(const SharedLock&) = delete;
  SharedLock& operator=(const SharedLock&) = delete;

 private:
  int descriptor_;
};

/// Swaps two existing files; false with errno set where that cannot be done.
bool exchange(const fs::path& a, const fs::path& b) {
#ifdef RENAME_EXCHANGE
  return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0;
#else
  errno = ENOSYS;
  return false;
#endif
}

enum class Placed { New, Exchanged, Replaced };

/// Puts `temporary` in the place of `file`. Where the system can, the two are exchanged, so that the old file
/// still exists until the folder is synced.
Placed place(const fs::path& temporary, const fs::path& file) {
  if (exchange(temporary, file)) return Placed::Exchanged;
  const bool is_new = errno == ENOENT;
  const bool unsupported = errno == EINVAL || errno == ENOSYS || errno == ENOTSUP;
  if ((!is_new && !unsupported) || ::rename(temporary.c_str(), file.c_str()) != 0)
    fail(file, "cannot be replaced");
  return is_new ? Placed::New : Placed::Replaced;
}

void undo(Placed placed, const fs::path& temporary, const fs::path& file) {
  if (placed == Placed::New) ::unlink(file.c_str());
  if (placed == Placed::Exchanged) exchange(temporary, file);
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) {
  const Destination destination = resolve(path);
  path_ = destination.file;
  if (destination.direct) {
    descriptor_ = open_retrying(path_, O_WRONLY | O_APPEND | O_NOCTTY);
    if (descriptor_ < 0) fail(path_, "cannot be opened for writing");
    return;
  }
  remove_abandoned(path_);
  do {
    temporary_ = temporary_name(path_);
    descriptor_ = open_retrying(temporary_, O_WRONLY | O_CREAT | O_EXCL, destination.exists ? 0600 : 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    temporary_.clear();
    fail(path_, "cannot create a file beside it");
  }
  // Says that this writer lives; where the file system has no locks, only the file's age does.
  [[maybe_unused]] const int unlocked = ::flock(descriptor_, LOCK_EX | LOCK_NB);
  // A file that is replaced keeps its permissions; where that is refused, the new file stays private.
  if (destination.exists) [[maybe_unused]]
    const int refused = ::fchmod(descriptor_, destination.mode);
}

AtomicFile::~AtomicFile() {
  close_and_remove();
}

void AtomicFile::close_and_remove() noexcept {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  constexpr std::size_t kMostPerCall = std::size_t{1} << 30;
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), std::min(bytes.size(), kMostPerCall));
    if (written < 0) {
      if (errno == EINTR) continue;
      fail(path_, "cannot be written");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::commit() {
  const bool direct = temporary_.empty();
  if (!direct && !synced(descriptor_)) fail(path_, "cannot be written to disk");
  const int descriptor = descriptor_;
  // A copy keeps the lock until the file has its name: without it, another writer could take one whose last
  // write is long ago for abandoned.
  descriptor_ = direct ? -1 : ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  // Linux frees the descriptor even when close is interrupted.
  if (::close(descriptor) != 0 && errno != EINTR) fail(path_, "cannot be written");
  if (direct) return;

  const int folder = open_retrying(folder_of(path_), O_RDONLY | O_DIRECTORY);
  if (folder < 0) fail(path_, "cannot open its folder");
  // The old file, as old as it may be, has the temporary name until the folder is synced: other writers must
  // not take it for abandoned, for it is put back where that fails.
  const SharedLock old_file(path_);
  Placed placed;
  try {
    placed = place(temporary_, path_);
  } catch (...) {
    ::close(folder);
    throw;
  }
  // Some file systems cannot sync a folder and say EINVAL; there is nothing to wait for then.
  const int error = synced(folder) || errno == EINVAL ? 0 : errno;
  ::close(folder);
  if (error != 0) undo(placed, temporary_, path_);
  if (placed != Placed::Exchanged) temporary_.clear();
  close_and_remove();
  if (error != 0)
    throw IoError(io::system_message(path_.string(), "its folder cannot be written to disk", error));
}

void require_writable(const fs::path& path) {
  resolve(path);
}

}  // namespace fisherdiag
