#include "fisherdiag/likelihood/output_model.hpp"

#include <sstream>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag::detail {

std::unique_ptr<OutputModel> make_output_model(Likelihood likelihood, std::size_t outputs,
                                               const kernels::KernelTable& kernels) {
  switch (likelihood) {
    case Likelihood::Categorical:
      return make_categorical(outputs, kernels);
    case Likelihood::Gaussian:
      return make_gaussian(outputs);
    case Likelihood::Bernoulli:
      return make_bernoulli(outputs);
    case Likelihood::Poisson:
      return make_poisson(outputs);
  }
  throw ArgumentError("unknown likelihood");
}

void throw_bad_target(std::uint64_t sample, std::size_t output, float value, const std::string& reason) {
  std::ostringstream text;
  text << "sample " << sample << ": target " << output << " is " << value << ", which is " << reason;
  throw DataError(text.str());
}

}  // namespace fisherdiag::detail
