// The kernels of both units.
#include "fisherdiag/kernels/impl/bf16/layers.hpp"
#include "fisherdiag/kernels/impl/bf16/outer.hpp"

namespace fisherdiag::kernels::bf16 {

Bf16LinesFromRows lines_from_rows;
Bf16LinesFromColumns lines_from_columns;
Bf16PairsFromRows pairs_from_rows;
Bf16LineSums line_sums;
Bf16LineDepthSums line_depth_sums;
Bf16PairDepthSums pair_depth_sums;

const Bf16Kernels& dot_kernels();
const Bf16Kernels& tile_kernels();

namespace {

template <class Unit>
constexpr Bf16Kernels kernels_of(Bf16Unit unit) {
  return {unit,           lines_from_rows, lines_from_columns, pairs_from_rows, forward<Unit>,
          backward<Unit>, outer<Unit>,     line_sums,          line_depth_sums, pair_depth_sums};
}

}  // namespace

const Bf16Kernels& dot_kernels() {
  static constexpr Bf16Kernels kKernels = kernels_of<DotUnit>(Bf16Unit::Avx512Bf16);
  return kKernels;
}

const Bf16Kernels& tile_kernels() {
  static constexpr Bf16Kernels kKernels = kernels_of<TileUnit>(Bf16Unit::AmxBf16);
  return kKernels;
}

}  // namespace fisherdiag::kernels::bf16
