// Graphs as JSON (docs/architecture-format.md). Internal to nn/.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "fisherdiag/nn/graph.hpp"

namespace fisherdiag {

/// `json` is an object with an array "layers" and "input" or "sequence"; `source` names it in errors.
/// FormatError; UnsupportedError naming a layer the engine does not cover.
Graph parse_graph(const nlohmann::json& json, const std::string& source);

nlohmann::json graph_json(const Graph& graph);

}  // namespace fisherdiag
