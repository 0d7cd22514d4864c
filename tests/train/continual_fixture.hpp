// A small stream of two tasks that share two outputs and contradict each other a little.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "fisherdiag/base/philox.hpp"
#include "fisherdiag/train/task_stream.hpp"
#include "support/temporary_folder.hpp"

namespace fisherdiag::test {

inline constexpr std::size_t kStreamFeatures = 6;

/// IDX files of `samples` points: feature c mod 6 is bright in class c, all else dark noise.
class IdxFiles {
 public:
  IdxFiles(const std::string& name, std::size_t samples, std::size_t classes, std::uint64_t seed,
           std::size_t shift = 0) {
    const auto count = static_cast<std::uint8_t>(samples);  // samples <= 255
    std::string pixels = {0, 0, 8, 2, 0, 0, 0, static_cast<char>(count), 0, 0, 0, kStreamFeatures};
    std::string labels = {0, 0, 8, 1, 0, 0, 0, static_cast<char>(count)};
    RandomStream random(seed, random_stream::kTest, 1);
    for (std::size_t n = 0; n < samples; ++n) {
      const std::size_t label = n % classes;
      labels += static_cast<char>(label);
      for (std::size_t i = 0; i < kStreamFeatures; ++i)
        pixels +=
            static_cast<char>((i == (label + shift) % kStreamFeatures ? 150 : 0) + random.next_below(100));
    }
    data_ = write(name + "-images", pixels);
    labels_ = write(name + "-labels", labels);
  }

  SampleSource source() const { return {data_, labels_, "", std::nullopt}; }

 private:
  std::string write(const std::string& name, const std::string& bytes) const {
    const std::filesystem::path path = folder_.path() / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path.string();
  }

  fisherdiag::testing::TemporaryFolder folder_;
  std::string data_, labels_;
};

inline Architecture stream_architecture() {
  return Architecture::parse("mlp:6-12-4");
}

/// Two tasks of two classes each, a head each.
inline TaskStream split_stream(const IdxFiles& files, double validation_share = 0) {
  StreamOptions options;
  options.kind = StreamKind::Split;
  options.tasks = 2;
  options.sources = {files.source()};
  options.validation_share = validation_share;
  return {options, stream_architecture()};
}

}  // namespace fisherdiag::test
