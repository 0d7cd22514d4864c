// Groups of kernel benchmarks.
#pragma once

#include <benchmark/benchmark.h>

#include <functional>
#include <string>

#include "support/register.hpp"

namespace fisherdiag::bench {

/// Registers kernel/<rest>.
void add_kernel(const std::string& rest, const std::function<void(benchmark::State&)>& body);

void register_product_benchmarks(const Settings& settings);
void register_gram_benchmarks(const Settings& settings);
void register_skip_benchmarks(const Settings& settings);
void register_grid_skip_benchmarks(const Settings& settings);
void register_sweep_benchmarks(const Settings& settings);

}  // namespace fisherdiag::bench
