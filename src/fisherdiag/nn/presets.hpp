// Networks known by name. Internal to nn/.
#pragma once

#include <optional>
#include <string>

#include "fisherdiag/nn/graph.hpp"

namespace fisherdiag {

/// `lenet5` (28 x 28 x 1, 61,706 parameters; LeCun et al. 1998 with ReLU and max pooling), `cnn-s` (three
/// convolutions and two dense layers on 32 x 32 x 3, 620,362), `vgg11` (configuration A of Simonyan and
/// Zisserman 2015 on 32 x 32 x 3 with one dense layer, 9,225,610), `resnet18-reduced` (van de Ven
/// 2025 on 32 x 32 x 3, 1,094,770), `transformer-tiny` and `transformer-small` (presets_transformer.hpp);
/// nullopt for another name.
std::optional<Graph> preset_graph(const std::string& name);

/// All of them: "lenet5, cnn-s, ...".
std::string preset_names();

}  // namespace fisherdiag
