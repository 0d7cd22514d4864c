// Each group of benchmarks registers itself here; main.cpp calls them all.
#pragma once

#include <string>
#include <vector>

#include "fisherdiag/base/isa.hpp"

namespace fisherdiag::bench {

struct Settings {
  std::vector<int> threads;  ///< 1, 2, ... all
  std::vector<Isa> isas;     ///< levels kernels are measured at
  Isa isa;                   ///< level of fisher/ and step/
};

void register_kernel_benchmarks(const Settings& settings);
void register_fisher_benchmarks(const Settings& settings);
void register_preset_benchmarks(const Settings& settings);
void register_step_benchmarks(const Settings& settings);

}  // namespace fisherdiag::bench
