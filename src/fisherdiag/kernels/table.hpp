// All kernels of one instruction-set level, as function pointers.
#pragma once

#include <cstddef>

#include "fisherdiag/base/isa.hpp"
#include "fisherdiag/kernels/attention.hpp"
#include "fisherdiag/kernels/channels.hpp"
#include "fisherdiag/kernels/elementwise.hpp"
#include "fisherdiag/kernels/gemm.hpp"
#include "fisherdiag/kernels/gram.hpp"
#include "fisherdiag/kernels/outer.hpp"
#include "fisherdiag/kernels/patches.hpp"
#include "fisherdiag/kernels/penalty.hpp"
#include "fisherdiag/kernels/pieces.hpp"
#include "fisherdiag/kernels/pool.hpp"
#include "fisherdiag/kernels/probe.hpp"
#include "fisherdiag/kernels/row_norm.hpp"
#include "fisherdiag/kernels/skip.hpp"
#include "fisherdiag/kernels/softmax.hpp"
#include "fisherdiag/kernels/strips.hpp"
#include "fisherdiag/kernels/window.hpp"

namespace fisherdiag::kernels {

/// Contracts stand beside the types in the included headers. Every kernel is single-threaded and noexcept.
struct KernelTable {
  Isa isa;
  /// Floats per vector: the width of a strip (strips.hpp).
  std::size_t lanes;
  /// False where multiply-adds are two instructions (baseline x86-64).
  bool fused_multiply_add;

  ToStrips* to_strips;
  TransposeToStrips* transpose_to_strips;
  FromStrips* from_strips;
  Gemm* gemm;
  SquaredOuter* squared_outer;
  AddOuter* add_outer;
  GramSquared* gram_squared;
  GramSquares* gram_squares;
  Outer* outer;
  GemmSkip* gemm_skip;
  SquaredOuterSkip* squared_outer_skip;
  AddOuterSkip* add_outer_skip;
  OuterSkip* outer_skip;
  GatherPatches* gather_patches;
  ScatterPatches* scatter_patches;
  PadGrid* pad_grid;
  GatherPieces* gather_pieces;
  GridGemm* grid_gemm;
  GridGramSquared* grid_gram_squared;
  GridGemmSkip* grid_gemm_skip;
  GridGramSquaredSkip* grid_gram_squared_skip;
  MaxPool* max_pool;
  MaxPoolBackward* max_pool_backward;
  Activate* activate;
  ActivateBackward* activate_backward;
  ActivateKeepingSlope* activate_keeping_slope;
  MultiplySlope* multiply_slope;
  ScaleColumns* scale_columns;
  NormForward* norm_forward;
  NormBackward* norm_backward;
  RowNormForward* row_norm_forward;
  RowNormBackward* row_norm_backward;
  TransposeStrips* transpose_strips;
  MaskedSoftmax* masked_softmax;
  SoftmaxBackward* softmax_backward;
  ColumnSums* column_sums;
  SoftmaxRows* softmax_rows;
  PenaltyValue* penalty_value;
  PenaltyGradient* penalty_gradient;
  PenaltyValueGradient* penalty_value_gradient;
  SgdStep* sgd_step;
  AdamStep* adam_step;
  MultiplyAddProbe* multiply_add_probe;
  TriadProbe* triad_probe;
};

/// The kernels of a level that available_isas() lists.
const KernelTable& kernel_table(Isa isa);

}  // namespace fisherdiag::kernels
