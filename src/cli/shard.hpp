// compute --shard i/n.
#pragma once

#include "cli/compute_options.hpp"
#include "fisherdiag/fisher/shard.hpp"

namespace fisherdiag::cli {

/// "2/4". Throws UsageError.
ShardPlace parse_shard(const std::string& text);

/// Writes the shard if there is an output and says what was done; returns the exit code.
int finish_shard(const ComputeOptions& options, const FisherShard& shard, const FisherStatistics& statistics,
                 const Context& context);

}  // namespace fisherdiag::cli
