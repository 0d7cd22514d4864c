#include "fisherdiag/fisher/sections.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace fisherdiag {

namespace {

/// An F of more parameters leaves the caches.
constexpr std::size_t kLargeParameters = std::size_t{1} << 17;
/// Flop for each parameter after which closing a section of a large F costs less than a percent of summing
/// it, and chains after which that is so for chains of linear layers.
constexpr double kLongWork = 1 << 14;
constexpr std::size_t kLongChains = 8;

}  // namespace

std::size_t section_rows(std::size_t parameters, std::size_t chain, std::size_t samples, double flops) {
  const std::size_t chains = (samples + chain - 1) / chain;
  const double enough = std::ceil(kLongWork / (flops * static_cast<double>(chain)));
  const std::size_t long_chains =
      flops <= kChainFlopsPerParameter
          ? kLongChains
          : static_cast<std::size_t>(std::min(enough, static_cast<double>(kLongChains)));
  // With few samples, four sections at least; with many, kMostSections.
  const std::size_t shortest =
      parameters > kLargeParameters ? long_chains : std::min(kLongChains, (chains + 3) / 4);
  return chain * std::max({(chains + kMostSections - 1) / kMostSections, shortest, std::size_t{1}});
}

SectionedSum::SectionedSum(std::size_t parameters, std::size_t section_rows)
    : section_rows_(section_rows), running_(parameters), total_(section_rows ? parameters : 0) {}

std::size_t SectionedSum::bytes(std::size_t parameters, std::size_t section_rows) {
  return (section_rows ? 2 : 1) * aligned_bytes(parameters * sizeof(double));
}

void SectionedSum::fold(std::size_t first, std::size_t count) {
  double* running = running_.data() + first;
  double* total = total_.data() + first;
  for (std::size_t i = 0; i < count; ++i) {
    total[i] += running[i];
    running[i] = 0;
  }
}

void SectionedSum::clear() {
  std::ranges::fill(running_, 0.0);
  std::ranges::fill(total_, 0.0);
  position_ = 0;
}

AlignedBuffer<double> SectionedSum::take_running() {
  AlignedBuffer<double> section = std::move(running_);
  running_ = AlignedBuffer<double>(section.size());
  return section;
}

AlignedBuffer<double> SectionedSum::take() {
  if (total_.empty()) return std::move(running_);
  fold(0, running_.size());
  running_ = {};
  return std::move(total_);
}

void SectionedSum::restore(std::uint64_t position, AlignedBuffer<double> running,
                           AlignedBuffer<double> total) {
  position_ = position;
  running_ = std::move(running);
  total_ = std::move(total);
}

}  // namespace fisherdiag
