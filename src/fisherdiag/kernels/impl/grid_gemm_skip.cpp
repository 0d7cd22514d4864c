// Contract: kernels/skip.hpp. The numbers of a sample's padded grid that are not zero are listed once, place
// after place; a patch's run is a piece of that list.
#include "fisherdiag/kernels/impl/gemm_finish.hpp"
#include "fisherdiag/kernels/impl/nonzeros.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

GridGemm grid_gemm;

namespace {

/// Strips of c taken at a time.
constexpr int kMostStrips = 4;
/// Rows of b, as wide as that, that a first-level cache holds.
constexpr std::size_t kNearFloats = std::size_t{8} << 10;

/// What pays() counts with: multiply-adds from one of a chain to its next, and an entry's own loads.
#if defined(__AVX512F__)
constexpr double kLatency = 4, kEntryCost = 2;
#else
constexpr double kLatency = 8, kEntryCost = 3;
#endif

static_assert(kMostGridEntries <= (std::size_t{1} << 32) / kLanes);  // offsets have 32 bits

struct Lists {
  const GridGemmArguments& g;
  const GridSkipScratch& scratch;
  std::size_t features;
};

/// Offsets are of b's rows, in floats, if the grid's first number met its row 0.
void list_sample(const Lists& l, std::size_t sample) {
  const float* grid = l.g.rows.grid + sample * l.g.rows.sample_floats;
  NonZero* out = l.scratch.entries;
  for (std::size_t place = 0; place * l.features < l.g.rows.sample_floats; ++place) {
    const std::size_t first = place * l.features;
    l.scratch.starts[place] = static_cast<std::uint32_t>(out - l.scratch.entries);
    std::size_t i = 0;
#if defined(__AVX512F__)
    for (; i + kLanes <= l.features; i += kLanes)
      out = append_lanes(load(grid + first + i), counting_lanes(first + i, static_cast<int>(kLanes)), out);
#endif
    for (; i < l.features; ++i) {
      const float value = grid[first + i];
      *out = {value, static_cast<std::uint32_t>((first + i) * kLanes)};
      out += value != 0.f;
    }
  }
  l.scratch.starts[l.g.rows.sample_floats / l.features] = static_cast<std::uint32_t>(out - l.scratch.entries);
}

/// Part of a run of the patch: the places from `offset` on, and the row of b where they start.
struct Part {
  std::size_t offset, places, row;
  bool first, last;  // of the whole patch
};

template <int Cols>
void add_part(const Lists& l, const GemmArguments& finish, std::size_t sample, std::size_t strip,
              const Part& part) {
  const GridGemmArguments& g = l.g;
  const float* b = g.b.data + strip * g.b.stride;
  for (std::size_t t = 0; t < g.rows.positions; ++t) {
    const std::size_t start = static_cast<std::size_t>(g.rows.bases[t]) + part.offset;
    const std::uint32_t* lists = l.scratch.starts + start / l.features;
    const NonZero *entry = l.scratch.entries + lists[0], *end = l.scratch.entries + lists[part.places];
    const std::size_t row = sample * g.rows.positions + t;
    Tile<1, Cols> acc;
    start_chain(finish, {row, strip}, part.first && !g.add, acc);
    const std::ptrdiff_t shift =
        (static_cast<std::ptrdiff_t>(part.row) - static_cast<std::ptrdiff_t>(start)) *
        static_cast<std::ptrdiff_t>(kLanes);
    for (; entry != end; ++entry) {
      const Vec value(entry->value);
      const float* at = b + (static_cast<std::ptrdiff_t>(entry->offset) + shift);
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c)
        acc.v[0][c] =
            multiply_add(value, load_aligned(at + static_cast<std::size_t>(c) * g.b.stride), acc.v[0][c]);
    }
    end_chain<Nonlinearity::Identity>(finish, {row, strip}, part.last, acc);
  }
}

template <int Cols>
void column_block(const Lists& l, std::size_t sample, std::size_t strip) {
  GemmArguments finish;
  finish.c = l.g.c;
  finish.bias = l.g.bias;
  const std::size_t near = kNearFloats / (l.features * Cols * kLanes), most = near ? near : 1;
  std::size_t row = 0;
  for (std::size_t run = 0; run < l.g.run_count; ++run) {
    const std::size_t places = static_cast<std::size_t>(l.g.runs[run].length) / l.features;
    const EvenParts parts(places, most);
    for (std::size_t p = 0; p < parts.parts; ++p) {
      const std::size_t offset = static_cast<std::size_t>(l.g.runs[run].offset) + parts.begin(p) * l.features;
      add_part<Cols>(
          l, finish, sample, strip,
          {offset, parts.size(p), row, row == 0, run + 1 == l.g.run_count && p + 1 == parts.parts});
      row += parts.size(p) * l.features;
    }
  }
}

/// Whether leaving out zeros is faster, by what one number of a patch takes, in multiply-adds of a vector: an
/// entry's cannot be quicker than the one chain of each strip allows. The dense kernel halves a narrow last
/// strip.
bool pays(const GridGemmArguments& g, const ConstStrips& from, const GridSkipScratch& scratch) {
  if (!scratch.entries) return false;
  const std::size_t halves = (2 * g.c.cols + kLanes - 1) / kLanes, strips = (halves + 1) / 2;
  const double dense = kHasHalves ? 0.5 * static_cast<double>(halves) : static_cast<double>(strips);
  const EvenParts parts(strips, kMostStrips);
  double skipping = 0;
  for (std::size_t part = 0; part < parts.parts; ++part) {
    const auto width = static_cast<double>(parts.size(part));
    skipping += (width < kLatency ? kLatency : width) + kEntryCost;
  }
  return nonzero_share(from) * skipping < dense;
}

}  // namespace

void grid_gemm_skip(const GridGemmArguments& g, const ConstStrips& from, std::size_t features,
                    const GridSkipScratch& scratch) noexcept {
  if (!pays(g, from, scratch)) return grid_gemm(g);
  const Lists lists{g, scratch, features};
  const EvenParts parts((g.c.cols + kLanes - 1) / kLanes, kMostStrips);
  for (std::size_t n = 0; n * g.rows.positions < g.c.rows; ++n) {
    list_sample(lists, n);
    std::size_t strip = 0;
    for (std::size_t part = 0; part < parts.parts; ++part) {
      with_constant<kMostStrips>(parts.size(part),
                                 [&](auto cols) { column_block<decltype(cols)::value>(lists, n, strip); });
      strip += parts.size(part);
    }
  }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
