// Products of bfloat16 operands with float32 sums: the pass at `--precision bf16`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "fisherdiag/base/isa.hpp"
#include "fisherdiag/kernels/gemm.hpp"

namespace fisherdiag::kernels {

/// A bfloat16 by its bits: the upper half of a float32, so 8 significant bits, u = 2^-8 to nearest.
using Bf16 = std::uint16_t;

/// How a block of 32 vectors by 32 depths lies in memory. Two 1 KiB tiles follow each other, of vectors 0-15
/// and 16-31.
///   Lines: a tile row is one vector, 32 consecutive depths (the left operand of a tile product).
///   Pairs: a tile row is one pair of depths, 16 vectors with 2 consecutive depths each (the right operand).
enum class Bf16Order { Lines, Pairs };

/// Vectors and depths of a block.
inline constexpr std::size_t kBf16Block = 32;
inline constexpr std::size_t kBf16BlockElements = kBf16Block * kBf16Block;

/// `vectors` vectors of a product's operand, each `depth` elements along the summed index, in blocks. Block
/// (v, k) starts at data + v * stride + k * kBf16BlockElements and is 64-byte aligned. What lies past
/// `vectors` and `depth` in a block is padding.
template <class T, Bf16Order order>
struct Bf16BlocksOf {
  T* data = nullptr;
  std::size_t vectors = 0;
  std::size_t depth = 0;
  std::size_t stride = 0;  ///< elements from one block of vectors to the next

  Bf16BlocksOf() = default;
  Bf16BlocksOf(T* data_, std::size_t vectors_, std::size_t depth_, std::size_t stride_)
      : data(data_), vectors(vectors_), depth(depth_), stride(stride_) {}
  operator Bf16BlocksOf<const T, order>() const { return {data, vectors, depth, stride}; }
  T* block(std::size_t v, std::size_t k) const { return data + v * stride + k * kBf16BlockElements; }
};
using Bf16Lines = Bf16BlocksOf<Bf16, Bf16Order::Lines>;
using Bf16Pairs = Bf16BlocksOf<Bf16, Bf16Order::Pairs>;
using ConstBf16Lines = Bf16BlocksOf<const Bf16, Bf16Order::Lines>;
using ConstBf16Pairs = Bf16BlocksOf<const Bf16, Bf16Order::Pairs>;

/// Blocks that hold n vectors or depths.
inline constexpr std::size_t bf16_blocks(std::size_t n) {
  return (n + kBf16Block - 1) / kBf16Block;
}

/// target(v, k) = source[v * source_stride + k], rounded to nearest even; padding becomes 0. Source any
/// alignment.
using Bf16LinesFromRows = void(const float* source, std::size_t source_stride,
                               const Bf16Lines& target) noexcept;

/// target(v, k) = source[k * source_stride + v].
using Bf16LinesFromColumns = void(const float* source, std::size_t source_stride,
                                  const Bf16Lines& target) noexcept;

/// Vectors are rows of the source. Each output may have no data:
///   target(v, k) = x = source[v * source_stride + k], rounded to nearest even or, with `dither`, at random:
///     to the neighbour above in magnitude with a probability (to 2^-16) of the way there, so that errors
///     have mean 0; the same for the same dither[v], k and x;
///   squared(k, v) = x^2, rounded once.
struct Bf16PairsArguments {
  const float* source = nullptr;
  std::size_t source_stride = 0;
  Bf16Pairs target;  ///< its shape counts
  Bf16Pairs squared;
  const std::uint32_t* dither = nullptr;  ///< a random word for each vector
};
using Bf16PairsFromRows = void(const Bf16PairsArguments&) noexcept;

/// Floats of scratch a product needs.
inline constexpr std::size_t kBf16ScratchFloats = std::size_t{256} * 512;

// Products. Each element is one float32 chain over the depth in the order of the unit, whatever is split off:
// the same bits for any split of vectors. Operands below 2^-126 count as 0. Padding of operands along the
// depth must be 0 in one and finite in the other. With |left|, |right| the bfloat16 operands: |error| <=
// gamma(2 depth) sum |left right|, u = 2^-24. Cost: 2 * (vectors of left) * (vectors of right) * depth flop,
// vectors and depth in whole blocks.

/// A layer's outputs a(o, n) = f( sum_k weight(o, k) input(n, k) + bias[o] ) for N samples.
struct Bf16ForwardArguments {
  ConstBf16Lines weight;        ///< [O vectors, K]
  ConstBf16Pairs input;         ///< [N vectors, K]
  const float* bias = nullptr;  ///< O floats padded with zeros to whole blocks
  Nonlinearity nonlinearity = Nonlinearity::Identity;
  Bf16Pairs output;         ///< a, [N vectors, O]; may have no data
  Bf16Pairs slope;          ///< f' at a, laid out as output; may have no data
  Bf16Pairs squared;        ///< a^2 rounded once, [O vectors, N]; may have no data
  float* values = nullptr;  ///< a in float32, values[n * values_stride + o]; may be nullptr
  std::size_t values_stride = 0;
  float* scratch = nullptr;  ///< kBf16ScratchFloats, 64-byte aligned
};
using Bf16Forward = void(const Bf16ForwardArguments&) noexcept;

/// Sensitivities of the layer below, d(i, r) = sum_o weight(i, o) delta(r, o) * f'(i, n) for G = groups rows
/// r = g N' + n of each sample n, N' being N in whole blocks; and their squares summed over g in order.
struct Bf16BackwardArguments {
  ConstBf16Lines weight;  ///< [I vectors, O]
  ConstBf16Pairs delta;   ///< [G N' vectors, O]
  Nonlinearity nonlinearity = Nonlinearity::Identity;
  ConstBf16Pairs factor;  ///< [N vectors, I]: relu: the layer's output; tanh, sigmoid: f'; identity: not read
  Bf16Pairs below;        ///< d, laid out as delta: [G N' vectors, I]; may have no data
  Bf16Lines squared;      ///< sum_g d^2 rounded once, [I vectors, N]; written when `last`
  float* sums =
      nullptr;  ///< sum_g d^2 in float32 between calls, I * N in whole blocks; not used by one group
  std::size_t groups = 1;
  bool first = true;  ///< false: the sums of the calls before are continued
  bool last = true;   ///< false: `squared` is left to a later call
  float* scratch = nullptr;
};
using Bf16Backward = void(const Bf16BackwardArguments&) noexcept;

/// fisher[o * stride + i] += sum_n left(o, n) right(i, n) for the blocks [first, last) of each. One float32
/// chain over the depth of left and right, then one addition to the double.
struct Bf16OuterArguments {
  ConstBf16Lines left;                                       ///< [O vectors, N]
  ConstBf16Pairs right;                                      ///< [I vectors, N]
  std::size_t left_begin, left_end, right_begin, right_end;  ///< in blocks
  double* fisher = nullptr;
  std::size_t stride = 0;
  float* scratch = nullptr;
};
using Bf16Outer = void(const Bf16OuterArguments&) noexcept;

/// sums[v] += sum_k lines(v, k) for the vectors of `lines`: a float32 chain, then one addition to the double.
using Bf16LineSums = void(const ConstBf16Lines& lines, double* sums) noexcept;

/// sums[k] = sum_v of lines(v, k), or of pairs(v, k): a float32 chain for each of `depth` elements.
using Bf16LineDepthSums = void(const ConstBf16Lines& lines, float* sums) noexcept;
using Bf16PairDepthSums = void(const ConstBf16Pairs& pairs, float* sums) noexcept;

/// Samples per float32 chain of an accumulation. Longer than kChain: 2^-8 of rounding in the operands hides
/// what a longer chain adds, and F is touched less often.
inline constexpr std::size_t kBf16Chain = 1024;

/// What multiplies: dot products of AVX512_BF16, or the tiles of AMX-BF16. The sums round in another order,
/// so the bits of one unit are not those of the other.
enum class Bf16Unit { Avx512Bf16, AmxBf16 };

/// "avx512_bf16" or "amx_bf16".
std::string_view bf16_unit_name(Bf16Unit unit);

/// Kernels of one unit; single-threaded and noexcept. They leave no tile state behind.
struct Bf16Kernels {
  Bf16Unit unit;
  Bf16LinesFromRows* lines_from_rows;
  Bf16LinesFromColumns* lines_from_columns;
  Bf16PairsFromRows* pairs_from_rows;
  Bf16Forward* forward;
  Bf16Backward* backward;
  Bf16Outer* outer;
  Bf16LineSums* line_sums;
  Bf16LineDepthSums* line_depth_sums;
  Bf16PairDepthSums* pair_depth_sums;
};

/// Units that compiler, CPU and operating system have for kernels at `isa`, the fastest last; none below
/// avx512. Asks the system once for the permission AMX tiles need.
std::vector<Bf16Unit> available_bf16_units(Isa isa);

/// The kernels of an available unit.
const Bf16Kernels& bf16_kernels(Bf16Unit unit);

}  // namespace fisherdiag::kernels
