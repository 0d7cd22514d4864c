// Denormal numbers as zero, for one scope.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace fisherdiag {

/// While alive, results and operands of this thread below 2^-126 count as zero. A confident sample's squared
/// sensitivities land there, and hardware takes a hundred times longer over them; what is lost is below
/// 1e-38. Setting the mode here also makes results independent of what other libraries did to it. No effect
/// off x86.
class FlushDenormals {
 public:
#if defined(__SSE2__)
  FlushDenormals() : saved_(_mm_getcsr()) {
    _mm_setcsr(saved_ | kFlushToZero | kDenormalsAreZero);
  }
  ~FlushDenormals() {
    _mm_setcsr(saved_);
  }
#else
  FlushDenormals() {}
  ~FlushDenormals() {}
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

#if defined(__SSE2__)
 private:
  static constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  unsigned saved_;
#endif
};

}  // namespace fisherdiag
