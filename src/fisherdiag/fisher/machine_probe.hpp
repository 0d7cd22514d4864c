// What this machine can do at most: the ceilings a result is measured against.
#pragma once

#include "fisherdiag/parallel/context.hpp"

namespace fisherdiag {

struct MachinePeak {
  double multiply_add_flops =
      0;  ///< flop/s of register-only multiply-adds, a multiply and an add counting one each
  double triad_bytes_per_second =
      0;  ///< z = a x + y over arrays larger than the last-level cache: 12 bytes a value
};

/// Best of several runs of about 20 ms on all threads of `context` with its instruction set.
double measure_multiply_add_flops(const Context& context);

/// Best of several sweeps over three arrays of 64 to 256 MiB each. Throws std::bad_alloc if they do not fit.
double measure_triad_bandwidth(const Context& context);

/// Both of them; takes about half a second.
MachinePeak measure_machine_peak(const Context& context);

}  // namespace fisherdiag
