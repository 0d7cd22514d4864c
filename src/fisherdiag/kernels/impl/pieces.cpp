// Contracts: kernels/pieces.hpp.
#include "fisherdiag/kernels/pieces.hpp"

#include "fisherdiag/kernels/impl/sweep.hpp"
#include "fisherdiag/kernels/impl/tiles.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

using Mask = decltype(Vec() > Vec());

/// True from `lane` on.
FISHERDIAG_INLINE Mask lanes_from(std::int32_t lane) {
  alignas(64) float numbers[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) numbers[i] = static_cast<float>(i);
  return load_aligned(numbers) >= Vec(static_cast<float>(lane));
}

/// Calls f(r, where the patch of row first_row + r starts).
template <class F>
FISHERDIAG_INLINE void for_rows(const PiecewisePatches& patches, const float* grid, std::size_t first_row,
                                std::size_t rows, const F& f) {
  std::size_t t = first_row % patches.positions;
  const float* sample = grid + first_row / patches.positions * patches.sample_floats;
  for (std::size_t r = 0; r < rows;) {
    const std::size_t count = smaller(patches.positions - t, rows - r);
    for (std::size_t i = 0; i < count; ++i) f(r + i, sample + patches.bases[t + i]);
    r += count;
    t = 0;
    sample += patches.sample_floats;
  }
}

/// Zeroes what no position of a sample covers.
void clear_padding(const PaddedGrid& layout, std::size_t channels, float* sample) {
  const auto clear = [&](std::size_t begin, std::size_t end) {
    sweep(end - begin,
          [&](std::size_t i, const auto& access) { access.store(sample + begin + i, Vec(0.f)); });
  };
  std::size_t covered = 0;
  for (std::size_t t = 0; t < layout.positions; ++t) {
    const auto offset = static_cast<std::size_t>(layout.offsets[t]);
    if (offset > covered) clear(covered, offset);
    covered = offset + channels;
  }
  clear(covered, layout.sample_floats);
}

/// One strip whose vectors are put together from `Pieces` pieces.
template <int Pieces>
void gather_strip(const PiecewisePatches& patches, const PatchPiece* pieces, const float* grid,
                  std::size_t first_row, std::size_t rows, float* to) {
  Mask own[Pieces];
  std::ptrdiff_t offset[Pieces];
  for (int p = 0; p < Pieces; ++p) {
    own[p] = lanes_from(pieces[p].lane);
    offset[p] = pieces[p].offset;
  }
  for_rows(patches, grid, first_row, rows, [&](std::size_t r, const float* patch) {
    Vec v = load(patch + offset[0]);
#pragma GCC unroll 8
    for (int p = 1; p < Pieces; ++p) v = xsimd::select(own[p], load(patch + offset[p]), v);
    store_aligned(to + r * kLanes, v);
  });
}

}  // namespace

void pad_grid(const PaddedGrid& layout, const ConstStrips& narrow, float* grid) noexcept {
  const std::size_t strips = (narrow.cols + kLanes - 1) / kLanes;
  for (std::size_t row = 0; row < narrow.rows; row += layout.positions, grid += layout.sample_floats) {
    // Whole vectors: what the last one writes too much is the next position's, padding, or past the sample.
    for (std::size_t t = 0; t < layout.positions; ++t) {
      const float* from = narrow.data + (row + t) * kLanes;
      float* to = grid + layout.offsets[t];
      for (std::size_t s = 0; s < strips; ++s) store(to + s * kLanes, load_aligned(from + s * narrow.stride));
    }
    clear_padding(layout, narrow.cols, grid);
  }
}

void gather_pieces(const PiecewisePatches& patches, const float* grid, std::size_t first_row,
                   std::size_t first_strip, const Strips& wide) noexcept {
  for (std::size_t s = 0; s * kLanes < wide.cols; ++s) {
    const std::int32_t* begin = patches.piece_begin + first_strip + s;
    const PatchPiece* pieces = patches.pieces + begin[0];
    float* to = wide.data + s * wide.stride;
    with_constant<static_cast<int>(kLanes)>(static_cast<std::size_t>(begin[1] - begin[0]), [&](auto count) {
      gather_strip<decltype(count)::value>(patches, pieces, grid, first_row, wide.rows, to);
    });
  }
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
