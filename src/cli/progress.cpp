#include "cli/progress.hpp"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "cli/output.hpp"
#include "cli/signals.hpp"

namespace fisherdiag::cli {

namespace {
constexpr double kQuietSeconds = 1.0;
constexpr double kRedrawSeconds = 0.2;
constexpr const char* kWipeLine = "\r\033[K";
}  // namespace

Progress::Progress(std::string label, std::string unit, bool quiet)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      enabled_(!quiet && isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      next_draw_(kQuietSeconds) {}

Progress::~Progress() {
  if (shown_) std::fputs(kWipeLine, stderr);
}

bool Progress::update(std::size_t done, std::size_t total, const std::string& note) {
  if (enabled_) {
    const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    if (!begun_) {
      begun_ = true;
      first_done_ = done;
      first_seconds_ = elapsed;
    }
    if (elapsed >= next_draw_ && done < total) draw(done, total, note, elapsed);
  }
  return caught_signal() == 0;
}

void Progress::draw(std::size_t done, std::size_t total, const std::string& note, double elapsed) {
  const double fraction = static_cast<double>(done) / static_cast<double>(total);
  std::string line = label_ + " " + std::to_string(static_cast<int>(100 * fraction)) + "%  " + grouped(done) +
                     " of " + grouped(total) + " " + unit_;
  if (done > first_done_ && elapsed > first_seconds_) {
    const double rate = static_cast<double>(done - first_done_) / (elapsed - first_seconds_);
    line += "  " + si(rate, unit_ + "/s") + "  about " + duration(static_cast<double>(total - done) / rate) +
            " left";
  }
  if (!note.empty()) line += "  " + note;
  std::fprintf(stderr, "%s%s", kWipeLine, line.c_str());
  std::fflush(stderr);
  shown_ = true;
  next_draw_ = elapsed + kRedrawSeconds;
}

}  // namespace fisherdiag::cli
