#include "fisherdiag/kernels/bf16.hpp"

#if defined(FISHERDIAG_HAVE_BF16) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace fisherdiag::kernels {

#ifdef FISHERDIAG_HAVE_BF16

namespace bf16 {
const Bf16Kernels& dot_kernels();
const Bf16Kernels& tile_kernels();
}  // namespace bf16

namespace {

/// Tiles are off until a process asks for them: Linux documents this as "Using XSTATE features in user
/// space".
bool request_tiles() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
         syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

std::vector<Bf16Unit> available_bf16_units(Isa isa) {
  // The kernels of both units convert with AVX512_BF16 instructions.
  if (isa != Isa::Avx512 || !__builtin_cpu_supports("avx512bf16")) return {};
  static const bool tiles = request_tiles();
  if (tiles) return {Bf16Unit::Avx512Bf16, Bf16Unit::AmxBf16};
  return {Bf16Unit::Avx512Bf16};
}

const Bf16Kernels& bf16_kernels(Bf16Unit unit) {
  return unit == Bf16Unit::AmxBf16 ? bf16::tile_kernels() : bf16::dot_kernels();
}

#else

std::vector<Bf16Unit> available_bf16_units(Isa) {
  return {};
}

const Bf16Kernels& bf16_kernels(Bf16Unit) {
  static constexpr Bf16Kernels kNone{};
  return kNone;
}

#endif

std::string_view bf16_unit_name(Bf16Unit unit) {
  return unit == Bf16Unit::AmxBf16 ? "amx_bf16" : "avx512_bf16";
}

}  // namespace fisherdiag::kernels
