// How a fuzz target is written: once, for libFuzzer and for the replay of kept inputs with any compiler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/io/byte_stream.hpp"

namespace fisherdiag::fuzz {

using Target = void (*)(std::string_view input);

/// Targets by name, for the replay.
struct Registered {
  const char* name;
  Target run;
};
std::vector<Registered>& registered();

/// Runs a target: what it throws must be one of the library's errors, with a sentence in it.
inline void run_guarded(Target target, std::string_view input) {
  try {
    target(input);
  } catch (const Error& error) {
    if (std::string_view(error.what()).empty()) std::abort();
  }
}

/// A path whose file holds `bytes`, until the next call.
const std::string& path_of(std::string_view bytes);

/// Reads the first rows of `source` (anything with read_rows), some bytes at most, and then the first again.
template <class Read>
void read_some(std::size_t rows, std::size_t width, const Read& read) {
  constexpr std::size_t kMostElements = 1 << 16;
  if (rows == 0 || width == 0 || width > kMostElements) return;
  const std::size_t count = rows < kMostElements / width ? rows : kMostElements / width;
  std::vector<float> values(count * width);
  read(0, MatrixView<float>(values.data(), count, width));
  read(0, MatrixView<float>(values.data(), 1, width));
}

}  // namespace fisherdiag::fuzz

#ifdef FISHERDIAG_FUZZ_REPLAY
#define FISHERDIAG_FUZZ_TARGET(name)                                \
  static void fuzz_##name(std::string_view input);                  \
  [[maybe_unused]] static const bool kRegistered_##name = [] {      \
    fisherdiag::fuzz::registered().push_back({#name, fuzz_##name}); \
    return true;                                                    \
  }();                                                              \
  static void fuzz_##name(std::string_view input)
#else
#define FISHERDIAG_FUZZ_TARGET(name)                                                         \
  static void fuzz_##name(std::string_view input);                                           \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {        \
    fisherdiag::fuzz::run_guarded(fuzz_##name, {reinterpret_cast<const char*>(data), size}); \
    return 0;                                                                                \
  }                                                                                          \
  static void fuzz_##name(std::string_view input)
#endif
