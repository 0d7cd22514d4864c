#include "reference/sequence_reference.hpp"

#include <cmath>

#include "fisherdiag/base/philox.hpp"

namespace fisherdiag::reference {

namespace {

constexpr Likelihood kCategorical = Likelihood::Categorical;
constexpr double kIgnored = -100;

/// One sequence: its logits at each position, and what a labelling's gradient is.
struct SequenceSample {
  SequenceSample(const Mlp& mlp_, const Vector& x_, const Vector& labels_, std::size_t positions)
      : mlp(mlp_), x(x_), labels(labels_) {
    const Vector all = forward(mlp, x);
    const std::size_t classes = all.size() / positions;
    for (std::size_t t = 0; t < positions; ++t)
      z.emplace_back(all.begin() + t * classes, all.begin() + (t + 1) * classes);
  }
  std::size_t classes() const { return z[0].size(); }
  bool counts(std::size_t t) const { return labels[t] != kIgnored; }
  Vector residual(std::size_t t, std::size_t label) const {
    return nll_gradient(kCategorical, z[t], {static_cast<double>(label)});
  }
  /// J^T of seeds for each position, of which only `only` and those that count take part.
  Vector gradient_of(const std::vector<Vector>& seeds, std::size_t only) const {
    Vector seed;
    for (std::size_t t = 0; t < z.size(); ++t)
      for (const double s : seeds[t]) seed.push_back(counts(t) && (only == kAll || only == t) ? s : 0);
    return gradient(mlp, x, seed);
  }

  static constexpr std::size_t kAll = ~std::size_t{0};
  const Mlp& mlp;
  Vector x, labels;
  std::vector<Vector> z;
};

void add_square(Vector& sum, const Vector& gradient, double weight) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weight * gradient[i] * gradient[i];
}

/// The square of the sequence's gradient, or the squares of its positions'.
void add_seeds(Vector& sum, const SequenceSample& s, const std::vector<Vector>& seeds, LikelihoodUnit unit,
               double weight) {
  if (unit == LikelihoodUnit::Sequence)
    return add_square(sum, s.gradient_of(seeds, SequenceSample::kAll), weight);
  for (std::size_t t = 0; t < s.z.size(); ++t) add_square(sum, s.gradient_of(seeds, t), weight);
}

std::vector<Vector> residuals(const SequenceSample& s, const std::vector<std::size_t>& labels) {
  std::vector<Vector> seeds;
  for (std::size_t t = 0; t < s.z.size(); ++t) seeds.push_back(s.residual(t, labels[t]));
  return seeds;
}

/// Every labelling with its probability.
void add_all_labellings(Vector& sum, const SequenceSample& s, LikelihoodUnit unit) {
  std::vector<std::size_t> labels(s.z.size(), 0);
  for (bool more = true; more;) {
    double probability = 1;
    for (std::size_t t = 0; t < labels.size(); ++t) probability *= softmax(s.z[t])[labels[t]];
    add_seeds(sum, s, residuals(s, labels), unit, probability);
    std::size_t t = 0;
    while (t < labels.size() && ++labels[t] == s.classes()) labels[t++] = 0;
    more = t < labels.size();
  }
}

/// mc: one stream per sample; draw after draw, within it position after position.
void add_draws(Vector& sum, const SequenceSample& s, const Estimator& estimator, std::uint64_t sample) {
  RandomStream random(estimator.seed, random_stream::kMonteCarlo, sample);
  for (std::size_t draw = 0; draw < estimator.draws; ++draw) {
    std::vector<std::size_t> labels;
    for (const Vector& z : s.z) {
      const Vector p = softmax(z);
      const double uniform = random.next_uniform();
      std::size_t label = 0;
      for (double cumulative = p[0]; cumulative <= uniform && label + 1 < z.size();) cumulative += p[++label];
      labels.push_back(label);
    }
    add_seeds(sum, s, residuals(s, labels), estimator.unit, 1 / static_cast<double>(estimator.draws));
  }
}

/// sketch: signs of whole words for each position of each draw.
void add_sketches(Vector& sum, const SequenceSample& s, const Estimator& estimator, std::uint64_t sample) {
  RandomStream random(estimator.seed, random_stream::kSketch, sample);
  const std::size_t classes = s.classes();
  for (std::size_t draw = 0; draw < estimator.draws; ++draw) {
    std::vector<Vector> seeds;
    for (const Vector& z : s.z) {
      const Vector l = cholesky(score_covariance(kCategorical, z), classes);
      Vector seed(classes, 0.0);
      std::uint32_t word = 0;
      for (std::size_t k = 0; k + 1 < classes; ++k) {
        if (k % 32 == 0) word = random.next_u32();
        const double sign = (word >> (k % 32)) % 2 == 1 ? -1 : 1;
        for (std::size_t c = 0; c < classes; ++c) seed[c] += sign * l[c * classes + k];
      }
      seeds.push_back(seed);
    }
    add_seeds(sum, s, seeds, estimator.unit, 1 / static_cast<double>(estimator.draws));
  }
}

std::vector<std::size_t> data_labels(const SequenceSample& s) {
  std::vector<std::size_t> labels;
  for (std::size_t t = 0; t < s.z.size(); ++t)
    labels.push_back(s.counts(t) ? static_cast<std::size_t>(s.labels[t]) : 0);
  return labels;
}

void add_sequence(Vector& sum, const SequenceSample& s, const Estimator& estimator, std::uint64_t sample) {
  if (estimator.kind == EstimatorKind::Exact) return add_all_labellings(sum, s, estimator.unit);
  if (estimator.kind == EstimatorKind::MonteCarlo) return add_draws(sum, s, estimator, sample);
  if (estimator.kind == EstimatorKind::Sketch) return add_sketches(sum, s, estimator, sample);
  std::vector<std::size_t> labels = data_labels(s);
  if (estimator.kind == EstimatorKind::Predicted)
    for (std::size_t t = 0; t < labels.size(); ++t)
      labels[t] = static_cast<std::size_t>(mode(kCategorical, s.z[t])[0]);
  add_seeds(sum, s, residuals(s, labels), estimator.unit, 1);
}

}  // namespace

Samples random_sequences(std::size_t count, std::size_t inputs, std::size_t tokens, std::size_t positions,
                         std::size_t classes, std::size_t ignored, std::uint64_t seed) {
  Samples samples;
  samples.features = inputs;
  samples.target_width = positions;
  samples.kind = TargetKind::Values;
  RandomStream random(seed, random_stream::kTest, 2);
  for (std::size_t i = 0; i < count * inputs; ++i)
    samples.inputs.push_back(static_cast<float>(tokens ? static_cast<double>(random.next_below(tokens))
                                                       : 2 * random.next_uniform() - 1));
  for (std::size_t i = 0; i < count * positions; ++i) {
    const bool ignore = ignored && random.next_below(ignored) == 0;
    samples.targets.push_back(ignore ? static_cast<float>(kIgnored)
                                     : static_cast<float>(random.next_below(classes)));
  }
  return samples;
}

Vector sequence_diagonal(const Mlp& mlp, const Samples& samples, std::size_t positions,
                         const Estimator& estimator) {
  Vector sum(mlp.parameters.size(), 0.0);
  const bool batched = estimator.kind == EstimatorKind::Batched;
  const std::size_t step = batched ? estimator.batch_size : 1;
  std::size_t terms = 0;
  for (std::size_t first = 0; first < samples.size(); first += step, ++terms) {
    const std::size_t end = std::min(first + step, samples.size());
    Vector mean(sum.size(), 0.0);
    for (std::size_t n = first; n < end; ++n) {
      const SequenceSample s(mlp, samples.input(n), samples.target(n), positions);
      if (!batched) {
        add_sequence(sum, s, estimator, n);
        continue;
      }
      const Vector g = s.gradient_of(residuals(s, data_labels(s)), SequenceSample::kAll);
      for (std::size_t i = 0; i < g.size(); ++i) mean[i] += g[i] / static_cast<double>(end - first);
    }
    if (batched) add_square(sum, mean, 1);
  }
  for (double& value : sum) value /= static_cast<double>(terms);
  return sum;
}

SequenceLoss sequence_loss(const Mlp& mlp, const Samples& samples, std::size_t positions,
                           Likelihood likelihood) {
  SequenceLoss loss;
  loss.gradient.assign(mlp.parameters.size(), 0.0);
  const auto count = static_cast<double>(samples.size());
  const std::size_t width = samples.target_width / positions;
  for (std::size_t n = 0; n < samples.size(); ++n) {
    const Vector x = samples.input(n), targets = samples.target(n), all = forward(mlp, x);
    const std::size_t classes = all.size() / positions;
    Vector seed(all.size(), 0.0);
    for (std::size_t t = 0; t < positions; ++t) {
      const Vector z(all.begin() + t * classes, all.begin() + (t + 1) * classes);
      const Vector target(targets.begin() + t * width, targets.begin() + (t + 1) * width);
      if (likelihood == kCategorical && target[0] == kIgnored) continue;
      ++loss.counted;
      if (likelihood == kCategorical && mode(likelihood, z) == target) ++loss.correct;
      loss.nll += nll(likelihood, z, target) / count;
      const Vector residual = nll_gradient(likelihood, z, target);
      std::copy(residual.begin(), residual.end(), seed.begin() + t * classes);
    }
    const Vector own = gradient(mlp, x, seed);
    for (std::size_t i = 0; i < own.size(); ++i) loss.gradient[i] += own[i] / count;
  }
  return loss;
}

}  // namespace fisherdiag::reference
