// Which samples of a dataset a pass takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace fisherdiag {

enum class SubsetKind {
  All,
  Uniform,     ///< every sample as likely as any other
  Importance,  ///< samples whose gradients are large are likelier, and weigh less (docs/sampling.md)
};

/// "all", "uniform" or "importance".
std::string_view subset_name(SubsetKind kind);
std::optional<SubsetKind> subset_from_name(std::string_view name);

struct Subset {
  SubsetKind kind = SubsetKind::All;
  std::optional<std::size_t> size;  ///< samples; with FisherOptions::until the most that are taken
};

/// Random samples without replacement, in rounds: all rounds so far are together a random subset.
class RandomRounds {
 public:
  /// Of [0, total), drawn from `seed`.
  RandomRounds(std::uint64_t total, std::uint64_t seed);

  /// `count` samples that were not drawn before, every set of them equally likely, ascending; all that are
  /// left if they are fewer. (Selection sampling: Knuth, The Art of Computer Programming 2, section 3.4.2,
  /// algorithm S.)
  std::vector<std::uint64_t> next(std::uint64_t count);

 private:
  std::uint64_t seed_, left_, round_ = 0;
  std::vector<bool> taken_;
};

}  // namespace fisherdiag
