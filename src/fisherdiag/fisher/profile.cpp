#include "fisherdiag/fisher/profile.hpp"

#include <algorithm>

namespace fisherdiag {

namespace {

constexpr std::array<std::string_view, kPassPhases> kPhaseNames = {
    "load",     "check",      "read",  "pack",   "strips",    "forward", "seeds",
    "backward", "accumulate", "merge", "traces", "normalize", "digest",  "write"};
constexpr std::array<std::string_view, kPassRegions> kRegionNames = {"rows", "tiles"};

void add_to(PassTotal& sum, const PassTotal& term) {
  sum.nanoseconds += term.nanoseconds;
  sum.spans += term.spans;
  sum.flops += term.flops;
}

}  // namespace

std::string_view pass_phase_name(PassPhase phase) {
  return kPhaseNames[static_cast<std::size_t>(phase)];
}

std::string_view pass_region_name(PassRegion region) {
  return kRegionNames[static_cast<std::size_t>(region)];
}

void PassTrack::add(PassSpan span, double flops) {
  span.region = region_;
  busy_[region_] += span.end - span.begin;
  std::vector<PassTotal>& layers = totals_[static_cast<std::size_t>(span.phase)];
  if (layers.size() <= span.layer) layers.resize(span.layer + 1);
  add_to(layers[span.layer], {span.end - span.begin, 1, flops});
  if (!keep_spans_) return;
  if (spans_.size() < kMostSpans)
    spans_.push_back(span);
  else
    ++dropped_;
}

PassTotal PassTrack::total(PassPhase phase) const {
  PassTotal sum;
  for (const PassTotal& layer : totals(phase)) add_to(sum, layer);
  return sum;
}

PassProfile::PassProfile(int threads, bool keep_spans) {
  for (int t = 0; t < std::max(threads, 1); ++t) tracks_.push_back(std::make_unique<PassTrack>(keep_spans));
}

void PassProfile::begin_region(PassRegion region) {
  for (const auto& track : tracks_) track->set_region(static_cast<std::size_t>(region));
}

void PassProfile::end_region(PassRegion region, std::int64_t nanoseconds) {
  for (const auto& track : tracks_) track->set_region(kNoPassRegion);
  regions_[static_cast<std::size_t>(region)] += nanoseconds;
}

void PassProfile::add_to_all(const PassSpan& span) {
  for (const auto& track : tracks_) track->add(span, 0);
}

PassTotal PassProfile::total(PassPhase phase, std::size_t layer) const {
  PassTotal sum;
  for (const auto& track : tracks_)
    if (layer < track->totals(phase).size()) add_to(sum, track->totals(phase)[layer]);
  return sum;
}

PassTotal PassProfile::total(PassPhase phase) const {
  PassTotal sum;
  for (const auto& track : tracks_) add_to(sum, track->total(phase));
  return sum;
}

std::size_t PassProfile::layers() const {
  std::size_t layers = 1;
  for (const auto& track : tracks_)
    for (PassPhase phase : {PassPhase::Forward, PassPhase::Backward, PassPhase::Accumulate})
      layers = std::max(layers, track->totals(phase).size());
  return layers;
}

}  // namespace fisherdiag
