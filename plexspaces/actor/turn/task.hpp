// The coroutine of a handler that waits.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "plexspaces/base/check.hpp"

namespace plexspaces {

template <class T>
class Task;

namespace detail {

/// Marks what a handler may wait for. Every such awaiter is made by a Context.
struct TurnWait {};

template <class A>
concept TurnAwaiter = std::is_base_of_v<TurnWait, std::remove_cvref_t<A>>;
template <class A>
inline constexpr bool kTurnAwaiter = TurnAwaiter<A>;

// Frames of handlers come from the worker's pool.
void* allocate_frame(std::size_t bytes);
void free_frame(void* frame, std::size_t bytes);

class PromiseBase {
 public:
  static void* operator new(std::size_t bytes) { return allocate_frame(bytes); }
  static void operator delete(void* frame, std::size_t bytes) { free_frame(frame, bytes); }

  std::suspend_always initial_suspend() noexcept { return {}; }

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) noexcept {
      std::coroutine_handle<> next = self.promise().continuation_;
      return next ? next : std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { exception_ = std::current_exception(); }

  /// A handler waits only through its Context, or for another Task.
  template <TurnAwaiter A>
  A&& await_transform(A&& awaiter) {
    return std::forward<A>(awaiter);
  }
  template <class T>
  auto await_transform(Task<T>&& task);
  template <class A>
  std::suspend_never await_transform(A&&) {
    static_assert(kTurnAwaiter<A>, "a handler waits only through its Context, co_await ctx.ask(...), or for a Task");
    return {};
  }

 protected:
  template <class>
  friend class plexspaces::Task;
  std::coroutine_handle<> continuation_;
  std::exception_ptr exception_;
};

template <class T>
class Promise : public PromiseBase {
 public:
  Task<T> get_return_object();
  template <class U = T>  // the default is for `co_return {};`
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T take() {
    if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};

template <>
class Promise<void> : public PromiseBase {
 public:
  Task<void> get_return_object();
  void return_void() {}
  void take() {
    if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
  }
};

}  // namespace detail

/// A lazy computation inside a turn: it runs when awaited, or, when a handler returns it, as the turn.
///
/// A Task may await another Task, and what its Context makes (ctx.ask); anything else does not compile, because a wait
/// that the runtime does not know of would hold the worker or be lost when the actor is passivated.
/// Owned by one holder; destroying it destroys the frame. Threads: the worker's.
template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using value_type = T;

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  /// For the runtime: gives up ownership of the frame.
  std::coroutine_handle<promise_type> release() { return std::exchange(handle_, nullptr); }

  class Awaiter : public detail::TurnWait {
   public:
    explicit Awaiter(std::coroutine_handle<promise_type> task) : task_(task) {}
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiting) noexcept {
      task_.promise().continuation_ = waiting;
      return task_;
    }
    T await_resume() { return task_.promise().take(); }

   private:
    std::coroutine_handle<promise_type> task_;
  };

 private:
  friend promise_type;
  friend detail::PromiseBase;
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

namespace detail {

template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

// The awaited Task is a temporary of the co_await expression, so it outlives the awaiter.
template <class T>
auto PromiseBase::await_transform(Task<T>&& task) {
  return typename Task<T>::Awaiter(task.handle_);
}

template <class T>
struct TaskTraits {
  static constexpr bool kIsTask = false;
};
template <class T>
struct TaskTraits<Task<T>> {
  static constexpr bool kIsTask = true;
  using Value = T;
};

}  // namespace detail
}  // namespace plexspaces
