// What one thread writes and others may look at.
#pragma once

#include <atomic>

namespace plexspaces::detail {

/// A member that its owner uses as a plain one, at the same cost: relaxed loads and stores are plain moves. Others see
/// some value that it has had of late, and may follow a pointer only to what is never freed.
template <class T>
class Published {
 public:
  Published(T value) : value_(value) {}
  Published(const Published& other) : value_(other.seen()) {}

  Published& operator=(T value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }
  operator T() const { return seen(); }
  T operator->() const { return seen(); }
  // One writer, so no read-modify-write is needed.
  Published& operator++() { return *this = seen() + 1; }
  Published& operator--() { return *this = seen() - 1; }

  /// Threads: any.
  T seen() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<T> value_;
};

}  // namespace plexspaces::detail
