// The Fisher diagonal of a random network on two samples: enough to need every dependency of the library.
#include <fisherdiag/fisher/compute.hpp>

int main() {
  const auto network = fisherdiag::Network::random(fisherdiag::Architecture::parse("mlp:3-4-2"), 1);
  const auto data = fisherdiag::make_dataset({1, 2, 3, 4, 5, 6}, 3, {0, 1});
  const fisherdiag::Context context(2);
  const auto fisher = fisherdiag::compute_fisher(network, *data, {}, context);
  return fisher.values().size() == 26 && fisher.trace() > 0 ? 0 : 1;
}
