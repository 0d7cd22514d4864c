#include "fisherdiag/fisher/trace_error.hpp"

#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

struct RoundTotal {
  double value = 0, variance = 0;
};

/// sum_n t_n / pi_n and its estimated variance; `trace(i)` is that of the i-th sample of the round.
template <class Trace>
RoundTotal round_total(const DrawnSamples& round, const Trace& trace) {
  RoundTotal total;
  for (std::size_t i = 0; i < round.samples.size(); ++i) total.value += trace(i) / round.inclusion[i];
  const auto random = static_cast<double>(round.order.size());
  for (std::size_t k = 1; k < round.order.size(); ++k) {
    const std::size_t a = round.order[k - 1], b = round.order[k];
    const double difference = trace(a) / round.inclusion[a] - trace(b) / round.inclusion[b];
    const double left_out = 1 - (round.inclusion[a] + round.inclusion[b]) / 2;
    total.variance += random / (random - 1) * left_out * difference * difference / 2;
  }
  if (round.order.size() == 1) total.variance = kUnknown;
  return total;
}

}  // namespace

UniformTraceError::UniformTraceError(std::size_t parts, std::uint64_t population)
    : population_(population), parts_(parts + 1) {}

void UniformTraceError::add(std::span<const double> traces) {
  ++count_;
  const auto update = [&](Moments& part, double trace) {
    const double before = trace - part.mean;
    part.mean += before / static_cast<double>(count_);
    part.squares += before * (trace - part.mean);
  };
  for (std::size_t p = 0; p < traces.size(); ++p) update(parts_[p], traces[p]);
  update(parts_.back(), std::accumulate(traces.begin(), traces.end(), 0.0));
}

TraceMean UniformTraceError::mean(std::size_t part) const {
  if (count_ == population_) return {parts_[part].mean, 0};
  if (count_ < 2) return {parts_[part].mean, kUnknown};
  const auto n = static_cast<double>(count_);
  const double variance = parts_[part].squares / (n - 1);
  return {parts_[part].mean, std::sqrt(variance / n * (1 - n / static_cast<double>(population_)))};
}

std::vector<double> UniformTraceError::state() const {
  std::vector<double> state = {static_cast<double>(count_)};
  for (const Moments& part : parts_) state.insert(state.end(), {part.mean, part.squares});
  return state;
}

void UniformTraceError::restore(std::span<const double> state) {
  if (state.size() != 1 + 2 * parts_.size())
    throw DataError("moments of " + std::to_string(parts_.size()) + " traces, which are " +
                    std::to_string(1 + 2 * parts_.size()) + " numbers, not " + std::to_string(state.size()));
  if (!(state[0] >= 0 && state[0] <= static_cast<double>(population_)))
    throw DataError("moments that are not those of up to " + std::to_string(population_) + " samples");
  count_ = static_cast<std::uint64_t>(state[0]);
  for (std::size_t p = 0; p < parts_.size(); ++p) parts_[p] = {state[1 + 2 * p], state[2 + 2 * p]};
}

ImportanceTraceError::ImportanceTraceError(std::size_t parts, std::uint64_t population)
    : parts_(parts), population_(population), totals_(parts + 1), variances_(parts + 1) {}

void ImportanceTraceError::add_round(const DrawnSamples& round, std::span<const double> traces) {
  const auto add = [&](std::size_t part, const RoundTotal& total) {
    const auto n = static_cast<double>(round.samples.size());
    totals_[part] += n * total.value;
    variances_[part] += n * n * total.variance;
  };
  for (std::size_t p = 0; p < parts_; ++p)
    add(p, round_total(round, [&](std::size_t i) { return traces[i * parts_ + p]; }));
  add(parts_, round_total(round, [&](std::size_t i) {
        const double* row = traces.data() + i * parts_;
        return std::accumulate(row, row + parts_, 0.0);
      }));
  count_ += round.samples.size();
}

TraceMean ImportanceTraceError::mean(std::size_t part) const {
  const double scale = 1 / (static_cast<double>(count_) * static_cast<double>(population_));
  return {scale * totals_[part], scale * std::sqrt(variances_[part])};
}

}  // namespace fisherdiag
