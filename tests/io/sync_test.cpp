#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <mutex>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/atomic_file.hpp"
#include "io/files.hpp"

namespace {

std::mutex noting;           // other tests of this program sync from several threads
std::vector<mode_t> synced;  // of what, in order

/// What happens when a folder is synced, and whether that works.
std::function<bool()> on_folder = [] { return true; };

}  // namespace

/// In the place of the system's, for the library too: takes note and passes on, unless told to fail.
extern "C" int fsync(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) == 0) {
    const std::lock_guard lock(noting);
    synced.push_back(status.st_mode & S_IFMT);
  }
  if (S_ISDIR(status.st_mode) && !on_folder()) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

TEST_CASE("a writer syncs its file, then the folder it is in, before it says that all is written") {
  const fisherdiag::test::TemporaryFolder folder;
  for (const bool replaces : {false, true}) {
    CAPTURE(replaces);
    fisherdiag::AtomicFile file(folder.path() / "F");
    file.write(std::string_view("content"));
    synced.clear();
    file.commit();
    CHECK(synced == std::vector<mode_t>{S_IFREG, S_IFDIR});
  }
}

TEST_CASE("a folder that cannot be synced: an old file is put back, whoever tidies up meanwhile") {
  namespace fs = std::filesystem;
  const fisherdiag::test::TemporaryFolder folder;
  const fs::path path = folder.path() / "F";
  folder.file("F", "old");
  fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(1));
  fisherdiag::AtomicFile file(path);
  file.write(std::string_view("new"));
  on_folder = [&path] {
    const fisherdiag::AtomicFile other(path);  // removes what looks abandoned
    return false;
  };
  fisherdiag::test::require_error<fisherdiag::IoError>(path, "its folder cannot be written to disk",
                                                       [&file] { file.commit(); });
  on_folder = [] { return true; };
  CHECK(fisherdiag::test::read_file(path) == "old");
  CHECK(folder.count() == 1);
}
