// What makes two computations the same, so that their parts can be put together.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "fisherdiag/fisher/compute.hpp"

namespace fisherdiag {

/// Data sets up to this size are hashed whole; of larger ones as many evenly spaced samples, the first and
/// the last among them.
inline constexpr std::size_t kMostHashedBytes = std::size_t{256} << 20;
inline constexpr std::size_t kSpacedSamples = std::size_t{1} << 14;

/// SHA-256 of the sizes of a data set and of its samples and targets as floats, 64 digits. Not of its name:
/// the same data may lie elsewhere. `poll` is called between blocks and may throw.
std::string data_fingerprint(Dataset& data, const std::function<void()>& poll);

/// Everything the bits of the un-normalised sum depend on, by the name a message calls it. Threads, memory
/// and normalisation are not among it.
std::map<std::string, std::string> computation_identity(const Network& network, Dataset& data,
                                                        const FisherOptions& options, const Context& context);

/// Throws DataError naming what differs first: "FILE: belongs to another computation: its seed is 1, not 2".
void require_same_computation(const std::string& file, const std::map<std::string, std::string>& expected,
                              const std::map<std::string, std::string>& found);

}  // namespace fisherdiag
