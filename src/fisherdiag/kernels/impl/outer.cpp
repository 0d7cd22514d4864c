// Contracts: kernels/outer.hpp.
#include "fisherdiag/kernels/impl/tiles.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

namespace {

/// One finished tile: floats in row-major order, Cols * kLanes to a row.
template <int Rows, int Cols>
struct alignas(64) Finished {
  float sum[Rows][Cols * kLanes];
};

template <int Rows, int Cols>
FISHERDIAG_INLINE void sum_products(const float* left, const float* right, std::size_t right_stride, std::size_t n,
                                    Finished<Rows, Cols>& finished) {
  Vec acc[Rows][Cols];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < Cols; ++c) acc[r][c] = Vec(0.f);
  for (std::size_t k = 0; k < n; ++k) {
    Vec b[Cols];
#pragma GCC unroll 4
    for (int c = 0; c < Cols; ++c) b[c] = load_aligned(right + c * right_stride + k * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Vec a(left[k * kLanes + r]);
#pragma GCC unroll 4
      for (int c = 0; c < Cols; ++c) acc[r][c] = multiply_add(a, b[c], acc[r][c]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < Cols; ++c) store_aligned(&finished.sum[r][c * kLanes], acc[r][c]);
}

struct AddToDouble {
  using Target = double;
  void operator()(const float* sum, double* target, std::size_t n) const {
    for (std::size_t i = 0; i < n; ++i) target[i] += static_cast<double>(sum[i]);
  }
};

struct AddSquareToDouble {
  using Target = double;
  double scale;
  void operator()(const float* sum, double* target, std::size_t n) const {
    for (std::size_t i = 0; i < n; ++i)
      target[i] += scale * (static_cast<double>(sum[i]) * static_cast<double>(sum[i]));
  }
};

struct StoreScaled {
  using Target = float;
  float scale;
  void operator()(const float* sum, float* target, std::size_t n) const {
    for (std::size_t i = 0; i < n; ++i) target[i] = scale * sum[i];
  }
};

/// Columns are asked for while the tile is still being summed; without it every tile ends waiting for memory.
template <int Rows, class T>
FISHERDIAG_INLINE void prefetch_target(const T* target, std::size_t stride, std::size_t columns) {
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
    for (std::size_t i = 0; i < columns; i += 64 / sizeof(T)) __builtin_prefetch(target + r * stride + i, 1);
}

template <int Rows, int Cols, class Finish, class T>
void tile(const float* left, const float* right, std::size_t right_stride, std::size_t n, const Finish& finish,
          T* target, std::size_t stride, std::size_t columns) {
  prefetch_target<Rows>(target, stride, columns);
  Finished<Rows, Cols> finished;
  sum_products(left, right, right_stride, n, finished);
  for (int r = 0; r < Rows; ++r) {
    if (columns == Cols * kLanes)
      finish(finished.sum[r], target + r * stride, Cols * kLanes);  // a constant count: unrolled
    else
      finish(finished.sum[r], target + r * stride, columns);
  }
}

/// All rows of `range` for `Cols` strips of `right` from `strip` on.
template <int Cols, class Finish>
void column_block(const ConstStrips& left, const ConstStrips& right, const OuterRange& range, std::size_t strip,
                  const Finish& finish, typename Finish::Target* target, std::size_t stride) {
  const std::size_t first_column = strip * kLanes;
  const std::size_t all = Cols * kLanes, rest = right.cols - first_column;
  const std::size_t columns = rest < all ? rest : all;
  for (std::size_t row = range.row_begin; row < range.row_end; row += kLanes) {
    const std::size_t rows = range.row_end - row < kLanes ? range.row_end - row : kLanes;
    const EvenParts parts(rows, kTileRows);
    std::size_t inner = 0;
    for (std::size_t part = 0; part < parts.parts; ++part) {
      const std::size_t height = parts.size(part);
      with_constant<kTileRows>(height, [&](auto tile_rows) {
        tile<decltype(tile_rows)::value, Cols>(left.data + row / kLanes * left.stride + inner,
                                               right.data + strip * right.stride, right.stride, left.rows, finish,
                                               target + (row + inner) * stride + first_column, stride, columns);
      });
      inner += height;
    }
  }
}

template <class Finish>
void run(const ConstStrips& left, const ConstStrips& right, const OuterRange& range, const Finish& finish,
         typename Finish::Target* target, std::size_t stride) {
  const EvenParts parts(range.strip_end - range.strip_begin, kTileStrips);
  std::size_t strip = range.strip_begin;
  for (std::size_t part = 0; part < parts.parts; ++part) {
    const std::size_t width = parts.size(part);
    with_constant<kTileStrips>(width, [&](auto cols) {
      column_block<decltype(cols)::value>(left, right, range, strip, finish, target, stride);
    });
    strip += width;
  }
}

}  // namespace

void squared_outer(const ConstStrips& left, const ConstStrips& right, const OuterRange& range, double* fisher,
                   std::size_t stride) noexcept {
  run(left, right, range, AddToDouble{}, fisher, stride);
}

void gram_squared(const ConstStrips& left, const ConstStrips& right, const OuterRange& range, double scale,
                  double* fisher, std::size_t stride) noexcept {
  run(left, right, range, AddSquareToDouble{scale}, fisher, stride);
}

void outer(const ConstStrips& left, const ConstStrips& right, const OuterRange& range, float scale, float* target,
           std::size_t stride) noexcept {
  run(left, right, range, StoreScaled{scale}, target, stride);
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
