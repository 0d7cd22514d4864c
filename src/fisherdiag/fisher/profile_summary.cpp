#include "fisherdiag/fisher/profile_summary.hpp"

#include <algorithm>

namespace fisherdiag {

namespace {

double seconds(std::int64_t nanoseconds) {
  return 1e-9 * static_cast<double>(nanoseconds);
}

PassProfileLine make_line(PassPhase phase, std::optional<std::size_t> layer, const PassTotal& total,
                          double thread_seconds) {
  PassProfileLine line{phase, layer, seconds(total.nanoseconds), 0, total.flops, 0, total.spans};
  if (thread_seconds > 0) line.share = line.thread_seconds / thread_seconds;
  if (line.thread_seconds > 0) line.flops_per_second = line.flops / line.thread_seconds;
  return line;
}

/// Seconds each thread was busy in a region.
std::vector<double> busy_seconds(const PassProfile& profile, std::size_t region) {
  std::vector<double> busy;
  for (std::size_t t = 0; t < profile.threads(); ++t)
    busy.push_back(seconds(profile.track(t).busy_nanoseconds(region)));
  return busy;
}

}  // namespace

PassProfileSummary summarize(const PassProfile& profile, std::int64_t end) {
  PassProfileSummary summary;
  summary.threads = profile.threads();
  summary.wall_seconds = seconds(end - profile.origin());
  const auto threads = static_cast<double>(summary.threads);
  for (std::size_t p = 0; p < kPassPhases; ++p)
    if (const PassTotal total = profile.total(static_cast<PassPhase>(p)); total.spans)
      summary.phases.push_back(
          make_line(static_cast<PassPhase>(p), std::nullopt, total, threads * summary.wall_seconds));
  for (PassPhase phase : {PassPhase::Forward, PassPhase::Backward, PassPhase::Accumulate})
    for (std::size_t l = 0; l < profile.layers(); ++l)
      if (const PassTotal total = profile.total(phase, l); total.spans)
        summary.layers.push_back(make_line(phase, l, total, threads * summary.wall_seconds));
  const double packing = seconds(profile.main_track().total(PassPhase::Pack).nanoseconds);  // of every thread
  double alone = summary.wall_seconds - packing;
  for (std::size_t r = 0; r < kPassRegions; ++r) {
    const double wall = seconds(profile.region_nanoseconds(static_cast<PassRegion>(r)));
    const std::vector<double> busy = busy_seconds(profile, r);
    double sum = 0;
    for (const double thread : busy) sum += thread;
    summary.idle_seconds[r] = threads * wall - sum;
    if (sum > 0) summary.imbalance[r] = *std::max_element(busy.begin(), busy.end()) * threads / sum - 1;
    alone -= wall;
  }
  summary.waiting_seconds = (threads - 1) * alone;
  summary.other_seconds = alone + packing - seconds(profile.main_track().busy_nanoseconds(kNoPassRegion));
  return summary;
}

}  // namespace fisherdiag
