// A progress line with rate and time left, for people who watch.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace fisherdiag::cli {

/// Shown only when stderr is a terminal, it was not switched off, and the work has run for a second; wiped at
/// the end.
class Progress {
 public:
  Progress(std::string label, std::string unit, bool quiet);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Returns false if the user asked to stop. `note` is appended to the line.
  bool update(std::size_t done, std::size_t total, const std::string& note = "");

 private:
  void draw(std::size_t done, std::size_t total, const std::string& note, double elapsed);

  std::string label_;
  std::string unit_;
  bool enabled_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point start_;
  bool begun_ = false;
  std::size_t first_done_ = 0;  // at the first update: what was not done here does not tell how fast this is
  double first_seconds_ = 0;
  double next_draw_;
};

}  // namespace fisherdiag::cli
