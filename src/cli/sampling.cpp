#include "cli/sampling.hpp"

#include "fisherdiag/fisher/trace_parts.hpp"

namespace fisherdiag::cli {

namespace {

bool reached(const SamplingRecord& sampling) {
  return sampling.relative_trace_standard_error && *sampling.relative_trace_standard_error <= *sampling.until;
}

/// Standard error of each layer's trace over that trace.
Json relative_layer_errors(const FisherDiagonal& fisher) {
  Json list = Json::array();
  const std::vector<double>& errors = fisher.metadata().sampling.layer_trace_standard_error;
  const std::vector<std::size_t> parts = trace_parts(fisher.tensors());
  std::vector<double> traces(trace_part_count(fisher.tensors()));
  for (std::size_t t = 0; t < parts.size(); ++t)
    for (const float value : fisher.values().subspan(fisher.tensors()[t].offset, fisher.tensors()[t].size))
      traces[parts[t]] += static_cast<double>(value);
  for (std::size_t l = 0; l < errors.size(); ++l)
    list.push_back(errors[l] > 0 ? errors[l] / traces[l] : errors[l]);
  return list;
}

Json or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace

void add_sampling(Json& json, const FisherDiagonal& fisher) {
  const SamplingRecord& sampling = fisher.metadata().sampling;
  if (sampling.subset == SubsetKind::All) return;
  json["subset"] = subset_name(sampling.subset);
  json["population"] = sampling.population;
  json["trace_standard_error"] = or_null(sampling.trace_standard_error);
  json["relative_trace_standard_error"] = or_null(sampling.relative_trace_standard_error);
  json["layer_trace_standard_error"] = sampling.layer_trace_standard_error;
  json["relative_layer_trace_standard_error"] = relative_layer_errors(fisher);
  if (!sampling.until) return;
  json["until"] = *sampling.until;
  json["until_reached"] = reached(sampling);
}

std::string sampling_text(const FisherDiagonal& fisher) {
  const SamplingRecord& sampling = fisher.metadata().sampling;
  if (sampling.subset == SubsetKind::All) return {};
  std::string text;
  if (sampling.trace_standard_error)
    text = " +- " + number(*sampling.trace_standard_error) + " (" +
           number(100 * *sampling.relative_trace_standard_error) + "%)";
  text += " from " + grouped(fisher.metadata().samples) + " " + std::string(subset_name(sampling.subset)) +
          " samples of " + grouped(sampling.population);
  if (sampling.until && !reached(sampling))
    text += "; the " + number(100 * *sampling.until) + "% asked for would take more samples";
  return text;
}

}  // namespace fisherdiag::cli
