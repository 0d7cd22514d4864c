// What the metadata of a diagonal says about the samples it comes from.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fisherdiag/fisher/subset.hpp"

namespace fisherdiag {

struct SamplingRecord {
  SubsetKind subset = SubsetKind::All;
  std::uint64_t population = 0;  ///< samples of the data; 0 if all of them were asked for
  std::optional<double> until;   ///< the relative standard error asked for
  /// Of trace(F) in the units of F, against the same estimator over all data. Missing for all data, for
  /// batched, and where too few samples were taken to tell.
  std::optional<double> trace_standard_error;
  std::optional<double> relative_trace_standard_error;
  std::vector<double> layer_trace_standard_error;  ///< of each layer's weight and bias together

  /// Adds `subset`, `population`, `until`, `trace_standard_error`, ... where they say something.
  void add_to(std::map<std::string, std::string>& strings) const;
  /// Missing entries keep their defaults; malformed ones throw DataError.
  static SamplingRecord from_strings(const std::map<std::string, std::string>& strings);
};

}  // namespace fisherdiag
