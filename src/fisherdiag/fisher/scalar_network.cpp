#include "fisherdiag/fisher/scalar_network.hpp"

namespace fisherdiag::scalar {

std::vector<Vector<double>> backward(const Network& network, const std::vector<LayerState<double>>& states,
                                     const Vector<double>& seed) {
  const std::vector<LinearLayer>& layers = network.architecture().layers();
  std::vector<Vector<double>> deltas(layers.size());
  deltas.back() = seed;
  for (std::size_t l = layers.size() - 1; l > 0; --l) {
    const std::size_t inputs = layers[l].inputs;
    Vector<double>& below = deltas[l - 1];
    below.assign(inputs, 0.0);
    for (std::size_t o = 0; o < layers[l].outputs; ++o)
      for (std::size_t i = 0; i < inputs; ++i)
        below[i] += static_cast<double>(network.weight(l)[o * inputs + i]) * deltas[l][o];
    for (std::size_t i = 0; i < inputs; ++i)
      below[i] *= activation_slope(layers[l - 1].activation, states[l - 1].sum[i]);
  }
  return deltas;
}

}  // namespace fisherdiag::scalar
