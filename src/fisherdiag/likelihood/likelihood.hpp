// What the network's outputs z (the "logits") say about a target y.
#pragma once

#include <optional>
#include <string_view>

namespace fisherdiag {

/// nll = -log p(y | z) in nats, summed over outputs.
enum class Likelihood {
  Categorical,  ///< y in {0..C-1}, p = softmax(z)
  Gaussian,     ///< y in R^C, y ~ N(z, I): nll = 1/2 |y - z|^2 + const
  Bernoulli,    ///< y in {0,1}^C independent, P(y_c = 1) = sigmoid(z_c)
  Poisson,      ///< y in {0,1,2,...}^C independent, rate exp(z_c)
};

/// "categorical", "gaussian", "bernoulli" or "poisson".
std::string_view likelihood_name(Likelihood likelihood);
std::optional<Likelihood> likelihood_from_name(std::string_view name);

}  // namespace fisherdiag
