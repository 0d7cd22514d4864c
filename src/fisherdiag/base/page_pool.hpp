// Memory of huge pages shared by buffers smaller than a huge page or a few of them.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

namespace fisherdiag::detail {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

/// Fresh pages, zero, aligned to kHugePage, in huge pages where the system has them. nullptr where there is
/// no memory.
void* map_pages(std::size_t bytes);
void unmap_pages(void* pages, std::size_t bytes) noexcept;

/// Cuts buffers one after the other from mappings of kChunk bytes. No byte is handed out twice, so buffers
/// are zero without being written, and whole huge pages become resident at once: page faults, a microsecond
/// or two for every 4 KiB, took half the time of a pass over 500 samples. Any thread may take and give back.
class PagePool {
 public:
  static constexpr std::size_t kChunk = 16 * kHugePage;
  static constexpr std::size_t kMost =
      2 * kHugePage;  ///< larger buffers would leave too much of a chunk unused

  /// `bytes` in [1, kMost]; zero, aligned to 64 bytes. nullptr where there is no memory.
  void* take(std::size_t bytes);
  /// `bytes` as taken. The pages that only this buffer used go back to the system.
  void give_back(void* buffer, std::size_t bytes) noexcept;

 private:
  struct Chunk {
    char* begin;
    std::size_t used;      ///< bytes handed out, from the beginning on
    std::size_t resident;  ///< a multiple of kHugePage, at least `used`
    std::size_t live;      ///< buffers not given back
  };
  Chunk* chunk_with(std::size_t bytes);

  std::mutex mutex_;
  std::vector<Chunk> chunks_;
};

}  // namespace fisherdiag::detail
