// Memory of a Fisher pass, and the block of samples that fits a bound.
#pragma once

#include <cstddef>

#include "fisherdiag/fisher/compute.hpp"

namespace fisherdiag {

/// True if a pass over `samples` samples may read the next block while it works on one: there is a next one,
/// and options.max_memory_bytes leaves room for two.
bool reads_ahead(const Architecture& architecture, const FisherOptions& options, std::size_t samples,
                 std::size_t block_rows, const Context& context);

/// Bytes compute_fisher allocates with blocks of `block_rows` rows: the pass with its sums, the block of
/// samples, or two where it reads ahead, the result.
std::size_t fisher_memory(const Architecture& architecture, const FisherOptions& options, std::size_t samples,
                          std::size_t block_rows, const Context& context);

/// Rows of a block for a pass over `samples` samples, a multiple of pass_chain_rows: as many as help, fewer
/// where options.max_memory_bytes asks. Throws ArgumentError naming what the smallest block needs if that is
/// more.
std::size_t choose_block_rows(const Architecture& architecture, const FisherOptions& options,
                              std::size_t samples, const Context& context);

/// What a process on this machine touches beyond its buffers until a pass is over and saved: code, stacks,
/// the heap's own pages.
std::size_t touched_memory(const Context& context);

}  // namespace fisherdiag
