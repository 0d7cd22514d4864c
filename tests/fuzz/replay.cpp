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

/// Of inputs up to this size every prefix is run too, and each byte with one bit flipped.
constexpr std::size_t kSmallBytes = 2048;

std::size_t replay(const Registered& target, const std::filesystem::path& folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    run_guarded(target.run, bytes);
    ++count;
    if (bytes.size() > kSmallBytes) continue;
    // Truncation is the commonest damage, a flipped bit the next.
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      run_guarded(target.run, std::string_view(bytes).substr(0, at));
      std::string flipped = bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ 1 << at % 8);
      run_guarded(target.run, flipped);
    }
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
