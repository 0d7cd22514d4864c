// Instruction-set levels that kernels are compiled for, and which of them this machine can run.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace fisherdiag {

/// Baseline is what the compiler targets without flags: SSE2 on x86-64, NEON on 64-bit Arm, else portable
/// C++.
enum class Isa { Baseline, Avx2, Avx512 };

/// "baseline", "avx2" or "avx512".
std::string_view isa_name(Isa isa);

/// The inverse of isa_name; nullopt for any other text.
std::optional<Isa> isa_from_name(std::string_view name);

/// Levels compiled in that both the CPU and the operating system support, weakest first. Never empty.
std::vector<Isa> available_isas();

/// The strongest available level, or the one FISHERDIAG_ISA names.
/// Throws ArgumentError if FISHERDIAG_ISA is unknown or not available here.
Isa default_isa();

/// Parses `name` and checks that this machine can run it; throws ArgumentError naming the available ones.
Isa require_isa(std::string_view name);

}  // namespace fisherdiag
