#include "fisherdiag/fisher/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

namespace {

void check(const Subset& subset, std::optional<double> until, bool squares_samples) {
  if (subset.kind != SubsetKind::All && !subset.size && !until)
    throw ArgumentError("a subset needs a number of samples");
  if (subset.size && *subset.size == 0) throw ArgumentError("a Fisher pass needs at least one sample");
  if (until && !(*until > 0 && std::isfinite(*until)))
    throw ArgumentError("the relative standard error to reach must be positive, not " +
                        std::to_string(*until));
  if (squares_samples) return;
  const char* reason =
      ": estimator 'batched' squares sums over samples, so samples have neither weights nor traces";
  if (subset.kind == SubsetKind::Importance)
    throw ArgumentError(std::string("no importance subset") + reason);
  if (until) throw ArgumentError(std::string("no standard error to reach") + reason);
}

}  // namespace

Sampling::Sampling(const Subset& subset, std::optional<double> until, std::uint64_t population,
                   std::size_t layers, std::uint64_t seed, bool squares_samples)
    : subset_(subset),
      until_(until),
      population_(population),
      layers_(layers),
      bound_(std::min<std::size_t>(subset.size.value_or(population), population)),
      seed_(seed),
      uniform_error_(layers, population),
      importance_error_(layers, population) {
  check(subset, until, squares_samples);
  if (until && subset.kind == SubsetKind::All) subset_.kind = SubsetKind::Uniform;
  measured_ = subset_.kind != SubsetKind::All && squares_samples;
}

/// Samples taken after the round that follows `used`.
std::size_t Sampling::round_end(std::size_t used) const {
  if (!until_ || (used > 0 && weighted() && bound_ == population_ && needs_all())) return bound_;
  return std::min(bound_, std::max(kFirstRound, 2 * used));
}

/// True if the error, falling as 1 / sqrt(n), will not be small enough before n = N.
bool Sampling::needs_all() const {
  return static_cast<double>(used_) * std::pow(relative_error() / *until_, 2) >=
         static_cast<double>(population_);
}

const SampleRound& Sampling::next() {
  const std::size_t before = used_, end = round_end(before);
  round_ = {};
  traces_.clear();
  // Uniform rounds that end with the last sample only add what is missing.
  whole_ = end == population_ && (before == 0 || weighted());
  if (whole_) {
    round_.replaces = before > 0;
    round_.count = population_;
  } else if (weighted()) {
    draw_weighted(end - before);
  } else {
    if (!uniform_) uniform_.emplace(population_, seed_);
    round_.samples = uniform_->next(end - before);
    round_.count = round_.samples.size();
  }
  used_ = end;
  ++rounds_;
  return round_;
}

void Sampling::draw_weighted(std::size_t count) {
  if (first_ == 0) first_ = static_cast<double>(count);
  drawn_ = design_->draw(count, seed_, rounds_);
  round_.count = drawn_.samples.size();
  round_.samples = drawn_.samples;
  const double share = static_cast<double>(count) / first_;  // a round counts by its size
  for (const double inclusion : drawn_.inclusion)
    round_.weights.push_back(static_cast<float>(share / inclusion));
}

void Sampling::add_traces(std::span<const double> traces) {
  if (!wants_traces()) return;
  if (!weighted()) {
    for (std::size_t r = 0; r < traces.size(); r += layers_) uniform_error_.add(traces.subspan(r, layers_));
    return;
  }
  for (const double trace : traces) {
    const std::size_t row = traces_.size() / layers_;
    traces_.push_back(trace / static_cast<double>(round_.weights[row]));
  }
}

void Sampling::finish_round() {
  if (wants_traces() && weighted()) importance_error_.add_round(drawn_, traces_);
  finished_ = used_ == bound_ || !until_ || relative_error() <= *until_;
}

std::vector<double> Sampling::moments() const {
  return wants_traces() ? uniform_error_.state() : std::vector<double>();
}

const SampleRound& Sampling::resume(std::uint64_t rounds, std::span<const double> moments) {
  while (rounds_ < rounds && used_ < bound_) next();
  if (rounds == 0 || rounds_ < rounds)
    throw DataError(std::to_string(rounds) + " rounds of samples, where there can be 1 to " +
                    std::to_string(rounds_ + (rounds == 0)));
  if (!moments.empty()) uniform_error_.restore(moments);
  return round_;
}

TraceMean Sampling::trace_mean(std::size_t part) const {
  if (whole_) return {1, 0};
  return weighted() ? importance_error_.mean(part) : uniform_error_.mean(part);
}

double Sampling::relative_error() const {
  const TraceMean total = trace_mean(layers_);
  return total.standard_error > 0 ? total.standard_error / total.value : total.standard_error;
}

double Sampling::mean_scale() const {
  return sum_scale() / static_cast<double>(weighted() && !whole_ ? population_ : used_);
}

SamplingRecord Sampling::record(bool mean) const {
  SamplingRecord record;
  record.subset = subset_.kind;
  record.until = until_;
  if (subset_.kind == SubsetKind::All) return record;
  record.population = population_;
  if (!measured_ || !std::isfinite(relative_error())) return record;
  const double scale = mean ? 1.0 : sum_scale() / mean_scale();
  record.trace_standard_error = scale * trace_mean(layers_).standard_error;
  record.relative_trace_standard_error = relative_error();
  for (std::size_t l = 0; l < layers_; ++l)
    record.layer_trace_standard_error.push_back(scale * trace_mean(l).standard_error);
  return record;
}

std::size_t Sampling::bytes() const {
  if (subset_.kind == SubsetKind::All) return 0;
  if (!weighted()) return population_ / 8 + bound_ * sizeof(std::uint64_t);
  // The design, and a round's probabilities; of each drawn sample its index twice, probability, place, weight
  // and traces.
  return ImportanceDesign::bytes(population_) + population_ * sizeof(double) +
         bound_ * (36 + layers_ * sizeof(double));
}

}  // namespace fisherdiag
