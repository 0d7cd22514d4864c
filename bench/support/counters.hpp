// Counters every benchmark reports, as rates by the wall clock and as fractions of what the machine can do.
#pragma once

#include <benchmark/benchmark.h>

#include <functional>

#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag::bench {

/// Work of one iteration; zeros are left out of the report.
struct Work {
  double samples = 0;
  double flops = 0;
  double bytes = 0;
};

/// A context kept for the whole run, made on first use.
const Context& shared_context(int threads, Isa isa);

/// Times `body` until Google Benchmark is satisfied and sets `samples_per_second`, `flops`, `peak_fraction`,
/// `bytes_per_second`, `bandwidth_fraction` and `peak_rss_bytes`. The multiply-add peak is measured right
/// before and after, in this process, for this context: the machine's speed drifts. `body` returns seconds to
/// count instead of its own duration, or a negative number.
void run_timed(benchmark::State& state, const Context& context, const Work& work,
               const std::function<double()>& body);

}  // namespace fisherdiag::bench
