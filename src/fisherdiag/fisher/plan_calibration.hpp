// A short pass of a model's own shape, timed block by block.
#pragma once

#include <cstddef>

#include "fisherdiag/fisher/compute.hpp"

namespace fisherdiag {

struct PassTimes {
  double fixed_seconds = 0;        ///< once per pass: allocation, packing, normalising
  double first_block_seconds = 0;  ///< more than a later block: untouched memory, cold caches
  double row_seconds = 0;          ///< of each sample in later blocks
  double score_row_seconds = 0;    ///< of each sample that an importance subset looks at
  double seconds = 0;              ///< that the calibration took
};

/// Runs compute_fisher with blocks of `block_rows` rows, or of a half, a quarter, ... where those would
/// take too long, until about a second has passed. Rows: the median of the runs; the rest: the first run,
/// which starts threads and touches memory as the real pass does. `rows` supplies samples, repeated as often
/// as needed.
PassTimes calibrate_pass(const Network& network, Dataset& rows, const FisherOptions& options,
                         std::size_t block_rows, const Context& context);

/// The same network with every width but the outputs' divided by one factor, so that it has about
/// `parameters` (whole widths, at least 1).
Architecture narrow(const Architecture& architecture, std::size_t parameters);

/// Triad bandwidth of all threads over arrays of twice the last-level cache, from 48 to 384 MiB in all.
double calibrate_bandwidth(const Context& context);

}  // namespace fisherdiag
