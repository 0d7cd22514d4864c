#include "fisherdiag/fisher/profile_trace.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "fisherdiag/io/atomic_file.hpp"

namespace fisherdiag {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kProcess = 1;
/// Text is handed to the file in pieces, so that a long trace never exists twice in memory.
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

bool has_layer(PassPhase phase) {
  return phase == PassPhase::Forward || phase == PassPhase::Backward || phase == PassPhase::Accumulate;
}

std::string category(std::size_t region) {
  return region == kNoPassRegion ? "alone" : std::string(pass_region_name(static_cast<PassRegion>(region)));
}

Json name_event(const char* kind, std::size_t thread, const std::string& name) {
  return {{"name", kind}, {"ph", "M"}, {"pid", kProcess}, {"tid", thread}, {"args", {{"name", name}}}};
}

Json span_event(const PassSpan& span, std::size_t thread, std::int64_t origin,
                const Architecture& architecture) {
  std::string name(pass_phase_name(span.phase));
  if (has_layer(span.phase)) name += " " + architecture.layer_name(span.layer);
  return {{"name", name},
          {"cat", category(span.region)},
          {"ph", "X"},
          {"ts", 1e-3 * static_cast<double>(span.begin - origin)},
          {"dur", 1e-3 * static_cast<double>(span.end - span.begin)},
          {"pid", kProcess},
          {"tid", thread}};
}

}  // namespace

void write_chrome_trace(const std::filesystem::path& path, const PassProfile& profile,
                        const Architecture& architecture) {
  AtomicFile file(path);
  std::string text = "{\"traceEvents\":[\n";
  text += name_event("process_name", 0, "fisherdiag").dump();
  std::uint64_t dropped = 0;
  for (std::size_t thread = 0; thread < profile.threads(); ++thread) {
    const PassTrack& track = profile.track(thread);
    text += ",\n" + name_event("thread_name", thread, "thread " + std::to_string(thread)).dump();
    for (const PassSpan& span : track.spans()) {
      text += ",\n" + span_event(span, thread, profile.origin(), architecture).dump();
      if (text.size() < kPieceBytes) continue;
      file.write(text);
      text.clear();
    }
    dropped += track.dropped();
  }
  text +=
      "\n],\"displayTimeUnit\":\"ms\",\"otherData\":{\"dropped_spans\":" + std::to_string(dropped) + "}}\n";
  file.write(text);
  file.commit();
}

}  // namespace fisherdiag
