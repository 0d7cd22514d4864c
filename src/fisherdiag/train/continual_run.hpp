// One run of continual learning: a sequence of tasks learned with one method.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fisherdiag/nn/architecture.hpp"
#include "fisherdiag/parallel/context.hpp"
#include "fisherdiag/train/continual_method.hpp"
#include "fisherdiag/train/task_stream.hpp"

namespace fisherdiag {

/// What all runs of a study share. Defaults: van de Ven 2025 (arXiv 2502.11756).
struct ContinualSettings {
  std::size_t iterations = 2000;  ///< for each task
  std::size_t batch_size = 128;
  double learning_rate = 1e-3;   ///< of Adam
  bool reset_optimizer = false;  ///< before each task; else Adam's state is kept
  double decay_factor = 1;       ///< gamma of ewc-online and l2
};

struct ContinualRequest {
  ContinualMethod method;
  double lambda = 0;                             ///< of a method with a penalty, unless translated
  std::optional<LambdaTranslation> translation;  ///< takes the place of lambda
  std::uint64_t seed = 1;                        ///< of everything random
};

/// Accuracies are shares of samples in [0, 1].
struct ContinualResult {
  double lambda = 0;                          ///< that was used; 0 without a penalty
  std::vector<std::vector<double>> accuracy;  ///< [t][k]: test accuracy of task k after learning task t
  std::vector<double> validation;             ///< of each task at the end; empty without validation samples
  std::vector<double> traces;                 ///< of each task's Fisher diagonal; empty if none was computed
  double seconds_training = 0;                ///< of the iterations, without the penalty
  double seconds_fisher = 0;                  ///< of all passes, with reading the samples from memory
  double seconds_penalty = 0;  ///< what the penalty adds to the optimiser's steps, and taking tasks in
  std::string weights_sha256;  ///< of the last parameters

  /// Mean over tasks after the last one.
  double average_accuracy() const;
  double average_validation() const;
  /// Mean over all tasks but the last of (best accuracy at any time before the last task) - (accuracy at the
  /// end); 0 for a single task. Chaudhry et al. 2018, eq. 3.
  double forgetting() const;
};

/// Learns the sequence of `request.seed`. The penalty grows by one quadratic after each task but the last;
/// its Fisher diagonal is computed on the task's training samples. `progress`, called after every iteration,
/// stops the run with InterruptedError when it returns false.
///
/// The same arguments give the same accuracies and parameters for every number of threads. Errors: as train,
/// compute_fisher and EwcPenalty; ArgumentError, before anything is learned, for `exact` of very many outputs
/// (infeasible in fisher/compute.hpp), which a run has no way to force; DataError where a lambda cannot be
/// translated because a trace is 0.
ContinualResult run_continual(const TaskStream& stream, const Architecture& architecture,
                              const ContinualSettings& settings, const ContinualRequest& request,
                              const Context& context, const std::function<bool()>& progress = {});

}  // namespace fisherdiag
