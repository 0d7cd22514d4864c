// The level's table. Kernel functions are declared here by their contract types.
#include "fisherdiag/kernels/impl/simd.hpp"

namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE {

ToStrips to_strips;
TransposeToStrips transpose_to_strips;
FromStrips from_strips;
Gemm gemm;
SquaredOuter squared_outer;
AddOuter add_outer;
GramSquared gram_squared;
GramSquares gram_squares;
Outer outer;
GemmSkip gemm_skip;
SquaredOuterSkip squared_outer_skip;
AddOuterSkip add_outer_skip;
OuterSkip outer_skip;
GatherPatches gather_patches;
ScatterPatches scatter_patches;
PadGrid pad_grid;
GatherPieces gather_pieces;
GridGemm grid_gemm;
GridGramSquared grid_gram_squared;
GridGemmSkip grid_gemm_skip;
GridGramSquaredSkip grid_gram_squared_skip;
MaxPool max_pool;
MaxPoolBackward max_pool_backward;
Activate activate;
ActivateBackward activate_backward;
ActivateKeepingSlope activate_keeping_slope;
MultiplySlope multiply_slope;
ScaleColumns scale_columns;
NormForward norm_forward;
NormBackward norm_backward;
RowNormForward row_norm_forward;
RowNormBackward row_norm_backward;
TransposeStrips transpose_strips;
MaskedSoftmax masked_softmax;
SoftmaxBackward softmax_backward;
ColumnSums column_sums;
SoftmaxRows softmax_rows;
PenaltyValue penalty_value;
PenaltyGradient penalty_gradient;
PenaltyValueGradient penalty_value_gradient;
SgdStep sgd_step;
AdamStep adam_step;
MultiplyAddProbe multiply_add_probe;
TriadProbe triad_probe;

const KernelTable& table();
const KernelTable& table() {
  static constexpr KernelTable kTable {
#if defined(__AVX512F__)
    Isa::Avx512,
#elif defined(__AVX2__)
    Isa::Avx2,
#else
    Isa::Baseline,
#endif
        kLanes,
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
        true,
#else
        false,
#endif
        to_strips, transpose_to_strips, from_strips, gemm, squared_outer, add_outer, gram_squared,
        gram_squares, outer, gemm_skip, squared_outer_skip, add_outer_skip, outer_skip, gather_patches,
        scatter_patches, pad_grid, gather_pieces, grid_gemm, grid_gram_squared, grid_gemm_skip,
        grid_gram_squared_skip, max_pool, max_pool_backward, activate, activate_backward,
        activate_keeping_slope, multiply_slope, scale_columns, norm_forward, norm_backward, row_norm_forward,
        row_norm_backward, transpose_strips, masked_softmax, softmax_backward, column_sums, softmax_rows,
        penalty_value, penalty_gradient, penalty_value_gradient, sgd_step, adam_step, multiply_add_probe,
        triad_probe
  };
  return kTable;
}

}  // namespace fisherdiag::kernels::FISHERDIAG_KERNEL_NAMESPACE
