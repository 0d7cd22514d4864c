#include "fisherdiag/fisher/checkpoint.hpp"

#include <span>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/fingerprint.hpp"
#include "fisherdiag/fisher/sum_file.hpp"

namespace fisherdiag {

namespace {

std::string section_name(std::size_t section) {
  return "section." + std::to_string(section);
}

std::vector<double> to_vector(const AlignedBuffer<double>& values) {
  return {values.begin(), values.end()};
}

}  // namespace

Checkpointer::Checkpointer(const CheckpointRequest& request, std::map<std::string, std::string> identity,
                           std::size_t parameters)
    : request_(request), identity_(std::move(identity)) {
  std::error_code ignored;
  if (std::filesystem::exists(request_.path, ignored)) read(parameters);
}

void Checkpointer::read(std::size_t parameters) {
  const std::string name = request_.path.string();
  SumFile file = load_sums(request_.path, kCheckpointFormat);
  if (!request_.resume) {
    if (file.text(name, "finished") == "no")
      throw DataError(name + ": holds " + file.text(name, "done") +
                      " samples of an unfinished computation; resume it, or delete the file");
    return;
  }
  require_same_computation(name, identity_, file.metadata);
  PassState state;
  state.rounds = file.integer(name, "rounds");
  state.done = file.integer(name, "done");
  state.position = file.integer(name, "position");
  state.statistics.seconds = file.number(name, "seconds");
  state.statistics.reading_seconds = file.number(name, "reading seconds");
  state.statistics.flops = file.number(name, "flops");
  state.running = file.take(name, "running", parameters);
  if (file.sums.contains("total")) state.total = file.take(name, "total", parameters);
  for (std::size_t s = 0; file.sums.contains(section_name(s)); ++s)
    state.sections.push_back(file.take(name, section_name(s), parameters));
  if (const auto moments = file.sums.find("moments"); moments != file.sums.end())
    state.moments = to_vector(moments->second);
  state_ = std::move(state);
}

std::optional<PassState> Checkpointer::take_state() {
  return std::exchange(state_, std::nullopt);
}

bool Checkpointer::due() const {
  return std::chrono::duration<double>(Clock::now() - saved_).count() >= request_.every_seconds;
}

void Checkpointer::save(const PassStateView& state, bool finished) {
  std::map<std::string, std::string> metadata = identity_;
  metadata["finished"] = finished ? "yes" : "no";
  metadata["rounds"] = std::to_string(state.rounds);
  metadata["done"] = std::to_string(state.done);
  metadata["position"] = std::to_string(state.position);
  metadata["seconds"] = exact_text(state.statistics.seconds);
  metadata["reading seconds"] = exact_text(state.statistics.reading_seconds);
  metadata["flops"] = exact_text(state.statistics.flops);
  const auto span_of = [](const auto& values) {
    return std::span<const double>(values.data(), values.size());
  };
  std::vector<NamedSums> sums = {{"running", span_of(state.running)}};
  if (!state.total.empty()) sums.push_back({"total", span_of(state.total)});
  for (std::size_t s = 0; s < state.sections.size(); ++s)
    sums.push_back({section_name(s), span_of(state.sections[s])});
  if (!state.moments.empty()) sums.push_back({"moments", span_of(state.moments)});
  save_sums(request_.path, kCheckpointFormat, std::move(metadata), sums);
  saved_ = Clock::now();
}

}  // namespace fisherdiag
