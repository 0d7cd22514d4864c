// Contract: kernels/skip.hpp. One row of F and some vectors of the patches at a time: each element of left's
// column that is not zero adds its multiple of a patch, which is read where it lies.
#include "fisherdiag/kernels/impl/gram_tiles.hpp"
#include "fisherdiag/kernels/impl/nonzeros.hpp"
#include "fisherdiag/kernels/impl/outer_finish.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

GridGramSquared grid_gram_squared;

namespace {

/// Vectors of a patch taken at a time: their sums and an entry's value are in registers.
#if defined(__AVX512F__)
constexpr int kMostTogether = 18;
#else
constexpr int kMostTogether = 12;
#endif

/// What pays() counts with.
#if defined(__AVX512F__)
constexpr double kEntryCost = 2, kListCost = 4, kPartCost = 25, kSumCost = 3;
#else
constexpr double kEntryCost = 3, kListCost = 8, kPartCost = 40, kSumCost = 4;
#endif

/// Some columns of F: `Cols` strips, neighbours in the grid, of each of `Runs` equal runs.
template <int Runs, int Cols>
struct Part {
  static constexpr int kStrips = Runs * Cols;
  std::size_t strip;     // the first
  std::size_t run_step;  // strips from one run to the next
  float* sums;           // kLanes rows of kStrips vectors
  std::size_t at(std::size_t i) const { return strip + i / Cols * run_step + i % Cols; }
};

/// One strip of left, whose columns are rows of F, of one sample.
struct Section {
  const GridGramArguments& g;
  const GridSkipScratch& scratch;
  std::size_t strip, rows, sample;
  std::uint32_t counts[kLanes];

  FISHERDIAG_INLINE NonZero* entries(std::size_t row) const {
    return scratch.entries + row * grid_gram_list(g.right.positions, kLanes);
  }
};

void list_columns(Section& s) {
  const std::size_t positions = s.g.right.positions;
  const float* left = s.g.left.data + s.strip * s.g.left.stride + s.sample * positions * kLanes;
  NonZero* out[kLanes];
  for (std::size_t r = 0; r < kLanes; ++r) out[r] = s.entries(r);
  for (std::size_t t = 0; t < positions; t += kLanes)
    append_columns(left + t * kLanes, smaller(kLanes, positions - t), TableOffsets{s.g.right.bases + t}, out);
  for (std::size_t r = 0; r < kLanes; ++r) s.counts[r] = static_cast<std::uint32_t>(out[r] - s.entries(r));
}

/// part.sums += the square of the sample's gradient.
template <int Runs, int Cols>
void add_part(const Section& s, const Part<Runs, Cols>& part) {
  const float* sample = s.g.right.grid + s.sample * s.g.right.sample_floats;
  std::ptrdiff_t runs[Runs];
  for (int i = 0; i < Runs; ++i) runs[i] = s.g.strips[part.at(static_cast<std::size_t>(i * Cols))].offset;
  for (std::size_t r = 0; r < s.rows; ++r) {
    Vec acc[Runs][Cols];
#pragma GCC unroll 8
    for (int i = 0; i < Runs; ++i)
#pragma GCC unroll 18
      for (int c = 0; c < Cols; ++c) acc[i][c] = Vec(0.f);
    const NonZero *entry = s.entries(r), *end = entry + s.counts[r];
    for (; entry != end; ++entry) {
      const Vec value(entry->value);
      const float* patch = sample + entry->offset;
#pragma GCC unroll 8
      for (int i = 0; i < Runs; ++i) {
        const float* run = patch + runs[i];
#pragma GCC unroll 18
        for (int c = 0; c < Cols; ++c) acc[i][c] = multiply_add(value, load(run + c * kLanes), acc[i][c]);
      }
    }
    float* sum = part.sums + r * part.kStrips * kLanes;
#pragma GCC unroll 8
    for (int i = 0; i < Runs; ++i)
#pragma GCC unroll 18
      for (int c = 0; c < Cols; ++c, sum += kLanes)
        store_aligned(sum, multiply_add(acc[i][c], acc[i][c], load_aligned(sum)));
  }
}

template <int Runs, int Cols>
void add_to_fisher(const Section& s, const Part<Runs, Cols>& part) {
  constexpr AddToDouble add_to;
  const float* sums = part.sums;
  for (std::size_t r = 0; r < s.rows; ++r)
    for (std::size_t i = 0; i < part.kStrips; ++i, sums += kLanes) {
      const GridStrip& columns = s.g.strips[part.at(i)];
      double* to = s.g.fisher + (s.strip * kLanes + r) * s.g.stride + columns.column;
      if (columns.count == kLanes)
        add_to(sums, to, kLanes);  // a constant count: unrolled
      else
        add_to(sums, to, static_cast<std::size_t>(columns.count));
    }
}

/// Strips from `strip` on that are neighbours in the grid.
std::size_t neighbours(const GridGramArguments& g, std::size_t strip) {
  std::size_t count = 1;
  while (strip + count < g.strip_count &&
         g.strips[strip + count].offset == g.strips[strip].offset + static_cast<int>(count * kLanes))
    ++count;
  return count;
}

/// Runs of `length` strips from `strip` on.
std::size_t equal_runs(const GridGramArguments& g, std::size_t strip, std::size_t length) {
  std::size_t count = 0;
  while (strip < g.strip_count && neighbours(g, strip) == length) {
    strip += length;
    ++count;
  }
  return count;
}

/// Calls f(Part) for `Runs` runs of `length` strips.
template <int Runs, class F>
FISHERDIAG_INLINE void for_runs(std::size_t strip, std::size_t length, float* sums, const F& f) {
  constexpr int kMost = kMostTogether / Runs;
  const EvenParts parts(length, kMost);
  for (std::size_t p = 0; p < parts.parts; ++p)
    with_constant<kMost>(parts.size(p), [&](auto cols) {
      f(Part<Runs, decltype(cols)::value>{strip + parts.begin(p), length,
                                          sums + parts.begin(p) * Runs * kLanes * kLanes});
    });
}

/// Calls f(Part) for all columns.
template <class F>
FISHERDIAG_INLINE void for_parts(const GridGramArguments& g, const GridSkipScratch& scratch, const F& f) {
  for (std::size_t strip = 0; strip < g.strip_count;) {
    const std::size_t length = neighbours(g, strip), runs = equal_runs(g, strip, length);
    float* sums = scratch.sums + strip * kLanes * kLanes;
    if (runs >= 5 && length * 5 <= kMostTogether) {
      for_runs<5>(strip, length, sums, f);
      strip += 5 * length;
    } else if (runs >= 3) {
      for_runs<3>(strip, length, sums, f);
      strip += 3 * length;
    } else {
      for_runs<1>(strip, length, sums, f);
      strip += length;
    }
  }
}

/// Whether leaving out zeros is faster, by what one row of F and one sample take, in multiply-adds of a
/// vector: each entry is listed and fetched for every part of the columns, each part ends a loop astray, and
/// the sums come from the second-level cache. docs/performance.md has the measurements.
bool pays(const GridGramArguments& g, const GridSkipScratch& scratch) {
  if (!scratch.entries || g.traces) return false;
  const auto strips = static_cast<double>(g.strip_count), positions = static_cast<double>(g.right.positions);
  double parts = 0;
  for_parts(g, scratch, [&](const auto&) { ++parts; });
  const double entries = positions * nonzero_share(g.left);
  const double skipping =
      entries * (strips + kEntryCost * parts + kListCost) + kPartCost * parts + kSumCost * strips;
  return skipping < positions * strips;
}

}  // namespace

void grid_gram_squared_skip(const GridGramArguments& g, const GridSkipScratch& scratch) noexcept {
  if (!pays(g, scratch)) return grid_gram_squared(g);
  const std::size_t samples = g.left.rows / g.right.positions;
  for (std::size_t row = 0; row < g.left.cols; row += kLanes)
    for (std::size_t chain = 0; chain < samples; chain += kChain) {
      Section s{g, scratch, row / kLanes, smaller(kLanes, g.left.cols - row), chain, {}};
      for (std::size_t i = 0; i < grid_gram_sums(g.strip_count, kLanes); ++i) scratch.sums[i] = 0;
      for (; s.sample < smaller(chain + kChain, samples); ++s.sample) {
        list_columns(s);
        for_parts(g, scratch, [&](const auto& part) { add_part(s, part); });
      }
      for_parts(g, scratch, [&](const auto& part) { add_to_fisher(s, part); });
    }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
