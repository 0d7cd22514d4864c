#include "reference/likelihood_reference.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/likelihood/poisson_draw.hpp"

namespace fisherdiag::reference {

namespace {
double sigmoid(double z) {
  return 1 / (1 + std::exp(-z));
}
}  // namespace

Vector softmax(const Vector& z) {
  Vector p(z.size());
  for (std::size_t c = 0; c < z.size(); ++c) {
    double sum = 0;
    for (double other : z) sum += std::exp(other - z[c]);
    p[c] = 1 / sum;
  }
  return p;
}

double nll(Likelihood likelihood, const Vector& z, const Vector& target) {
  double sum = 0;
  if (likelihood == Likelihood::Categorical) {
    const auto label = static_cast<std::size_t>(target[0]);
    for (std::size_t c = 0; c < z.size(); ++c)
      if (c != label) sum += std::exp(z[c] - z[label]);
    return std::log1p(sum);
  }
  for (std::size_t c = 0; c < z.size(); ++c) {
    const double y = target[c];
    if (likelihood == Likelihood::Gaussian)
      sum += 0.5 * (y - z[c]) * (y - z[c]) + 0.5 * std::log(2 * std::numbers::pi);
    else if (likelihood == Likelihood::Bernoulli)
      sum += std::log1p(std::exp(y == 1 ? -z[c] : z[c]));
    else
      sum += std::exp(z[c]) - y * z[c] + std::lgamma(y + 1);
  }
  return sum;
}

Vector nll_gradient(Likelihood likelihood, const Vector& z, const Vector& target) {
  Vector result(z.size());
  if (likelihood == Likelihood::Categorical) {
    const auto label = static_cast<std::size_t>(target[0]);
    const Vector p = softmax(z);
    double others = 0;
    for (std::size_t c = 0; c < z.size(); ++c)
      if (c != label) others += p[c];
    for (std::size_t c = 0; c < z.size(); ++c) result[c] = c == label ? -others : p[c];
    return result;
  }
  for (std::size_t c = 0; c < z.size(); ++c) {
    if (likelihood == Likelihood::Gaussian)
      result[c] = z[c] - target[c];
    else if (likelihood == Likelihood::Bernoulli)
      result[c] = target[c] == 1 ? -sigmoid(-z[c]) : sigmoid(z[c]);
    else
      result[c] = std::exp(z[c]) - target[c];
  }
  return result;
}

Vector score_covariance(Likelihood likelihood, const Vector& z) {
  const std::size_t n = z.size();
  Vector result(n * n, 0.0);
  const Vector p = softmax(z);
  for (std::size_t a = 0; a < n; ++a) {
    if (likelihood == Likelihood::Categorical) {
      for (std::size_t b = 0; b < n; ++b)
        if (a != b) {
          result[a * n + b] = -p[a] * p[b];
          result[a * n + a] += p[a] * p[b];
        }
    } else if (likelihood == Likelihood::Gaussian) {
      result[a * n + a] = 1;
    } else if (likelihood == Likelihood::Bernoulli) {
      result[a * n + a] = sigmoid(z[a]) * sigmoid(-z[a]);
    } else {
      result[a * n + a] = std::exp(z[a]);
    }
  }
  return result;
}

Vector cholesky(const Vector& m, std::size_t n) {
  Vector l(n * n, 0.0);
  for (std::size_t k = 0; k < n; ++k) {
    double pivot = m[k * n + k];
    for (std::size_t j = 0; j < k; ++j) pivot -= l[k * n + j] * l[k * n + j];
    if (pivot <= 1e-14 * m[k * n + k]) continue;
    l[k * n + k] = std::sqrt(pivot);
    for (std::size_t i = k + 1; i < n; ++i) {
      double sum = m[i * n + k];
      for (std::size_t j = 0; j < k; ++j) sum -= l[i * n + j] * l[k * n + j];
      l[i * n + k] = sum / l[k * n + k];
    }
  }
  return l;
}

Vector mode(Likelihood likelihood, const Vector& z) {
  if (likelihood == Likelihood::Categorical)
    return {static_cast<double>(std::max_element(z.begin(), z.end()) - z.begin())};
  Vector result(z);
  for (double& value : result) {
    if (likelihood == Likelihood::Bernoulli) value = value > 0 ? 1 : 0;
    if (likelihood == Likelihood::Poisson) value = std::floor(std::exp(value));
  }
  return result;
}

std::vector<Vector> drawn_gradients(Likelihood likelihood, const Vector& z, const Estimator& estimator,
                                    std::uint64_t sample) {
  RandomStream random(estimator.seed, random_stream::kMonteCarlo, sample);
  std::vector<Vector> result;
  for (std::size_t draw = 0; draw < estimator.draws; ++draw) {
    if (likelihood == Likelihood::Categorical) {
      const Vector p = softmax(z);
      const double uniform = random.next_uniform();
      std::size_t label = 0;
      for (double cumulative = p[0]; cumulative <= uniform && label + 1 < z.size();) cumulative += p[++label];
      result.push_back(nll_gradient(likelihood, z, {static_cast<double>(label)}));
      continue;
    }
    Vector target(z.size());
    for (std::size_t c = 0; c < z.size(); ++c) {
      if (likelihood == Likelihood::Gaussian)
        target[c] = z[c] + random.next_normal();
      else if (likelihood == Likelihood::Bernoulli)
        target[c] = random.next_uniform() < sigmoid(z[c]) ? 1 : 0;
      else
        target[c] = std::round(std::exp(z[c]) + draw_poisson_excess(std::exp(z[c]), random));
    }
    result.push_back(nll_gradient(likelihood, z, target));
  }
  return result;
}

std::vector<Vector> sketch_seeds(Likelihood likelihood, const Vector& z, const Estimator& estimator,
                                 std::uint64_t sample) {
  const std::size_t n = z.size();
  const std::size_t columns = likelihood == Likelihood::Categorical ? n - 1 : n;
  const Vector l = cholesky(score_covariance(likelihood, z), n);
  RandomStream random(estimator.seed, random_stream::kSketch, sample);
  std::vector<Vector> result;
  for (std::size_t draw = 0; draw < estimator.draws; ++draw) {
    Vector seed(n, 0.0);
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < columns; ++k) {
      if (k % 32 == 0) word = random.next_u32();
      const double sign = (word >> (k % 32)) % 2 == 1 ? -1 : 1;
      for (std::size_t c = 0; c < n; ++c) seed[c] += sign * l[c * n + k];
    }
    for (double& value : seed) value /= std::sqrt(static_cast<double>(estimator.draws));
    result.push_back(seed);
  }
  return result;
}

}  // namespace fisherdiag::reference
