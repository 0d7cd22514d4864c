// Counter-based random numbers: the same draw for the same key and counter, whatever thread asks.
#pragma once

#include <array>
#include <cstdint>

namespace fisherdiag {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): four 32-bit words
/// that depend only on the 128-bit counter and the 64-bit key.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

/// A stream of random numbers for one (seed, stream, index) triple, e.g. (seed, purpose, sample).
/// Two streams with different triples are independent; nothing is shared between threads.
class RandomStream {
 public:
  /// `seed` is the key; `index` (64 bits) and `stream` (32 bits) fill the counter; the last word counts
  /// draws.
  RandomStream(std::uint64_t seed, std::uint32_t stream, std::uint64_t index);

  std::uint32_t next_u32();
  /// Uniform in [0, 1) with 53 bits.
  double next_uniform();
  /// Standard normal (Box-Muller; two uniforms per draw).
  double next_normal();
  /// Uniform integer in [0, bound), bound > 0, without modulo bias.
  std::uint64_t next_below(std::uint64_t bound);

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> block_{};
  unsigned used_ = 4;
};

/// Streams by purpose, so that no two uses of one seed overlap.
namespace random_stream {
inline constexpr std::uint32_t kMonteCarlo = 1;      // labels drawn from the model; index = sample
inline constexpr std::uint32_t kSketch = 2;          // signs of the sketch; index = sample
inline constexpr std::uint32_t kSubset = 3;          // random subset of samples; index = round
inline constexpr std::uint32_t kInit = 4;            // parameter initialisation; index = tensor
inline constexpr std::uint32_t kShuffle = 5;         // order of training samples; index = epoch
inline constexpr std::uint32_t kSynthetic = 6;       // synthetic data; index = sample
inline constexpr std::uint32_t kSyntheticClass = 7;  // class prototypes of synthetic data; index = class
inline constexpr std::uint32_t kImportance = 8;      // samples drawn by importance; index = round
inline constexpr std::uint32_t kClassOrder = 9;      // classes shared out among tasks; index = 0
inline constexpr std::uint32_t kPixelOrder = 10;     // permutation of a task's features; index = task
inline constexpr std::uint32_t kHoldOut = 11;        // samples kept from training; index = task
inline constexpr std::uint32_t kTaskSeed = 12;       // seeds of a task's training and Fisher; index = task
inline constexpr std::uint32_t kDither = 13;         // rounding of bfloat16 inputs; index = sample
inline constexpr std::uint32_t kTest = 1000;
}  // namespace random_stream

}  // namespace fisherdiag
