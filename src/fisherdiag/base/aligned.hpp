// Heap storage aligned for vector loads.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace fisherdiag {

/// Buffers from this size on lie in huge pages where the system has them and go back to the system when they
/// end; smaller ones come from the heap and stay in it.
constexpr std::size_t kLeastPagedBytes = std::size_t{64} << 10;

namespace detail {
/// Zeroed memory aligned to 64 bytes. Throws std::bad_alloc.
void* aligned_allocate(std::size_t bytes);
/// `bytes` as it was allocated with.
void aligned_free(void* pointer, std::size_t bytes) noexcept;
}  // namespace detail

/// Bytes of memory a buffer of `bytes` takes, rounding and bookkeeping included.
std::size_t aligned_bytes(std::size_t bytes);

/// A fixed-size array of trivial elements, zero on construction, aligned to 64 bytes. Move-only.
template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size)
      : data_(size ? static_cast<T*>(detail::aligned_allocate(checked_bytes(size))) : nullptr), size_(size) {}
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~AlignedBuffer() { detail::aligned_free(data_, size_ * sizeof(T)); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  static std::size_t checked_bytes(std::size_t size);

  T* data_ = nullptr;
  std::size_t size_ = 0;
};

namespace detail {
[[noreturn]] void throw_bad_alloc();
}

template <class T>
std::size_t AlignedBuffer<T>::checked_bytes(std::size_t size) {
  if (size > static_cast<std::size_t>(-1) / sizeof(T)) detail::throw_bad_alloc();
  return size * sizeof(T);
}

}  // namespace fisherdiag
