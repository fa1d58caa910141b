// What one thread writes and others may look at.
#pragma once

#include <atomic>

namespace plexspaces::detail {

/// A member that its owner uses as a plain one, at the same cost where a release store is a plain move (x86-64). Others
/// see some value that it has had of late, and what its owner had done before; they may follow a pointer only to what
/// is never freed.
template <class T>
class Published {
 public:
  Published(T value) : value_(value) {}
  Published(const Published& other) : value_(static_cast<T>(other)) {}

  Published& operator=(T value) {
    value_.store(value, std::memory_order_release);
    return *this;
  }
  operator T() const { return value_.load(std::memory_order_relaxed); }
  T operator->() const { return *this; }
  // One writer, so no read-modify-write is needed.
  Published& operator++() { return *this = *this + 1; }
  Published& operator--() { return *this = *this - 1; }

  /// Threads: any.
  T seen() const { return value_.load(std::memory_order_acquire); }

 private:
  std::atomic<T> value_;
};

}  // namespace plexspaces::detail
