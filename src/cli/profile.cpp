#include "cli/profile.hpp"

#include <cmath>
#include <optional>
#include <vector>

#include "fisherdiag/fisher/profile_summary.hpp"
#include "fisherdiag/fisher/profile_trace.hpp"

namespace fisherdiag::cli {

namespace {

std::string percent(double share) {
  return number(std::round(1000 * share) / 10) + "%";
}

std::string rate(const PassProfileLine& line) {
  return line.flops > 0 ? si(line.flops_per_second, "flop/s") : "";
}

std::string shape(const Architecture& architecture, std::size_t l) {
  const std::string& name = architecture.layer_name(l);
  if (architecture.graph()) return name + " (" + architecture.graph()->nodes()[l].layer.type + ")";
  const LinearLayer& layer = architecture.layers()[l];
  return name + " (" + std::to_string(layer.inputs) + " to " + std::to_string(layer.outputs) + ")";
}

Json to_json(const PassProfileLine& line, const Architecture& architecture) {
  Json json = Json::object();
  json["phase"] = pass_phase_name(line.phase);
  if (line.layer) json["layer"] = architecture.layer_name(*line.layer);
  json["thread_seconds"] = line.thread_seconds;
  json["share"] = line.share;
  json["flops"] = line.flops > 0 ? Json(line.flops) : Json(nullptr);
  json["flops_per_second"] = line.flops > 0 ? Json(line.flops_per_second) : Json(nullptr);
  json["spans"] = line.spans;
  return json;
}

/// Events between two readings; null for what was not counted.
Json difference(const std::optional<std::uint64_t>& end, const std::optional<std::uint64_t>& begin) {
  return end ? Json(*end - begin.value_or(0)) : Json(nullptr);
}

}  // namespace

Profiling::Profiling(const ComputeOptions& options) : wanted_(options.profile), trace_(options.trace) {
  if (wanted_) counters_ = std::make_unique<PerfCounters>();
}

void Profiling::start(const Context& context) {
  if (!wanted_ && trace_.empty()) return;
  profile_ = std::make_unique<PassProfile>(context.threads(), !trace_.empty());
  if (counters_) begin_ = counters_->read();
}

void Profiling::finish(const Architecture& architecture) {
  if (!profile_) return;
  finished_ = PassProfile::now();
  if (counters_) end_ = counters_->read();
  if (!trace_.empty()) write_chrome_trace(trace_, *profile_, architecture);
}

Json Profiling::to_json(const Architecture& architecture) const {
  const PassProfileSummary summary = summarize(*profile_, finished_);
  Json json = Json::object();
  json["wall_seconds"] = summary.wall_seconds;
  json["threads"] = summary.threads;
  json["phases"] = Json::array();
  for (const PassProfileLine& line : summary.phases)
    json["phases"].push_back(cli::to_json(line, architecture));
  json["layers"] = Json::array();
  for (const PassProfileLine& line : summary.layers)
    json["layers"].push_back(cli::to_json(line, architecture));
  for (std::size_t r = 0; r < kPassRegions; ++r) {
    const std::string region(pass_region_name(static_cast<PassRegion>(r)));
    json["idle_seconds"][region] = summary.idle_seconds[r];
    json["imbalance"][region] = summary.imbalance[r];
  }
  json["waiting_seconds"] = summary.waiting_seconds;
  json["other_seconds"] = summary.other_seconds;
  json["counters"] = nullptr;
  if (counters_->available())
    json["counters"] = {{"cycles", difference(end_.cycles, begin_.cycles)},
                        {"instructions", difference(end_.instructions, begin_.instructions)},
                        {"cache_misses", difference(end_.cache_misses, begin_.cache_misses)}};
  else
    json["counters_reason"] = counters_->reason();
  return json;
}

std::string Profiling::to_text(const Architecture& architecture) const {
  const PassProfileSummary summary = summarize(*profile_, finished_);
  const double all = static_cast<double>(summary.threads) * summary.wall_seconds;
  const auto share = [&](double seconds) { return percent(all > 0 ? seconds / all : 0); };
  std::vector<std::vector<std::string>> rows = {{"phase", "thread time", "share", "one thread"}};
  for (const PassProfileLine& line : summary.phases)
    rows.push_back({std::string(pass_phase_name(line.phase)), duration(line.thread_seconds),
                    percent(line.share), rate(line)});
  for (std::size_t r = 0; r < kPassRegions; ++r)
    rows.push_back({"idle at the end of " + std::string(pass_region_name(static_cast<PassRegion>(r))),
                    duration(summary.idle_seconds[r]), share(summary.idle_seconds[r])});
  rows.push_back(
      {"waiting for one thread", duration(summary.waiting_seconds), share(summary.waiting_seconds)});
  rows.push_back({"other", duration(summary.other_seconds), share(summary.other_seconds)});
  rows.push_back(
      {std::to_string(summary.threads) + " x " + duration(summary.wall_seconds), duration(all), "100%"});
  std::string text = table(rows) + "\n";

  rows = {{"layer", "phase", "thread time", "share", "one thread"}};
  for (const PassProfileLine& line : summary.layers)
    rows.push_back({shape(architecture, *line.layer), std::string(pass_phase_name(line.phase)),
                    duration(line.thread_seconds), percent(line.share), rate(line)});
  text += table(rows) + "\n";
  text += "busiest thread over the mean: rows +" + percent(summary.imbalance[0]) + ", tiles +" +
          percent(summary.imbalance[1]) + "\n";
  if (!counters_->available()) return text + counters_->reason() + "\n";
  const auto count = [](const std::optional<std::uint64_t>& end, const std::optional<std::uint64_t>& begin) {
    return end ? grouped(*end - begin.value_or(0)) : std::string("not counted");
  };
  return text + "cycles " + count(end_.cycles, begin_.cycles) + ", instructions " +
         count(end_.instructions, begin_.instructions) + ", last-level cache misses " +
         count(end_.cache_misses, begin_.cache_misses) + "\n";
}

}  // namespace fisherdiag::cli
