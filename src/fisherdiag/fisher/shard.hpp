// A part of a computation that another process or machine does, and putting the parts together.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/fisher/compute.hpp"

namespace fisherdiag {

/// Part `index` of `count`, from 1.
struct ShardPlace {
  std::size_t index = 1, count = 1;

  /// "2/4"
  std::string text() const { return std::to_string(index) + "/" + std::to_string(count); }
};

/// The sums of consecutive whole sections (sections.hpp) of the data, not added up: their order of addition
/// is part of the result.
struct FisherShard {
  ShardPlace place;
  std::size_t samples = 0;                      ///< of this shard
  std::map<std::string, std::string> identity;  ///< computation_identity, without the shard's place
  FisherMetadata metadata;                      ///< of the diagonal all shards together make
  std::vector<AlignedBuffer<double>> sections;

  /// Atomic. Throws IoError.
  void save(const std::filesystem::path& path) const;
  /// SHA-256 of the sums, 64 digits.
  std::string sha256() const;
};

/// Shard `place` of compute_fisher(network, data, options, context): sections are dealt out in order, as
/// evenly as they go; a shard may be left without any. Errors: as compute_fisher, and ArgumentError for an
/// index outside [1, count] or a subset.
FisherShard compute_fisher_shard(const Network& network, Dataset& data, const FisherOptions& options,
                                 const ShardPlace& place, const Context& context,
                                 FisherStatistics* statistics = nullptr);

/// True if `path` is a safetensors file that says it is a shard. Throws what reading throws.
bool is_shard_file(const std::filesystem::path& path);

/// The diagonal with the bits and metadata of one run, from the files of all shards in any order, one in
/// memory at a time. Throws DataError naming a file that is missing, comes twice, is damaged or belongs to
/// another computation. `poll` is called between files and may throw.
FisherDiagonal merge_shards(const std::vector<std::filesystem::path>& files,
                            const std::function<void()>& poll = {});

}  // namespace fisherdiag
