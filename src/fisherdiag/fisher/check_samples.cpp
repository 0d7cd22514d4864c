#include "fisherdiag/fisher/check_samples.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/scalar_corners.hpp"
#include "fisherdiag/likelihood/sequence_seeds.hpp"

namespace fisherdiag {

namespace {

bool targets_fit(const Dataset& data, Likelihood likelihood, const Architecture& architecture) {
  if (likelihood == Likelihood::Categorical && architecture.positions() == 1)
    return data.target_kind() == TargetKind::Labels;
  return data.target_width() == target_width(likelihood, architecture.outputs(), architecture.positions());
}

void require_class(float label, bool may_be_ignored, std::size_t outputs, std::size_t sample) {
  if (label >= 0 && label < static_cast<float>(outputs)) return;
  if (may_be_ignored && label == kIgnoredLabel) return;
  throw DataError("sample " + std::to_string(sample) + ": label " +
                  std::to_string(static_cast<std::int64_t>(label)) + " is not one of the model's " +
                  std::to_string(outputs) + " classes");
}

}  // namespace

std::unique_ptr<Dataset> CheckSamples::as_dataset(const std::string& name) const {
  std::vector<std::int32_t> labels;
  std::vector<float> values;
  if (kind == TargetKind::Labels)
    for (const float target : targets) labels.push_back(static_cast<std::int32_t>(target));
  if (kind == TargetKind::Values) values = targets;
  return make_dataset(inputs, features, std::move(labels), std::move(values),
                      kind == TargetKind::Values ? target_width : 0, name);
}

CheckSamples read_check_samples(const Network& network, Dataset& data, const CheckOptions& options) {
  const Architecture& architecture = network.architecture();
  CheckSamples samples;
  samples.features = data.features();
  if (samples.features != architecture.inputs())
    throw ArgumentError(data.name() + " has " + std::to_string(samples.features) +
                        " features per sample but the model takes " + std::to_string(architecture.inputs()));
  if (targets_fit(data, options.likelihood, architecture)) {
    samples.kind = data.target_kind();
    samples.target_width = data.target_width();
  }
  const std::size_t chosen = std::min(options.samples, data.size());
  if (chosen == 0) throw ArgumentError("a check needs at least one sample");
  const scalar::ScalarGraph<double> graph(network);
  std::vector<float> input(samples.features), target(samples.target_width);
  for (std::size_t c = 0; c < chosen; ++c) {
    if (options.progress && !options.progress(0, chosen)) throw InterruptedError("interrupted");
    // c * size / chosen without overflow.
    const std::size_t n = c * (data.size() / chosen) + c * (data.size() % chosen) / chosen;
    data.read_inputs(n, {input.data(), 1, input.size()});
    if (scalar::at_corner(graph, input.data())) {
      ++samples.at_corners;
      continue;
    }
    samples.inputs.insert(samples.inputs.end(), input.begin(), input.end());
    ++samples.count;
    if (samples.kind == TargetKind::None) continue;
    data.read_targets(n, {target.data(), 1, target.size()});
    samples.targets.insert(samples.targets.end(), target.begin(), target.end());
    if (options.likelihood == Likelihood::Categorical) {
      for (const float label : target) require_class(label, target.size() > 1, architecture.outputs(), n);
    }
  }
  if (samples.count == 0)
    throw DataError(data.name() + ": each of the " + std::to_string(chosen) +
                    " samples lies at the corner of a ReLU or a max pooling; check more of them");
  return samples;
}

}  // namespace fisherdiag
