#include "fisherdiag/io/atomic_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <thread>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/npy.hpp"
#include "fisherdiag/io/safetensors.hpp"
#include "io/files.hpp"

namespace fisherdiag::test {

namespace {

void write_all(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777;
}

/// Which files of a folder were closed after writing and which got their name, in order.
class FolderEvents {
 public:
  explicit FolderEvents(const std::filesystem::path& folder) {
    REQUIRE(descriptor_ >= 0);
    REQUIRE(::inotify_add_watch(descriptor_, folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO) >= 0);
  }
  ~FolderEvents() { ::close(descriptor_); }

  /// "named out", "closed out", ... since the last call.
  std::vector<std::string> next() {
    std::vector<std::string> events;
    alignas(inotify_event) char bytes[4096];
    const ssize_t size = ::read(descriptor_, bytes, sizeof bytes);
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(bytes + at);
      events.push_back(std::string((event->mask & IN_MOVED_TO) != 0 ? "named " : "closed ") + event->name);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
    return events;
  }

 private:
  int descriptor_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
};

/// While it lives, no file of this process can grow beyond `bytes`: writes fail as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit before_{};
};

}  // namespace

TEST_CASE("atomic file: appears on commit, whole, and leaves nothing else", "[atomic]") {
  const TemporaryFolder folder;
  {
    AtomicFile file(folder / "out");
    file.write("first ");
    REQUIRE_FALSE(std::filesystem::exists(folder / "out"));
    file.write("second");
    file.commit();
  }
  REQUIRE(read_file(folder / "out") == "first second");
  REQUIRE(folder.count() == 1);
}

TEST_CASE("atomic file: replaces on commit only", "[atomic]") {
  const TemporaryFolder folder;
  folder.file("out", "old");
  {
    AtomicFile abandoned(folder / "out");
    abandoned.write("new");
  }
  REQUIRE(read_file(folder / "out") == "old");
  REQUIRE(folder.count() == 1);
  write_all(folder / "out", "new");
  REQUIRE(read_file(folder / "out") == "new");
  REQUIRE(folder.count() == 1);
}

TEST_CASE("atomic file: a name without a folder, a long name, permissions kept", "[atomic]") {
  const TemporaryFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_all("bare", "x");
  std::filesystem::current_path(before);
  REQUIRE(read_file(folder / "bare") == "x");

  const std::string longest(255, 'n');
  write_all(folder / longest, "x");
  REQUIRE(read_file(folder / longest) == "x");

  REQUIRE(::chmod((folder / "bare").c_str(), 0640) == 0);
  write_all(folder / "bare", "y");
  REQUIRE(mode_of(folder / "bare") == 0640);
}

TEST_CASE("atomic file: a symbolic link stays one, its target is replaced", "[atomic]") {
  const TemporaryFolder folder;
  folder.file("target", "old");
  std::filesystem::create_symlink("target", folder / "link");
  std::filesystem::create_symlink("later", folder / "dangling");
  write_all(folder / "link", "new");
  write_all(folder / "dangling", "created");
  REQUIRE(std::filesystem::is_symlink(folder / "link"));
  REQUIRE(read_file(folder / "target") == "new");
  REQUIRE(read_file(folder / "later") == "created");
  REQUIRE(folder.count() == 4);
}

TEST_CASE("atomic file: what a killed writer left is removed, what may be in use is not", "[atomic]") {
  const TemporaryFolder folder;
  const auto left = [&folder](const std::string& name, int minutes) {
    folder.file(name, "half");
    std::filesystem::last_write_time(
        folder / name, std::filesystem::file_time_type::clock::now() - std::chrono::minutes(minutes));
  };
  left(".out.123.0.456.tmp", 11);
  left(".out.124.0.456.tmp", 9);     // its writer may not have locked it yet
  left(".out.125.0.456.tmp", 60);    // its writer lives
  left(".out.1.126.0.456.tmp", 60);  // of a file called out.1
  left(".out.127.0.tmp", 60);        // not ours
  left(".out.a.b.c.tmp", 60);
  const int writer = ::open((folder / ".out.125.0.456.tmp").c_str(), O_WRONLY);
  REQUIRE(::flock(writer, LOCK_EX | LOCK_NB) == 0);
  write_all(folder / "out", "new");
  ::close(writer);
  REQUIRE_FALSE(std::filesystem::exists(folder / ".out.123.0.456.tmp"));
  REQUIRE(folder.count() == 6);
  write_all(folder / "out", "newer");
  REQUIRE_FALSE(std::filesystem::exists(folder / ".out.125.0.456.tmp"));
}

TEST_CASE("atomic file: a writer holds its lock until its file has its name", "[atomic]") {
  const TemporaryFolder folder;
  FolderEvents events(folder.path());
  write_all(folder / "out", "first");
  REQUIRE(events.next() == std::vector<std::string>{"named out", "closed out"});
  write_all(folder / "out", "second");
  const std::vector<std::string> second = events.next();
  REQUIRE(second.size() == 3);  // the two files change their names
  REQUIRE(second.back() == "closed out");
}

TEST_CASE("atomic file: a failed write leaves the old file and no temporary one", "[atomic]") {
  const TemporaryFolder folder;
  folder.file("out.safetensors", "old");
  const std::vector<float> values(100'000, 1.0f);
  {
    const FileSizeLimit limit(4096);
    require_error<IoError>("out.safetensors", "File too large", [&] {
      write_safetensors(folder / "out.safetensors", std::vector<TensorView>{{"a", {values.size()}, values}},
                        {});
    });
    require_error<IoError>("new.npy", "File too large", [&] {
      write_npy(folder / "new.npy", values, std::vector<std::size_t>{values.size()});
    });
  }
  REQUIRE(read_file(folder / "out.safetensors") == "old");
  REQUIRE(folder.count() == 1);
}

TEST_CASE("atomic file: a full device", "[atomic]") {
  AtomicFile file("/dev/full");
  require_error<IoError>("/dev/full", "No space left", [&] { file.write("text"); });
  REQUIRE(std::filesystem::is_character_file("/dev/full"));
}

TEST_CASE("atomic file: a pipe is written directly", "[atomic]") {
  const TemporaryFolder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  const int reader = ::open((folder / "pipe").c_str(), O_RDONLY | O_NONBLOCK);
  REQUIRE(reader >= 0);
  write_all(folder / "pipe", "through");
  std::string text(16, '\0');
  const ssize_t got = ::read(reader, text.data(), text.size());
  ::close(reader);
  REQUIRE(got == 7);
  REQUIRE(text.substr(0, 7) == "through");
  REQUIRE(std::filesystem::is_fifo(folder / "pipe"));
}

TEST_CASE("atomic file: outputs that cannot be", "[atomic]") {
  const TemporaryFolder folder;
  folder.file("file", "x");
  for (const bool early : {true, false}) {
    const auto attempt = [early](const std::filesystem::path& path) {
      return [early, path] {
        if (early) require_writable(path);
        if (!early) AtomicFile file(path);
      };
    };
    require_error<IoError>("out", "does not exist", attempt(folder / "missing/out"));
    require_error<IoError>("out", "Not a directory", attempt(folder / "file/out"));
    require_error<IoError>(folder.path(), "is a folder", attempt(folder.path()));
    require_error<IoError>("", "name is empty", attempt(""));
  }
  require_writable(folder / "out");
  require_writable(folder / "file");
  require_writable("/dev/full");
  REQUIRE(folder.count() == 1);
}

TEST_CASE("atomic file: writers of one path race, and one of them wins whole", "[atomic]") {
  const TemporaryFolder folder;
  constexpr int kWriters = 4, kRounds = 4;
  constexpr std::size_t kBytes = 20'000;
  std::vector<std::string> errors(kWriters);
  std::vector<std::jthread> writers;
  for (int w = 0; w < kWriters; ++w)
    writers.emplace_back([&folder, &error = errors[w], w] {
      try {
        for (int round = 0; round < kRounds; ++round)
          write_all(folder / "out", std::string(kBytes, static_cast<char>('a' + w)));
      } catch (const std::exception& failure) {
        error = failure.what();
      }
    });
  writers.clear();
  REQUIRE(errors == std::vector<std::string>(kWriters));
  const std::string text = read_file(folder / "out");
  REQUIRE(text.size() == kBytes);
  REQUIRE(text.find_first_not_of(text[0]) == std::string::npos);
  REQUIRE(folder.count() == 1);
}

}  // namespace fisherdiag::test
