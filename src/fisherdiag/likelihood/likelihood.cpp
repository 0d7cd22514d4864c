#include "fisherdiag/likelihood/likelihood.hpp"

namespace fisherdiag {

std::string_view likelihood_name(Likelihood likelihood) {
  switch (likelihood) {
    case Likelihood::Categorical:
      return "categorical";
    case Likelihood::Gaussian:
      return "gaussian";
    case Likelihood::Bernoulli:
      return "bernoulli";
    case Likelihood::Poisson:
      return "poisson";
  }
  return "categorical";
}

std::optional<Likelihood> likelihood_from_name(std::string_view name) {
  for (Likelihood likelihood :
       {Likelihood::Categorical, Likelihood::Gaussian, Likelihood::Bernoulli, Likelihood::Poisson})
    if (name == likelihood_name(likelihood)) return likelihood;
  return std::nullopt;
}

}  // namespace fisherdiag
