// Contracts: kernels/patches.hpp.
#include "fisherdiag/kernels/patches.hpp"

#include "fisherdiag/kernels/impl/tiles.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

/// Consecutive columns that lie in one strip on both sides.
struct Run {
  const std::int32_t* rows;  // of the tap
  std::size_t narrow;        // floats from the narrow side's row to the first channel
  std::size_t lane, length;  // within the strip of the wide side
};

/// The runs that make up columns [column, column + lanes) of the wide side, at most one a lane.
struct Runs {
  Run run[kLanes];
  std::size_t count = 0;

  Runs(const PatchTable& table, std::size_t narrow_stride, std::size_t column) {
    const std::size_t end = smaller(column + kLanes, table.taps * table.channels);
    for (std::size_t j = column; j < end;) {
      const std::size_t tap = j / table.channels, channel = table.first_channel + j % table.channels;
      std::size_t length = smaller(end - j, kLanes - channel % kLanes);
      length = smaller(length, table.channels - j % table.channels);
      run[count++] = {table.rows + tap * table.positions, channel / kLanes * narrow_stride + channel % kLanes,
                      j - column, length};
      j += length;
    }
  }
  bool whole() const { return count == 1 && run[0].length == kLanes && run[0].narrow % kLanes == 0; }
};

/// Calls f(r, t, narrow row where the sample starts) for `rows` rows from first_row on.
template <class F>
FISHERDIAG_INLINE void for_rows(const PatchTable& table, std::size_t first_row, std::size_t rows,
                                const F& f) {
  std::size_t sample = first_row / table.positions, t = first_row % table.positions;
  for (std::size_t r = 0; r < rows;) {
    const std::size_t count = smaller(table.positions - t, rows - r);
    const std::size_t base = sample * table.narrow_positions;
    for (std::size_t i = 0; i < count; ++i) f(r + i, t + i, base);
    r += count;
    t = 0;
    ++sample;
  }
}

FISHERDIAG_INLINE std::size_t offset(std::size_t base, std::int32_t row) {
  return (base + static_cast<std::size_t>(row)) * kLanes;
}

/// Whether a vector at a run of narrow row `row` reaches into the next sample, whose rows may be another
/// thread's at that moment: neither read nor written.
FISHERDIAG_INLINE bool reaches_next_sample(const PatchTable& table, const Run& run, std::int32_t row) {
  return run.narrow % kLanes != 0 && static_cast<std::size_t>(row) + 1 == table.narrow_positions;
}

/// All ones in the lanes of a run.
FISHERDIAG_INLINE Vec run_mask(const Run& run) {
  alignas(64) float mask[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) mask[i] = i < run.length ? 1.f : 0.f;
  return load_aligned(mask);
}

}  // namespace

void gather_patches(const PatchTable& table, const ConstStrips& narrow, std::size_t first_row,
                    std::size_t first_column, const Strips& wide) noexcept {
  for (std::size_t column = 0; column < wide.cols; column += kLanes) {
    const Runs runs(table, narrow.stride, first_column + column);
    float* to = wide.data + column / kLanes * wide.stride;
    if (runs.whole()) {
      const Run run = runs.run[0];
      const float* from = narrow.data + run.narrow;
      for_rows(table, first_row, wide.rows, [&](std::size_t r, std::size_t t, std::size_t base) {
        const std::int32_t row = run.rows[t];
        store_aligned(to + r * kLanes, row == kNoRow ? Vec(0.f) : load_aligned(from + offset(base, row)));
      });
      continue;
    }
    // A store reaches past its run; the next run of the row or the next row's first repairs that.
    for_rows(table, first_row, wide.rows, [&](std::size_t r, std::size_t t, std::size_t base) {
      for (std::size_t i = 0; i < runs.count; ++i) {
        const Run& run = runs.run[i];
        const std::int32_t row = run.rows[t];
        float* const seen = to + r * kLanes + run.lane;
        if (row == kNoRow) {
          store(seen, Vec(0.f));
          continue;
        }
        const float* const from = narrow.data + run.narrow + offset(base, row);
        if (reaches_next_sample(table, run, row))
          for (std::size_t lane = 0; lane < run.length; ++lane) seen[lane] = from[lane];
        else
          store(seen, load(from));
      }
    });
  }
}

void scatter_patches(const PatchTable& table, const ConstStrips& wide, std::size_t first_row,
                     const Strips& narrow) noexcept {
  for (std::size_t column = 0; column < wide.cols; column += kLanes) {
    const Runs runs(table, narrow.stride, column);
    const float* from = wide.data + column / kLanes * wide.stride;
    for (std::size_t i = 0; i < runs.count; ++i) {
      const Run run = runs.run[i];
      const Vec mask = run_mask(run);
      const bool whole = runs.whole();
      for_rows(table, first_row, wide.rows, [&](std::size_t r, std::size_t t, std::size_t base) {
        const std::int32_t row = run.rows[t];
        if (row == kNoRow) return;
        float* to = narrow.data + run.narrow + offset(base, row);
        const float* const seen = from + r * kLanes + run.lane;
        const Vec value = load(seen);
        if (whole)
          store_aligned(to, load_aligned(to) + value);
        else if (reaches_next_sample(table, run, row))
          for (std::size_t lane = 0; lane < run.length; ++lane) to[lane] += seen[lane];
        else
          store(to, load(to) + xsimd::select(mask > Vec(0.f), value, Vec(0.f)));
      });
    }
  }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
