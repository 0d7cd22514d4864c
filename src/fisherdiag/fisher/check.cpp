#include "fisherdiag/fisher/check.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/fisher/check_samples.hpp"
#include "fisherdiag/fisher/scalar_likelihood.hpp"
#include "fisherdiag/fisher/scalar_network.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/likelihood/seeds.hpp"

namespace fisherdiag {

namespace {

using scalar::Vector;
using States = std::vector<scalar::LayerState<double>>;

/// Step of the central differences, as a change of the sum a parameter feeds.
constexpr long double kStep = 0x1p-17L;
/// Part of a tensor's largest gradient that small entries are measured against.
constexpr double kGradientFloor = 1e-3;

/// Counts units of work and asks the caller whether to go on.
class Work {
 public:
  Work(const CheckOptions& options, std::size_t total) : options_(options), total_(total) {}
  void step() {
    ++done_;
    if (options_.progress && !options_.progress(done_, total_)) throw InterruptedError("interrupted");
  }

 private:
  const CheckOptions& options_;
  std::size_t total_;
  std::size_t done_ = 0;
};

/// gradient += the gradient that sensitivities `deltas` stand for, or fisher += its square.
template <class Add>
void for_each_gradient(const Architecture& architecture, const States& states,
                       const std::vector<Vector<double>>& deltas, Add add) {
  for (std::size_t l = 0; l < deltas.size(); ++l) {
    const std::size_t inputs = architecture.layers()[l].inputs;
    for (std::size_t o = 0; o < deltas[l].size(); ++o) {
      for (std::size_t i = 0; i < inputs; ++i)
        add(architecture.weight_offset(l) + o * inputs + i, deltas[l][o] * states[l].input[i]);
      add(architecture.bias_offset(l) + o, deltas[l][o]);
    }
  }
}

/// The seeds of one sample, by the definition of the estimator; those of mc and sketch as the engine draws
/// them.
class SeedsOfSample {
 public:
  SeedsOfSample(const Architecture& architecture, const CheckOptions& options, const Context& context)
      : options_(options) {
    if (options.estimator.kind == EstimatorKind::MonteCarlo ||
        options.estimator.kind == EstimatorKind::Sketch)
      drawn_.emplace(options.estimator, options.likelihood, architecture.outputs(),
                     kernels::kernel_table(context.isa()));
  }

  std::vector<Vector<double>> operator()(const Vector<double>& logits, const float* target,
                                         std::uint64_t sample) {
    if (!drawn_)
      return scalar::seeds_by_definition(options_.estimator.kind, options_.likelihood, logits, target);
    const Vector<float> rounded(logits.begin(), logits.end());
    drawn_->prepare({rounded.data(), 1, rounded.size()}, {}, {&sample, 1});
    std::vector<Vector<double>> seeds;
    Vector<float> seed(logits.size());
    for (std::size_t k = 0; k < drawn_->columns(); ++k) {
      drawn_->write(k, {seed.data(), 1, seed.size()});
      seeds.emplace_back(seed.begin(), seed.end());
    }
    return seeds;
  }

 private:
  const CheckOptions& options_;
  std::optional<SeedBlock> drawn_;
};

/// sum_n sum_k (J_n^T s_nk)^2, one sample and one seed at a time.
std::vector<double> reference_sum(const Network& network, const CheckSamples& samples,
                                  const CheckOptions& options, const Context& context, Work& work) {
  const Architecture& architecture = network.architecture();
  SeedsOfSample seeds_of(architecture, options, context);
  std::vector<double> sum(architecture.parameter_count());
  for (std::size_t n = 0; n < samples.count; ++n) {
    const States states = scalar::forward<double>(network, samples.input(n));
    for (const Vector<double>& seed : seeds_of(states.back().sum, samples.target(n), n))
      for_each_gradient(architecture, states, scalar::backward(network, states, seed),
                        [&](std::size_t p, double g) { sum[p] += g * g; });
    work.step();
  }
  return sum;
}

/// sum over batches of (the mean gradient of the batch)^2.
std::vector<double> reference_batched(const Network& network, const CheckSamples& samples,
                                      const CheckOptions& options, Work& work) {
  const Architecture& architecture = network.architecture();
  std::vector<double> sum(architecture.parameter_count()), gradient(sum.size());
  for (std::size_t first = 0; first < samples.count; first += options.estimator.batch_size) {
    const std::size_t last = std::min(first + options.estimator.batch_size, samples.count);
    std::fill(gradient.begin(), gradient.end(), 0.0);
    for (std::size_t n = first; n < last; ++n) {
      const States states = scalar::forward<double>(network, samples.input(n));
      const Vector<double> residual =
          scalar::residual(options.likelihood, states.back().sum, samples.target(n));
      for_each_gradient(architecture, states, scalar::backward(network, states, residual),
                        [&](std::size_t p, double g) { gradient[p] += g; });
      work.step();
    }
    for (std::size_t p = 0; p < sum.size(); ++p) {
      const double mean = gradient[p] / static_cast<double>(last - first);
      sum[p] += mean * mean;
    }
  }
  return sum;
}

double normwise_error(std::span<const float> values, const double* reference) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double delta = static_cast<double>(values[i]) - reference[i];
    difference += delta * delta;
    norm += reference[i] * reference[i];
  }
  if (difference == 0) return 0;
  return norm > 0 ? std::sqrt(difference / norm) : std::numeric_limits<double>::infinity();
}

/// Central differences of one sample's nll.
class Differences {
 public:
  Differences(const Network& network, Likelihood likelihood, const float* input, const float* target)
      : network_(network),
        likelihood_(likelihood),
        target_(target),
        states_(scalar::forward<double>(network, input)),
        wide_(scalar::forward<long double>(network, input)),
        deltas_(
            scalar::backward(network, states_, scalar::residual(likelihood, states_.back().sum, target))) {}

  /// d nll / d of the parameter that takes input `i` (a bias: no input) to output o of `layer`, by
  /// back-propagation.
  double gradient(std::size_t layer, std::size_t o, std::optional<std::size_t> i) const {
    return deltas_[layer][o] * (i ? states_[layer].input[*i] : 1.0);
  }
  double largest_gradient(std::size_t layer, bool bias) const {
    return largest(deltas_[layer]) * (bias ? 1.0 : largest(states_[layer].input));
  }
  /// The same by a central difference; nullopt if the step crosses the corner of a ReLU.
  std::optional<double> difference(std::size_t layer, std::size_t o, std::optional<std::size_t> i) const {
    const long double factor = i ? wide_[layer].input[*i] : 1.0L;
    const long double step = kStep / std::max(1.0L, std::abs(factor));
    std::vector<bool> above, below;
    const long double up = nll_after(layer, o, step * factor, above);
    const long double down = nll_after(layer, o, -step * factor, below);
    if (above != below) return std::nullopt;
    return static_cast<double>((up - down) / (2 * step));
  }

 private:
  static double largest(const Vector<double>& values) {
    double result = 0;
    for (const double value : values) result = std::max(result, std::abs(value));
    return result;
  }

  /// The nll after sum o of `layer` changes by `shift`; `active` says which ReLUs from there on are.
  long double nll_after(std::size_t layer, std::size_t o, long double shift,
                        std::vector<bool>& active) const {
    const std::vector<LinearLayer>& layers = network_.architecture().layers();
    Vector<long double> sum = wide_[layer].sum;
    sum[o] += shift;
    for (std::size_t l = layer; l + 1 < layers.size(); ++l) {
      if (layers[l].activation == Activation::Relu)
        for (const long double value : sum) active.push_back(value > 0);
      sum = scalar::weighted_sum(network_, l + 1, scalar::activated(network_, l, sum));
    }
    return scalar::nll(likelihood_, sum, target_);
  }

  const Network& network_;
  Likelihood likelihood_;
  const float* target_;
  States states_;
  std::vector<scalar::LayerState<long double>> wide_;
  std::vector<Vector<double>> deltas_;
};

/// Differences `options.differences` randomly chosen parameters of each tensor, shared out over the samples.
void check_gradients(const Network& network, const CheckSamples& samples, const CheckOptions& options,
                     std::vector<TensorCheck>& checks, Work& work) {
  const std::vector<LinearLayer>& layers = network.architecture().layers();
  for (std::size_t n = 0; n < samples.count; ++n) {
    const Differences differences(network, options.likelihood, samples.input(n), samples.target(n));
    for (std::size_t t = 0; t < checks.size(); ++t) {
      const LinearLayer& layer = layers[t / 2];
      const bool bias = t % 2 == 1;
      const double floor = kGradientFloor * differences.largest_gradient(t / 2, bias);
      RandomStream random(options.estimator.seed, random_stream::kSubset, n * checks.size() + t);
      for (std::size_t d = n; d < options.differences; d += samples.count) {
        const std::size_t o = random.next_below(layer.outputs);
        std::optional<std::size_t> i;
        if (!bias) i = random.next_below(layer.inputs);
        const std::optional<double> difference = differences.difference(t / 2, o, i);
        checks[t].kinks += !difference;
        if (!difference) continue;
        ++checks[t].differences;
        const double gradient = differences.gradient(t / 2, o, i), delta = std::abs(gradient - *difference);
        if (delta > 0)
          checks[t].gradient_error = std::max(checks[t].gradient_error, delta / (std::abs(gradient) + floor));
      }
    }
    work.step();
  }
}

}  // namespace

CheckReport check_fisher(const Network& network, Dataset& data, const CheckOptions& options,
                         const Context& context) {
  require_chain(network.architecture(), "the scalar check");
  FisherOptions fisher_options;
  fisher_options.estimator = options.estimator;
  fisher_options.likelihood = options.likelihood;
  fisher_options.normalization = Normalization::Sum;
  if (options.progress)
    fisher_options.progress = [&](std::size_t, std::size_t total) { return options.progress(0, total); };
  check_estimator(options.estimator, options.likelihood, network.architecture().outputs());
  const CheckSamples samples = read_check_samples(network, data, options);
  const std::unique_ptr<Dataset> few = samples.as_dataset(data.name());
  const FisherDiagonal fisher = compute_fisher(network, *few, fisher_options, context);

  Work work(options, 2 * samples.count);
  const std::vector<double> reference = options.estimator.kind == EstimatorKind::Batched
                                            ? reference_batched(network, samples, options, work)
                                            : reference_sum(network, samples, options, context, work);
  CheckReport report;
  report.samples = samples.count;
  report.samples_at_corners = samples.at_corners;
  for (const ParameterTensor& tensor : fisher.tensors()) {
    TensorCheck check;
    check.name = tensor.name;
    check.fisher_error =
        normwise_error(fisher.values().subspan(tensor.offset, tensor.size), reference.data() + tensor.offset);
    report.tensors.push_back(std::move(check));
  }
  check_gradients(network, samples, options, report.tensors, work);
  report.passed = true;
  for (TensorCheck& check : report.tensors) {
    check.passed = check.fisher_error <= kFisherTolerance && check.gradient_error <= kGradientTolerance;
    report.passed = report.passed && check.passed;
  }
  return report;
}

}  // namespace fisherdiag
