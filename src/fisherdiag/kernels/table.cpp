#include "fisherdiag/kernels/table.hpp"

namespace fisherdiag::kernels {

namespace baseline {
const KernelTable& table();
}
namespace avx2 {
const KernelTable& table();
}
namespace avx512 {
const KernelTable& table();
}

const KernelTable& kernel_table(Isa isa) {
#ifdef FISHERDIAG_HAVE_AVX512
  if (isa == Isa::Avx512) return avx512::table();
#endif
#ifdef FISHERDIAG_HAVE_AVX2
  if (isa == Isa::Avx2) return avx2::table();
#endif
  (void)isa;
  return baseline::table();
}

}  // namespace fisherdiag::kernels
