#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vector>

#include "fisherdiag/io/atomic_file.hpp"
#include "io/files.hpp"

namespace {

std::vector<mode_t> synced;  // of what, in order

}  // namespace

/// In the place of the system's, for the library too: takes note and passes on.
extern "C" int fsync(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) == 0) synced.push_back(status.st_mode & S_IFMT);
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
