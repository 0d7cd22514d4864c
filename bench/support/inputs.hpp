// Networks and data to measure with.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/nn/network.hpp"

namespace fisherdiag::bench {

struct Model {
  std::string name;          ///< as in benchmark names, e.g. "mlp-784-256-256-10"
  std::string architecture;  ///< "mlp:784-256-256-10"
  std::size_t samples;       ///< of one timed pass: enough that what is done once per pass does not show
};

/// The five sizes of the design, 25k to 20M parameters.
const std::vector<Model>& models();

/// mlp-784-256-256-C for C = 2, 10, 100, 1000.
const std::vector<Model>& class_models();

/// Convolutional networks and others known by name.
const std::vector<Model>& preset_models();

Model find_model(const std::string& name);

/// Random weights (PyTorch's initialisation), kept for the whole run.
const Network& shared_network(const Model& model);

/// `samples` synthetic samples in memory, kept for the whole run.
Dataset& shared_data(const Model& model, std::size_t samples);

/// n floats in [0, 1), half of them 0.
std::vector<float> random_values(std::size_t n, std::uint64_t seed);

}  // namespace fisherdiag::bench
