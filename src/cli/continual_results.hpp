// The results file of fisherdiag continual.
#pragma once

#include <string>

#include "cli/output.hpp"
#include "fisherdiag/train/study.hpp"

namespace fisherdiag::cli {

/// Runs with the settings they were made with, in a JSON file that grows run by run.
class ContinualResults {
 public:
  /// `settings`: an object of everything that a run's result depends on beside its key. An empty path keeps
  /// the results in memory only. Reads the file if there is one; throws DataError for a file that is
  /// something else or whose settings differ, naming the first that does; FormatError for one that is not
  /// JSON.
  ContinualResults(std::string path, Json settings);

  StudyRuns& runs() { return runs_; }
  const StudyRuns& runs() const { return runs_; }

  /// Settings, plan, all runs in the order of their keys, summary.
  Json to_json(const StudyPlan& plan) const;
  /// to_json() into the file, whole or not at all; nothing without a path.
  void save(const StudyPlan& plan) const;

 private:
  void load();

  std::string path_;
  Json settings_;
  StudyRuns runs_;
};

/// How well translated lambdas do beside the best of the list: an entry for each method that has both.
Json translations(const std::vector<StudySummary>& summaries);

}  // namespace fisherdiag::cli
