// What every implementation of the Fisher pass does, and which one a request gets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/fisher/compute.hpp"

namespace fisherdiag {

/// Adds blocks of samples to the un-normalised sum of squared per-sample gradients.
class FisherPass {
 public:
  FisherPass() = default;
  FisherPass(const FisherPass&) = delete;
  FisherPass& operator=(const FisherPass&) = delete;
  virtual ~FisherPass() = default;

  /// Adds inputs.rows <= block_rows samples. Every block but the last must be a multiple of the pass's
  /// chain_rows(). weights: empty, or of each sample's squared gradient (SeedBlock::prepare). traces: no
  /// rows, or [rows, layers] to be filled with the sum of what each sample adds to each layer; not for
  /// batched.
  virtual void add(MatrixView<const float> inputs, MatrixView<const float> targets,
                   std::span<const std::uint64_t> samples, std::span<const float> weights = {},
                   MatrixView<double> traces = {}) = 0;

  /// Forgets what was added.
  virtual void clear() = 0;

  /// The sum, in parameter order. Frees everything else.
  virtual AlignedBuffer<double> take_sum() = 0;
};

/// The pass for options.precision. Throws UnsupportedError and ArgumentError as check_precision.
std::unique_ptr<FisherPass> make_pass(const Network& network, const FisherOptions& options,
                                      std::size_t block_rows, const Context& context);

/// Samples a block of that pass must be a multiple of.
std::size_t pass_chain_rows(const FisherOptions& options);

/// Rows of a block for each thread at which that pass is fastest.
std::size_t pass_rows_per_thread(const Architecture& architecture, const FisherOptions& options,
                                 const Context& context);

/// Bytes that pass allocates with blocks of `block_rows` rows, its sums included.
std::size_t pass_bytes(const Architecture& architecture, const FisherOptions& options, std::size_t block_rows,
                       const Context& context);

}  // namespace fisherdiag
