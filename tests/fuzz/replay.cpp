// Runs every kept input through its target: test_fuzz CORPUS, which has one folder for each target.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz/target.hpp"

namespace fisherdiag::fuzz {

std::vector<Registered>& registered() {
  static std::vector<Registered> targets;
  return targets;
}

namespace {

std::size_t replay(const Registered& target, const std::filesystem::path& folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    run_guarded(target.run, bytes);
    // Every prefix of a small input too: truncation is the commonest damage.
    if (bytes.size() <= 1024)
      for (std::size_t length = 0; length < bytes.size(); ++length)
        run_guarded(target.run, std::string_view(bytes).substr(0, length));
    ++count;
  }
  return count;
}

}  // namespace

}  // namespace fisherdiag::fuzz

int main(int argc, char** argv) {
  namespace fuzz = fisherdiag::fuzz;
  if (argc != 2) return 2;
  int missing = 0;
  for (const fuzz::Registered& target : fuzz::registered()) {
    const std::filesystem::path folder = std::filesystem::path(argv[1]) / target.name;
    const std::size_t count = std::filesystem::is_directory(folder) ? fuzz::replay(target, folder) : 0;
    std::printf("%-14s %zu inputs\n", target.name, count);
    missing += count == 0;
  }
  return missing == 0 ? 0 : 1;
}
