// What every implementation of the Fisher pass does, and which one a request gets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/fisher/compute.hpp"
#include "fisherdiag/fisher/sections.hpp"

namespace fisherdiag {

/// Adds blocks of samples to the un-normalised sum of squared per-sample gradients.
class FisherPass {
 public:
  /// Sums in sections of `section_rows` samples (sections.hpp); 0: in one.
  FisherPass(std::size_t parameters, std::size_t section_rows) : sums_(parameters, section_rows) {}
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

  /// Asked between pieces of a block from any thread; once it says true add() may throw InterruptedError.
  void set_stop(std::function<bool()> stop) { stop_ = std::move(stop); }

  /// What was added so far, in an order of the pass's own. add() leaves it as it was where it throws
  /// InterruptedError.
  SectionedSum& sums() { return sums_; }

  /// The sum over everything, in parameter order. The pass is empty afterwards.
  virtual AlignedBuffer<double> take_sum() { return sums_.take(); }
  /// Of a pass that was asked for them, the sum of the squares of what each sample adds (square_sums.hpp);
  /// otherwise nothing.
  virtual AlignedBuffer<double> take_squares() { return {}; }

  /// The running section's sum, in parameter order; another one starts at zero.
  virtual AlignedBuffer<double> take_section() { return sums_.take_running(); }

 protected:
  /// For add(), as long as the sums are untouched.
  void throw_if_stopped() const;

  SectionedSum sums_;

 private:
  std::function<bool()> stop_;
};

/// The pass for options.precision. Throws UnsupportedError and ArgumentError as check_precision.
std::unique_ptr<FisherPass> make_pass(const Network& network, const FisherOptions& options,
                                      std::size_t block_rows, std::size_t section_rows,
                                      const Context& context);

/// Samples of a section of that pass over `samples` samples (sections.hpp); 0 for a subset, or where one
/// section holds all.
std::size_t pass_section_rows(const Architecture& architecture, const FisherOptions& options,
                              std::size_t samples, const Context& context);

/// Samples a block of that pass must be a multiple of.
std::size_t pass_chain_rows(const Architecture& architecture, const FisherOptions& options,
                            const Context& context);

/// Rows of a block at which that pass is fastest.
std::size_t pass_block_rows(const Architecture& architecture, const FisherOptions& options,
                            const Context& context);

/// Bytes that pass allocates with blocks of `block_rows` rows, a sum in one section included.
std::size_t pass_bytes(const Architecture& architecture, const FisherOptions& options, std::size_t block_rows,
                       const Context& context);

}  // namespace fisherdiag
