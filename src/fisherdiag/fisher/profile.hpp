// Where the time of a Fisher pass goes: spans of time by thread, phase and layer.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace fisherdiag {

enum class PassPhase {
  Load,        ///< weights from their file
  Check,       ///< weights are finite
  Read,        ///< a block of samples
  Pack,        ///< weights into the layout of the kernels; all threads count as busy until the last is done
  Strips,      ///< samples into the layout of the kernels, and their squares
  Forward,     ///< one layer: product, bias, activation, squares
  Seeds,       ///< softmax (or its likelihood's kin), seeds, squares of the last layer's sensitivities
  Backward,    ///< one layer: product, derivative, squares
  Accumulate,  ///< one layer: F += Q^T A^2
  Merge,       ///< partial sums of small models into F
  Traces,      ///< what each sample adds to each layer, for the error of a subset
  Normalize,   ///< sums to float
  Digest,      ///< SHA-256 of the weights
  Write,       ///< the result's file
};
inline constexpr std::size_t kPassPhases = 14;

/// "forward", ...
std::string_view pass_phase_name(PassPhase phase);

/// What all threads do together, task by task; between regions one thread works and the others wait.
enum class PassRegion { Rows, Tiles };
inline constexpr std::size_t kPassRegions = 2;
inline constexpr std::size_t kNoPassRegion = kPassRegions;

/// "rows" or "tiles".
std::string_view pass_region_name(PassRegion region);

/// From begin to end, nanoseconds of the steady clock.
struct PassSpan {
  PassPhase phase = PassPhase::Load;
  std::uint32_t layer = 0;  ///< of Forward, Backward, Accumulate; else 0
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::size_t region = kNoPassRegion;  ///< set by PassTrack::add
};

struct PassTotal {
  std::int64_t nanoseconds = 0;
  std::uint64_t spans = 0;
  double flops = 0;  ///< 0 where operations are not what the phase is about
};

/// What one thread did. Only that thread adds to it, so nothing is locked.
class alignas(64) PassTrack {
 public:
  /// Spans kept for a trace; later ones count in the totals only.
  static constexpr std::size_t kMostSpans = std::size_t{1} << 20;

  explicit PassTrack(bool keep_spans) : keep_spans_(keep_spans) {}

  void add(PassSpan span, double flops);
  /// Where the spans added next belong; kNoPassRegion between regions. Not while the thread adds.
  void set_region(std::size_t region) { region_ = region; }

  /// [layer] of a phase; phases without layers have at most one entry.
  const std::vector<PassTotal>& totals(PassPhase phase) const {
    return totals_[static_cast<std::size_t>(phase)];
  }
  PassTotal total(PassPhase phase) const;
  const std::vector<PassSpan>& spans() const { return spans_; }
  std::uint64_t dropped() const { return dropped_; }
  /// Sum of all spans of a region, or of those outside with kNoPassRegion.
  std::int64_t busy_nanoseconds(std::size_t region) const { return busy_[region]; }

 private:
  bool keep_spans_;
  std::size_t region_ = kNoPassRegion;
  std::array<std::int64_t, kPassRegions + 1> busy_{};
  std::array<std::vector<PassTotal>, kPassPhases> totals_;
  std::vector<PassSpan> spans_;
  std::uint64_t dropped_ = 0;
};

/// The tracks of all threads of one pass. Recording costs two readings of the clock per span.
class PassProfile {
 public:
  /// `threads` as in the Context of the pass; `keep_spans` for a trace.
  explicit PassProfile(int threads, bool keep_spans = false);

  std::size_t threads() const { return tracks_.size(); }
  PassTrack& track(std::size_t worker) { return *tracks_[worker]; }
  const PassTrack& track(std::size_t worker) const { return *tracks_[worker]; }
  /// Whoever runs what is not parallel.
  PassTrack& main_track() { return *tracks_.front(); }
  const PassTrack& main_track() const { return *tracks_.front(); }

  /// The same span on every track: what all threads do together but not task by task.
  void add_to_all(const PassSpan& span);

  /// A parallel region, from before its first task until its last is done.
  void begin_region(PassRegion region);
  void end_region(PassRegion region, std::int64_t nanoseconds);
  std::int64_t region_nanoseconds(PassRegion region) const {
    return regions_[static_cast<std::size_t>(region)];
  }

  /// A phase's total over all threads: of one layer, or of all.
  PassTotal total(PassPhase phase, std::size_t layer) const;
  PassTotal total(PassPhase phase) const;
  /// Layers seen, at least 1.
  std::size_t layers() const;

  /// Nanoseconds of the steady clock.
  static std::int64_t now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  /// When the profile was made.
  std::int64_t origin() const { return origin_; }

 private:
  std::int64_t origin_ = now();
  std::vector<std::unique_ptr<PassTrack>> tracks_;
  std::array<std::int64_t, kPassRegions> regions_{};
};

/// Records its own lifetime as a span; without a track it does nothing.
class PassTimer {
 public:
  PassTimer(PassTrack* track, PassPhase phase, std::size_t layer = 0, double flops = 0) : track_(track) {
    if (!track_) return;
    span_ = {phase, static_cast<std::uint32_t>(layer), PassProfile::now(), 0};
    flops_ = flops;
  }
  ~PassTimer() {
    if (!track_) return;
    span_.end = PassProfile::now();
    track_->add(span_, flops_);
  }
  PassTimer(const PassTimer&) = delete;
  PassTimer& operator=(const PassTimer&) = delete;

 private:
  PassTrack* track_;
  PassSpan span_;
  double flops_ = 0;
};

/// Records its own lifetime as a region; without a profile it does nothing.
class PassRegionTimer {
 public:
  PassRegionTimer(PassProfile* profile, PassRegion region)
      : profile_(profile), region_(region), begin_(profile ? PassProfile::now() : 0) {
    if (profile_) profile_->begin_region(region_);
  }
  ~PassRegionTimer() {
    if (profile_) profile_->end_region(region_, PassProfile::now() - begin_);
  }
  PassRegionTimer(const PassRegionTimer&) = delete;
  PassRegionTimer& operator=(const PassRegionTimer&) = delete;

 private:
  PassProfile* profile_;
  PassRegion region_;
  std::int64_t begin_;
};

}  // namespace fisherdiag
