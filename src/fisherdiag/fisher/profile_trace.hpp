// A profile as a timeline that browsers and Perfetto open.
#pragma once

#include <filesystem>

#include "fisherdiag/fisher/profile.hpp"
#include "fisherdiag/nn/architecture.hpp"

namespace fisherdiag {

/// Writes the spans of `profile` (made with keep_spans) in the Chrome trace event format, atomically:
/// complete events with times in microseconds from the profile's origin, one track per thread. A track holds
/// its first PassTrack::kMostSpans spans; otherData.dropped_spans counts the rest. Throws IoError.
void write_chrome_trace(const std::filesystem::path& path, const PassProfile& profile,
                        const Architecture& architecture);

}  // namespace fisherdiag
