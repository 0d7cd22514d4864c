// Mini-batch training of a network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "fisherdiag/ewc/penalty.hpp"
#include "fisherdiag/io/dataset.hpp"
#include "fisherdiag/likelihood/likelihood.hpp"
#include "fisherdiag/nn/network.hpp"
#include "fisherdiag/parallel/context.hpp"
#include "fisherdiag/train/optimizer.hpp"
#include "fisherdiag/train/output_heads.hpp"

namespace fisherdiag {

struct TrainProgress {
  std::size_t iteration = 0;   ///< iterations done
  std::size_t iterations = 0;  ///< iterations asked for
  double loss = 0;             ///< mean nll of the last batch's samples in nats, before its step, no penalty
};

/// How the learning rate goes over the iterations of one call.
enum class RateSchedule {
  Constant,
  Linear,  ///< from the full rate down to zero: a better minimum for the same work
};

struct TrainOptions {
  Likelihood likelihood = Likelihood::Categorical;
  std::size_t epochs = 10;     ///< used when iterations == 0
  std::size_t iterations = 0;  ///< optimiser steps; the data is gone through as often as that takes
  std::size_t batch_size = 128;
  RateSchedule schedule = RateSchedule::Constant;
  /// Which outputs enter the softmax of which class; categorical only.
  OutputHeads heads;
  std::uint64_t seed = 1;  ///< of the order of samples, drawn anew for each epoch
  /// Added to the loss; nullptr: none.
  const EwcPenalty* penalty = nullptr;
  /// Called after every iteration; returning false stops.
  std::function<bool(const TrainProgress&)> progress;
};

struct TrainResult {
  double loss =
      0;  ///< mean nll in nats, without the penalty, over the samples of the last epoch (or what of it ran)
  double seconds = 0;       ///< of the iterations, without reading the data
  double step_seconds = 0;  ///< of them, the optimiser's steps with the penalty in them
  std::size_t iterations = 0;
  std::size_t samples = 0;  ///< samples gone through, repetitions counted
};

/// Trains `network` on every sample of `dataset`, which is held in memory meanwhile (4 bytes per value). The
/// last batch of an epoch may be smaller. The optimiser keeps its state between calls.
///
/// The loss is the mean over samples, sequences being one each, whose nll is the sum over their positions:
/// what LikelihoodUnit::Sequence squares, so that a penalty weighs the same against it as with one output per
/// sample.
///
/// The same network, data, options and optimiser state give the same bits for every number of threads.
/// Errors: ArgumentError for options or a dataset or optimiser that do not fit; DataError naming the sample
/// for a bad label, naming the learning rate where outputs, their loss or a parameter stop being finite, and
/// where no label counts; IoError, FormatError from the data; InterruptedError when progress returns false
/// (the network then has the parameters of that iteration).
TrainResult train(Network& network, Dataset& dataset, Optimizer& optimizer, const TrainOptions& options,
                  const Context& context);

}  // namespace fisherdiag
