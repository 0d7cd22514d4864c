// Sums of a pass in sections of samples, so that parts of the data can be summed apart with the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fisherdiag/base/aligned.hpp"

namespace fisherdiag {

/// Sections a data set is cut into at most; more shards than that have nothing to do.
inline constexpr std::size_t kMostSections = 16;

/// Flop a sample costs for each parameter of a chain of linear layers.
inline constexpr double kChainFlopsPerParameter = 6;

/// Samples of a section when `samples` samples are summed in chains of `chain` for a model of `parameters`
/// that take `flops` each a sample: a multiple of the chain that depends on nothing else. Where there are few
/// samples, sections are short, but not for a large F, where closing one costs a sweep over memory, unless
/// its chains are long work.
std::size_t section_rows(std::size_t parameters, std::size_t chain, std::size_t samples,
                         double flops = kChainFlopsPerParameter);

/// F's un-normalised sum in double. Samples are added to a running section; when its last sample is in, it is
/// folded into the total of the sections before it: ((s_0 + s_1) + s_2) + ... Whoever has the sums s_k of all
/// sections, from wherever, gets the same bits by adding them in that order.
///
/// fold() is called by the task that owns these elements; everything else between blocks.
class SectionedSum {
 public:
  SectionedSum() = default;
  /// `section_rows` 0: one section, however long.
  SectionedSum(std::size_t parameters, std::size_t section_rows);
  static std::size_t bytes(std::size_t parameters, std::size_t section_rows);

  /// The running section's sum [parameters].
  double* data() { return running_.data(); }
  const double* data() const { return running_.data(); }
  /// True if a section ends with row `rows` of the block that is being added.
  bool ends_at(std::size_t rows) const { return section_rows_ && (position_ + rows) % section_rows_ == 0; }
  /// total += running, running = 0 for elements [first, first + count).
  void fold(std::size_t first, std::size_t count);
  /// A block of `rows` rows has been added.
  void advance(std::size_t rows) { position_ += rows; }

  /// Forgets what was added.
  void clear();
  /// The running section's sum; another one starts at zero.
  AlignedBuffer<double> take_running();
  /// The sum over everything. The object is empty afterwards.
  AlignedBuffer<double> take();

  /// All there is to it, to be saved and put back: rows added so far, the two sums (total: empty with one
  /// section).
  std::uint64_t position() const { return position_; }
  const AlignedBuffer<double>& running() const { return running_; }
  const AlignedBuffer<double>& total() const { return total_; }
  void restore(std::uint64_t position, AlignedBuffer<double> running, AlignedBuffer<double> total);

 private:
  std::size_t section_rows_ = 0;
  std::uint64_t position_ = 0;
  AlignedBuffer<double> running_, total_;
};

}  // namespace fisherdiag
