#include "fisherdiag/fisher/checkpoint.hpp"
#include "fisherdiag/fisher/sampling.hpp"
#include "fuzz/sums.hpp"
#include "fuzz/target.hpp"

using namespace fisherdiag;

/// A checkpoint of three parameters, signed so that what comes after its SHA-256 is reached.
FISHERDIAG_FUZZ_TARGET(checkpoint) {
  const std::string path = fuzz::path_of(fuzz::signed_sums(input));
  Checkpointer checkpointer({path, 0, true}, {{"seed", "1"}}, 3);
  const std::optional<PassState> state = checkpointer.take_state();
  if (!state || state->running.size() != 3 || (!state->total.empty() && state->total.size() != 3))
    std::abort();
  for (const AlignedBuffer<double>& section : state->sections)
    if (section.size() != 3) std::abort();
  Sampling sampling({SubsetKind::Uniform, 40}, 0.1, 5000, 1, 1, true);
  const SampleRound& round = sampling.resume(state->rounds, state->moments);
  if (round.samples.size() != round.count) std::abort();
}
