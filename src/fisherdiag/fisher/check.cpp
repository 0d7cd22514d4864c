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
#include "fisherdiag/fisher/scalar_graph.hpp"
#include "fisherdiag/fisher/scalar_likelihood.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/likelihood/sequence_seeds.hpp"

namespace fisherdiag {

namespace {

using scalar::Vector;

/// Step of the central differences, as a change of the sum a parameter feeds.
constexpr long double kStep = 0x1p-20L;
/// Part of a tensor's largest gradient that small entries are measured against.
constexpr double kGradientFloor = 1e-3;
/// Multiply-adds of all differences: about half a minute.
constexpr double kDifferenceWork = 1e10;

/// Counts units of work and asks the caller whether to go on.
class Work {
 public:
  Work(const CheckOptions& options, std::size_t total) : options_(options), total_(total) {}
  void step() {
    ++done_;
    poll();
  }
  void poll() const {
    if (options_.progress && !options_.progress(done_, total_)) throw InterruptedError("interrupted");
  }

 private:
  const CheckOptions& options_;
  std::size_t total_;
  std::size_t done_ = 0;
};

/// The seeds of one sample, by the definition of the estimator; those of mc and sketch as the engine draws
/// them.
class SeedsOfSample {
 public:
  SeedsOfSample(const Architecture& architecture, const CheckOptions& options, const Context& context)
      : options_(options),
        positions_(architecture.positions()),
        target_width_(target_width(options.likelihood, architecture.outputs(), positions_)) {
    if (options.estimator.kind == EstimatorKind::MonteCarlo ||
        options.estimator.kind == EstimatorKind::Sketch)
      drawn_.emplace(options.estimator, options.likelihood, architecture.outputs(), positions_,
                     kernels::kernel_table(context.isa()));
  }

  std::vector<Vector<double>> operator()(const Vector<double>& logits, const float* target,
                                         std::uint64_t sample) {
    if (!drawn_)
      return scalar::sequence_seeds(options_.estimator.kind, options_.likelihood, positions_, logits, target);
    const Vector<float> rounded(logits.begin(), logits.end());
    const MatrixView<const float> targets{target, target ? std::size_t{1} : 0, target_width_};
    const std::size_t outputs = logits.size() / positions_;
    drawn_->prepare({rounded.data(), positions_, outputs}, targets, {&sample, 1});
    std::vector<Vector<double>> seeds;
    Vector<float> seed(logits.size());
    for (std::size_t k = 0; k < drawn_->columns(); ++k) {
      drawn_->write(k, {seed.data(), positions_, outputs});
      seeds.emplace_back(seed.begin(), seed.end());
    }
    return seeds;
  }

 private:
  const CheckOptions& options_;
  std::size_t positions_, target_width_;
  std::optional<SequenceSeeds> drawn_;
};

/// sum_n sum_k (J_n^T s_nk)^2, one sample and one seed at a time.
std::vector<double> reference_sum(const Network& network, const CheckSamples& samples,
                                  const CheckOptions& options, const Context& context, Work& work) {
  const scalar::ScalarGraph<double> graph(network);
  SeedsOfSample seeds_of(network.architecture(), options, context);
  std::vector<double> sum(network.architecture().parameter_count());
  for (std::size_t n = 0; n < samples.count; ++n) {
    const auto values = graph.forward(samples.input(n));
    for (const Vector<double>& seed : seeds_of(values.back(), samples.target(n), n)) {
      const Vector<double> gradient = scalar::gradient(graph, values, seed);
      for (std::size_t p = 0; p < sum.size(); ++p) sum[p] += gradient[p] * gradient[p];
      work.poll();
    }
    work.step();
  }
  return sum;
}

/// sum over batches of (the mean gradient of the batch)^2.
std::vector<double> reference_batched(const Network& network, const CheckSamples& samples,
                                      const CheckOptions& options, Work& work) {
  const scalar::ScalarGraph<double> graph(network);
  std::vector<double> sum(network.architecture().parameter_count());
  for (std::size_t first = 0; first < samples.count; first += options.estimator.batch_size) {
    const std::size_t last = std::min(first + options.estimator.batch_size, samples.count);
    std::vector<double> gradient(sum.size());
    for (std::size_t n = first; n < last; ++n) {
      const auto values = graph.forward(samples.input(n));
      const Vector<double> residual = scalar::sequence_residual(
          options.likelihood, network.architecture().positions(), values.back(), samples.target(n));
      const Vector<double> own = scalar::gradient(graph, values, residual);
      for (std::size_t p = 0; p < sum.size(); ++p) gradient[p] += own[p];
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

/// Central differences of one sample's nll, in long double.
class Differences {
 public:
  Differences(const Network& network, const CheckOptions& options)
      : likelihood_(options.likelihood),
        positions_(network.architecture().positions()),
        exact_(network),
        wide_(network) {}

  void set_sample(const float* input, const float* target) {
    target_ = target;
    values_ = wide_.forward(input);
    const auto values = exact_.forward(input);
    gradient_ = scalar::gradient(exact_, values,
                                 scalar::sequence_residual(likelihood_, positions_, values.back(), target));
  }

  /// d nll / d of parameter p, by back-propagation.
  const Vector<double>& gradient() const { return gradient_; }

  /// The same by a central difference; nullopt if the step crosses a corner of the network. `node`: the first
  /// layer that uses the parameter.
  std::optional<double> difference(std::size_t p, std::size_t node) {
    long double largest = 1;
    for (const std::size_t v : wide_.graph().nodes()[node].inputs)
      for (const long double x : values_[v]) largest = std::max(largest, std::abs(x));
    const long double step = kStep / largest;
    std::vector<std::uint32_t> above, below;
    const long double up = nll_after(p, step, node, above), down = nll_after(p, -step, node, below);
    if (above != below) return std::nullopt;
    return static_cast<double>((up - down) / (2 * step));
  }

 private:
  /// The nll with parameter p changed by `shift`; `sides` says where the network is among its corners.
  long double nll_after(std::size_t p, long double shift, std::size_t node,
                        std::vector<std::uint32_t>& sides) {
    const long double before = wide_.parameters()[p];
    wide_.parameters()[p] += shift;
    auto values = values_;
    wide_.forward_from(node, values);
    wide_.parameters()[p] = before;
    for (std::size_t i = node; i < wide_.graph().nodes().size(); ++i) {
      const std::vector<std::uint32_t> own = scalar::sides(wide_.call(i, values));
      sides.insert(sides.end(), own.begin(), own.end());
    }
    return scalar::sequence_nll(likelihood_, positions_, values.back(), target_);
  }

  Likelihood likelihood_;
  std::size_t positions_;
  scalar::ScalarGraph<double> exact_;
  scalar::ScalarGraph<long double> wide_;
  const float* target_ = nullptr;
  std::vector<Vector<long double>> values_;
  Vector<double> gradient_;
};

/// For each tensor, the first layer that uses it.
std::vector<std::size_t> first_uses(const Graph& graph) {
  std::vector<std::size_t> first(graph.parameters().size());
  for (std::size_t i = graph.nodes().size(); i-- > 0;)
    for (const std::size_t t : graph.nodes()[i].parameters) first[t] = i;
  return first;
}

/// Parameters of each tensor to difference: fewer where the network is large.
std::size_t affordable_differences(const Network& network, const CheckOptions& options, std::size_t tensors) {
  const double forward = fisher_flops_per_sample(network.architecture(), {}, options.likelihood) / 6;
  const double affordable = kDifferenceWork / (2 * forward * static_cast<double>(tensors));
  return affordable < static_cast<double>(options.differences)
             ? std::max<std::size_t>(static_cast<std::size_t>(affordable), 1)
             : options.differences;
}

/// Differences randomly chosen parameters of each tensor, shared out over the samples.
void check_gradients(const Network& network, const CheckSamples& samples, const CheckOptions& options,
                     std::vector<TensorCheck>& checks, Work& work) {
  const std::vector<ParameterTensor>& tensors = network.architecture().parameters();
  const std::vector<std::size_t> first_use = first_uses(scalar::graph_of(network.architecture()));
  const std::size_t most = affordable_differences(network, options, tensors.size());
  Differences differences(network, options);
  for (std::size_t n = 0; n < samples.count; ++n) {
    if (n < most) differences.set_sample(samples.input(n), samples.target(n));
    for (std::size_t t = 0; t < checks.size(); ++t) {
      const auto own =
          std::span<const double>(differences.gradient()).subspan(tensors[t].offset, tensors[t].size);
      double floor = 0;
      for (const double g : own) floor = std::max(floor, kGradientFloor * std::abs(g));
      RandomStream random(options.estimator.seed, random_stream::kSubset, n * checks.size() + t);
      for (std::size_t d = n; d < most; d += samples.count) {
        const std::size_t e = random.next_below(tensors[t].size);
        const std::optional<double> difference = differences.difference(tensors[t].offset + e, first_use[t]);
        work.poll();
        checks[t].kinks += !difference;
        if (!difference) continue;
        ++checks[t].differences;
        const double delta = std::abs(own[e] - *difference);
        if (delta > 0)
          checks[t].gradient_error = std::max(checks[t].gradient_error, delta / (std::abs(own[e]) + floor));
      }
    }
    work.step();
  }
}

}  // namespace

CheckReport check_fisher(const Network& network, Dataset& data, const CheckOptions& options,
                         const Context& context) {
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
