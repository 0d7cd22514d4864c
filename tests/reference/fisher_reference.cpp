#include "reference/fisher_reference.hpp"

#include <cmath>

#include "fisherdiag/base/philox.hpp"

namespace fisherdiag::reference {

namespace {

void add_square(Vector& sum, const Vector& gradient, double weight) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weight * gradient[i] * gradient[i];
}

/// Expectation of the squared gradient over the model's own targets.
void add_exact(Vector& sum, const Mlp& mlp, const Vector& x, const Vector& z, Likelihood likelihood) {
  if (likelihood == Likelihood::Categorical) {
    const Vector p = softmax(z);
    for (std::size_t c = 0; c < z.size(); ++c)
      add_square(sum, gradient(mlp, x, nll_gradient(likelihood, z, {static_cast<double>(c)})), p[c]);
    return;
  }
  // Independent outputs: E[(sum_c r_c J_c)^2] = sum_c var(r_c) J_c^2.
  const Vector covariance = score_covariance(likelihood, z);
  for (std::size_t c = 0; c < z.size(); ++c) {
    Vector unit(z.size(), 0.0);
    unit[c] = 1;
    add_square(sum, gradient(mlp, x, unit), covariance[c * z.size() + c]);
  }
}

void add_sample(Vector& sum, const Mlp& mlp, const Vector& x, const Vector& target,
                const Estimator& estimator, Likelihood likelihood, std::uint64_t sample) {
  const Vector z = forward(mlp, x);
  switch (estimator.kind) {
    case EstimatorKind::Exact:
      return add_exact(sum, mlp, x, z, likelihood);
    case EstimatorKind::MonteCarlo:
      for (const Vector& drawn : drawn_gradients(likelihood, z, estimator, sample))
        add_square(sum, gradient(mlp, x, drawn), 1 / static_cast<double>(estimator.draws));
      return;
    case EstimatorKind::Sketch:
      for (const Vector& seed : sketch_seeds(likelihood, z, estimator, sample))
        add_square(sum, gradient(mlp, x, seed), 1);
      return;
    case EstimatorKind::Predicted:
      return add_square(sum, gradient(mlp, x, nll_gradient(likelihood, z, mode(likelihood, z))), 1);
    case EstimatorKind::Empirical:
    case EstimatorKind::Batched:
      return add_square(sum, gradient(mlp, x, nll_gradient(likelihood, z, target)), 1);
  }
}

/// Squares of the gradients of batch means; returns the number of batches.
std::size_t add_batches(Vector& sum, const Mlp& mlp, const Samples& samples, std::size_t batch_size,
                        Likelihood likelihood) {
  std::size_t batches = 0;
  for (std::size_t first = 0; first < samples.size(); first += batch_size, ++batches) {
    const std::size_t last = std::min(first + batch_size, samples.size());
    Vector mean(mlp.parameters.size(), 0.0);
    for (std::size_t n = first; n < last; ++n) {
      const Vector x = samples.input(n);
      const Vector g = gradient(mlp, x, nll_gradient(likelihood, forward(mlp, x), samples.target(n)));
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += g[i] / static_cast<double>(last - first);
    }
    add_square(sum, mean, 1);
  }
  return batches;
}

}  // namespace

Vector Samples::input(std::size_t n) const {
  return Vector(inputs.begin() + n * features, inputs.begin() + (n + 1) * features);
}

Vector Samples::target(std::size_t n) const {
  return Vector(targets.begin() + n * target_width, targets.begin() + (n + 1) * target_width);
}

Samples random_samples(std::size_t count, std::size_t inputs, std::size_t outputs, Likelihood likelihood,
                       std::uint64_t seed) {
  Samples samples;
  samples.features = inputs;
  const bool labels = likelihood == Likelihood::Categorical;
  samples.target_width = labels ? 1 : outputs;
  samples.kind = labels ? TargetKind::Labels : TargetKind::Values;
  RandomStream random(seed, random_stream::kTest, 0);
  for (std::size_t i = 0; i < count * inputs; ++i)
    samples.inputs.push_back(static_cast<float>(2 * random.next_uniform() - 1));
  for (std::size_t i = 0; i < count * samples.target_width; ++i) {
    double target = 0;
    if (labels) target = static_cast<double>(random.next_below(outputs));
    if (likelihood == Likelihood::Gaussian) target = random.next_normal();
    if (likelihood == Likelihood::Bernoulli) target = static_cast<double>(random.next_below(2));
    if (likelihood == Likelihood::Poisson) target = static_cast<double>(random.next_below(4));
    samples.targets.push_back(static_cast<float>(target));
  }
  return samples;
}

std::unique_ptr<Dataset> to_dataset(const Samples& samples) {
  if (samples.kind == TargetKind::Labels)
    return make_dataset(samples.inputs, samples.features,
                        std::vector<std::int32_t>(samples.targets.begin(), samples.targets.end()));
  return make_dataset(samples.inputs, samples.features, {}, samples.targets, samples.target_width);
}

Vector fisher_diagonal(const Mlp& mlp, const Samples& samples, const Estimator& estimator,
                       Likelihood likelihood, Normalization normalization) {
  Vector sum(mlp.parameters.size(), 0.0);
  std::size_t terms = samples.size();
  if (estimator.kind == EstimatorKind::Batched) {
    terms = add_batches(sum, mlp, samples, estimator.batch_size, likelihood);
  } else {
    for (std::size_t n = 0; n < samples.size(); ++n)
      add_sample(sum, mlp, samples.input(n), samples.target(n), estimator, likelihood, n);
  }
  if (normalization == Normalization::Mean)
    for (double& value : sum) value /= static_cast<double>(terms);
  return sum;
}

Vector sample_diagonal(const Mlp& mlp, const Samples& samples, std::size_t n, const Estimator& estimator,
                       Likelihood likelihood) {
  Vector term(mlp.parameters.size(), 0.0);
  add_sample(term, mlp, samples.input(n), samples.target(n), estimator, likelihood, n);
  return term;
}

Vector full_fisher(const Mlp& mlp, const Samples& samples, Likelihood likelihood) {
  const std::size_t parameters = mlp.parameters.size(), outputs = mlp.outputs();
  Vector result(parameters * parameters, 0.0);
  for (std::size_t n = 0; n < samples.size(); ++n) {
    const Vector x = samples.input(n);
    const Vector covariance = score_covariance(likelihood, forward(mlp, x));
    std::vector<Vector> jacobian;  // rows: d z_c / d theta
    for (std::size_t c = 0; c < outputs; ++c) {
      Vector unit(outputs, 0.0);
      unit[c] = 1;
      jacobian.push_back(gradient(mlp, x, unit));
    }
    for (std::size_t i = 0; i < parameters; ++i)
      for (std::size_t j = 0; j < parameters; ++j)
        for (std::size_t a = 0; a < outputs; ++a)
          for (std::size_t b = 0; b < outputs; ++b)
            result[i * parameters + j] += jacobian[a][i] * covariance[a * outputs + b] * jacobian[b][j] /
                                          static_cast<double>(samples.size());
  }
  return result;
}

double relative_error(const Vector& a, const Vector& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

double relative_error(const std::vector<float>& a, const Vector& b) {
  return relative_error(Vector(a.begin(), a.end()), b);
}

}  // namespace fisherdiag::reference
