#include "fisherdiag/train/study.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <mutex>
#include <set>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

namespace {

/// A method at one lambda: the runs that are averaged.
struct Cell {
  ContinualMethod method;
  std::optional<double> lambda;
  std::optional<LambdaTranslation> translation;

  ContinualRequest request(std::uint64_t seed) const {
    return {method, lambda.value_or(0), translation, seed};
  }
};

std::vector<Cell> cells_of(const StudyPlan& plan, const ContinualMethod& method) {
  if (!method.has_penalty()) return {{method, std::nullopt, std::nullopt}};
  std::vector<Cell> cells;
  for (const double lambda : plan.lambdas) cells.push_back({method, lambda, std::nullopt});
  if (plan.translation) cells.push_back({method, std::nullopt, plan.translation});
  return cells;
}

/// Seeds every lambda of a list is tried with.
std::size_t first_seeds(const StudyPlan& plan) {
  return plan.lambdas.size() < 2 ? plan.seeds : std::min(plan.seeds, plan.lambda_seeds.value_or(plan.seeds));
}

std::size_t seeds_of(const StudyPlan& plan, const Cell& cell) {
  return cell.lambda ? first_seeds(plan) : plan.seeds;
}

double score(const StudyPlan& plan, const ContinualResult& result) {
  return plan.selection == Selection::Test ? result.average_accuracy() : result.average_validation();
}

/// The best of the plan's lambdas for `method`, the smallest of equals; nothing while a run of them is
/// missing.
std::optional<double> best_lambda(const StudyPlan& plan, const ContinualMethod& method,
                                  const StudyRuns& runs) {
  std::optional<double> best;
  double highest = -1;
  for (const double lambda : plan.lambdas) {
    double sum = 0;
    for (std::uint64_t seed = 1; seed <= first_seeds(plan); ++seed) {
      const auto run = runs.find(key_of({method, lambda, std::nullopt, seed}));
      if (run == runs.end()) return std::nullopt;
      sum += score(plan, run->second);
    }
    if (sum > highest || (sum == highest && best && lambda < *best)) {
      highest = sum;
      best = lambda;
    }
  }
  return best;
}

void check(const StudyPlan& plan) {
  if (plan.methods.empty()) throw ArgumentError("a study needs at least one method");
  if (plan.seeds == 0) throw ArgumentError("a study needs at least one seed");
  if (plan.lambda_seeds && *plan.lambda_seeds == 0)
    throw ArgumentError("lambdas need to be tried with at least one seed");
  std::set<std::string> names;
  for (const ContinualMethod& method : plan.methods) {
    if (!names.insert(method.name()).second)
      throw ArgumentError("method '" + method.name() + "' is given twice");
    if (method.has_penalty() && plan.lambdas.empty() && !plan.translation)
      throw ArgumentError("method '" + method.name() + "' needs a lambda");
  }
}

StudySummary summarize_cell(const StudyPlan& plan, const Cell& cell, const StudyRuns& runs) {
  StudySummary summary;
  summary.method = cell.method;
  if (cell.translation) summary.translation = cell.translation->name();
  std::vector<double> accuracies;
  double validation = 0, log_lambda = 0;
  bool validated = false;
  for (std::uint64_t seed = 1; seed <= plan.seeds; ++seed) {
    const auto found = runs.find(key_of(cell.request(seed)));
    if (found == runs.end()) continue;
    const ContinualResult& run = found->second;
    accuracies.push_back(run.average_accuracy());
    validated = !run.validation.empty();
    validation += run.average_validation();
    log_lambda += std::log(run.lambda);
    summary.average_accuracy += run.average_accuracy();
    summary.forgetting += run.forgetting();
    summary.seconds_training += run.seconds_training;
    summary.seconds_fisher += run.seconds_fisher;
    summary.seconds_penalty += run.seconds_penalty;
  }
  summary.seeds = accuracies.size();
  if (summary.seeds == 0) return summary;
  const auto n = static_cast<double>(summary.seeds);
  for (double* sum : {&summary.average_accuracy, &summary.forgetting, &summary.seconds_training,
                      &summary.seconds_fisher, &summary.seconds_penalty})
    *sum /= n;
  if (validated) summary.validation = validation / n;
  if (cell.method.has_penalty()) summary.lambda = cell.lambda ? *cell.lambda : std::exp(log_lambda / n);
  if (summary.seeds < 2) return summary;
  double squares = 0;
  for (const double accuracy : accuracies)
    squares += (accuracy - summary.average_accuracy) * (accuracy - summary.average_accuracy);
  summary.standard_error = std::sqrt(squares / (n - 1) / n);
  return summary;
}

}  // namespace

RunKey key_of(const ContinualRequest& request) {
  RunKey key{request.method.name(), std::nullopt, "", request.seed};
  if (request.translation)
    key.translation = request.translation->name();
  else if (request.method.has_penalty())
    key.lambda = request.lambda;
  return key;
}

std::size_t planned_runs(const StudyPlan& plan) {
  std::size_t runs = 0;
  for (const ContinualMethod& method : plan.methods) {
    const std::vector<Cell> cells = cells_of(plan, method);
    for (const Cell& cell : cells) runs += seeds_of(plan, cell);
    if (method.has_penalty() && !plan.lambdas.empty()) runs += plan.seeds - first_seeds(plan);
  }
  return runs;
}

std::vector<ContinualRequest> missing_runs(const StudyPlan& plan, const StudyRuns& done) {
  check(plan);
  std::vector<ContinualRequest> missing;
  const auto want = [&](const ContinualRequest& request) {
    if (!done.contains(key_of(request))) missing.push_back(request);
  };
  for (std::uint64_t seed = 1; seed <= plan.seeds; ++seed)
    for (const ContinualMethod& method : plan.methods) {
      for (const Cell& cell : cells_of(plan, method))
        if (seed <= seeds_of(plan, cell)) want(cell.request(seed));
      if (!method.has_penalty() || seed <= first_seeds(plan)) continue;
      if (const auto best = best_lambda(plan, method, done)) want({method, *best, std::nullopt, seed});
    }
  return missing;
}

std::vector<StudySummary> summarize(const StudyPlan& plan, const StudyRuns& runs) {
  std::vector<StudySummary> summaries;
  for (const ContinualMethod& method : plan.methods) {
    const std::optional<double> best = method.has_penalty() ? best_lambda(plan, method, runs) : std::nullopt;
    for (const Cell& cell : cells_of(plan, method)) {
      StudySummary summary = summarize_cell(plan, cell, runs);
      if (summary.seeds == 0) continue;
      const bool only = !method.has_penalty() || plan.lambdas.empty();
      summary.selected = only || (cell.lambda && cell.lambda == best);
      summaries.push_back(std::move(summary));
    }
  }
  return summaries;
}

void run_study(const TaskStream& stream, const Architecture& architecture, const ContinualSettings& settings,
               const StudyPlan& plan, StudyRuns& runs, const Context& context,
               const StudyCallbacks& callbacks) {
  std::mutex mutex;
  for (;;) {
    const std::vector<ContinualRequest> requests = missing_runs(plan, runs);
    if (requests.empty()) return;
    const auto threads = static_cast<std::size_t>(context.threads());
    const std::size_t workers = std::min(requests.size(), threads);
    std::atomic<std::size_t> next = 0;
    std::atomic<bool> failed = false;
    std::exception_ptr first_error;
    const auto progress = [&] { return !failed && (!callbacks.progress || callbacks.progress()); };
    // A worker takes the next run as soon as it is free: runs take seconds to minutes and differ.
    context.parallel_for(workers, [&](std::size_t, std::size_t) {
      const Context own(static_cast<int>(threads / workers), context.isa());
      try {
        for (std::size_t i = next++; i < requests.size(); i = next++) {
          ContinualResult result = run_continual(stream, architecture, settings, requests[i], own, progress);
          const std::lock_guard lock(mutex);
          const auto entry = runs.emplace(key_of(requests[i]), std::move(result)).first;
          if (callbacks.finished) callbacks.finished(entry->first, entry->second);
        }
      } catch (...) {
        // The others are stopped by it, and what they throw then is not the reason.
        const std::lock_guard lock(mutex);
        if (!first_error) first_error = std::current_exception();
        failed = true;
      }
    });
    if (first_error) std::rethrow_exception(first_error);
  }
}

}  // namespace fisherdiag
