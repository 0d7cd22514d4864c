// What `compute` says about samples that stand for others.
#pragma once

#include <string>

#include "cli/output.hpp"
#include "fisherdiag/fisher/diagonal.hpp"

namespace fisherdiag::cli {

/// Adds the entries of SamplingRecord, `until_reached` and each layer's relative error; nothing for all
/// samples.
void add_sampling(Json& json, const FisherDiagonal& fisher);

/// " +- 0.012 (1.3%) from 500 of 60,000 samples, ..." to follow the trace; empty for all samples.
std::string sampling_text(const FisherDiagonal& fisher);

}  // namespace fisherdiag::cli
