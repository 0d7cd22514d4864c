#include "fisherdiag/fisher/shard.hpp"
#include "fuzz/sums.hpp"
#include "fuzz/target.hpp"

using namespace fisherdiag;

/// The only shard of a computation, signed so that what comes after its SHA-256 is reached.
FISHERDIAG_FUZZ_TARGET(shard) {
  const std::string path = fuzz::path_of(fuzz::signed_sums(input));
  if (!is_shard_file(path)) return;
  const FisherDiagonal merged = merge_shards({path}, {});
  if (merged.values().size() * sizeof(double) > input.size()) std::abort();
}
