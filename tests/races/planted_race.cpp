// A race on purpose: two tasks add to one element without owning it. scripts/tsan.sh runs it to see that
// ThreadSanitizer catches what the library must never do; it is no test of the library.
#include <cstdio>

#include "fisherdiag/parallel/context.hpp"

int main() {
  const fisherdiag::Context context(2);
  double fisher = 0;
  for (int round = 0; round < 100; ++round)
    context.parallel_for(64, [&](std::size_t task, std::size_t) { fisher += static_cast<double>(task); });
  std::printf("%g\n", fisher);
}
