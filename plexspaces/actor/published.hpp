// What one thread writes and others may look at.
#pragma once

#include <atomic>

namespace plexspaces::detail {

/// A member that its owner uses as a plain one, at the same cost: where stores are released anyway (x86). Others see
/// some value that it has had of late, and may follow a pointer only to what is never freed.
template <class T>
class Published {
 public:
  Published(T value) : value_(value) {}
  Published(const Published& other) : value_(other.seen()) {}

  Published& operator=(T value) {
    // release: of a pointer, what it leads to is seen as its writer has seen it.
    value_.store(value, std::memory_order_release);
    return *this;
  }
  operator T() const { return own(); }
  T operator->() const { return own(); }
  // One writer, so no read-modify-write is needed.
  Published& operator++() { return *this = own() + 1; }
  Published& operator--() { return *this = own() - 1; }

  /// Threads: any.
  T seen() const { return value_.load(std::memory_order_acquire); }

 private:
  T own() const { return value_.load(std::memory_order_relaxed); }

  std::atomic<T> value_;
};

}  // namespace plexspaces::detail
