// Runs threads one step at a time, in an order and with views of memory that a seed chooses.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <ucontext.h>

namespace plexspaces::explore {

inline constexpr std::size_t kThreadsMax = 8;
inline constexpr std::size_t kStackBytes = 256 * 1024;
inline constexpr std::size_t kHistoryMax = 16;  // values of one variable, the newest, that a load may still see

/// For each thread the time up to which what it did is known.
struct Clock {
  std::array<std::uint32_t, kThreadsMax> times{};

  void join(const Clock& other) {
    for (std::size_t i = 0; i < kThreadsMax; ++i) times[i] = std::max(times[i], other.times[i]);
  }
};

/// The threads of one run, which are coroutines with stacks of their own on the thread of the test. One of them runs at
/// a time; at each step the seed chooses who goes on.
class Exploration {
 public:
  explicit Exploration(std::uint64_t seed) : random_(seed * 2 + 1) {
    current_ = this;
    clocks_[kMain].times[kMain] = 1;
  }
  ~Exploration() { current_ = nullptr; }
  Exploration(const Exploration&) = delete;

  static constexpr std::size_t kMain = kThreadsMax - 1;  // the test's own thread, before and after the others

  /// `can_run`: asked while the thread is not running; may be empty.
  void add(std::function<void()> body, std::function<bool()> can_run) {
    auto thread = std::make_unique<Thread>();
    thread->body = std::move(body);
    thread->can_run = std::move(can_run);
    threads_.push_back(std::move(thread));
  }

  /// Until no thread can run. @returns the threads that have not returned: they wait for what will not come.
  std::size_t run(std::size_t steps_max) {
    steps_left_ = steps_max;
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      clocks_[i].join(clocks_[kMain]);
      Thread& thread = *threads_[i];
      ::getcontext(&thread.context);
      if (stacks_[i] == nullptr) stacks_[i] = std::make_unique_for_overwrite<char[]>(kStackBytes);
      thread.context.uc_stack.ss_sp = stacks_[i].get();
      thread.context.uc_stack.ss_size = kStackBytes;
      ::makecontext(&thread.context, &Exploration::begin, 0);
    }
    exploring_ = true;
    hand_on();
    exploring_ = false;
    std::size_t waiting = 0;
    abandoned_ = true;
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      if (threads_[i]->done) continue;
      ++waiting;
      switch_to(i);
    }
    for (const Clock& clock : clocks_) clocks_[kMain].join(clock);
    return waiting;
  }

  /// Where another thread may go on.
  void step() {
    if (!exploring_) return;
    if (steps_left_ > 0) --steps_left_;
    // One thread at a time is held up in the middle of what it does, and others come far.
    std::uint64_t chance = draw() % 48;
    if (chance == 0) slow_ = index_;
    if (chance < 16) pass(false);
  }
  void yield() { pass(false); }
  /// The thread has nothing to do until its `can_run`. @returns false: the run is over.
  bool wait() {
    pass(true);
    return !abandoned_;
  }
  bool is_over() const { return abandoned_ || steps_left_ == 0; }

  std::size_t choose(std::size_t count) { return count < 2 ? 0 : static_cast<std::size_t>(draw() % count); }
  std::size_t thread() const { return index_; }
  Clock& clock() { return clocks_[thread()]; }
  bool exploring() const { return exploring_; }
  static Exploration* current() { return current_; }

 private:
  struct Thread {
    std::function<void()> body;
    std::function<bool()> can_run;
    ucontext_t context{};
    bool done = false;
    bool waits = false;
  };

  std::uint64_t draw() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
  }
  bool may_run(Thread& thread) {
    if (thread.done) return false;
    if (!thread.waits || !thread.can_run) return true;
    exploring_ = false;  // the question is no step
    bool may = thread.can_run();
    exploring_ = true;
    return may;
  }
  // Goes on with a thread that can run; with the test when there is none.
  void hand_on() {
    std::vector<std::size_t> runnable;
    for (std::size_t i = 0; i < threads_.size(); ++i)
      if (!abandoned_ && may_run(*threads_[i])) runnable.push_back(i);
    if (runnable.empty()) return switch_to(kMain);
    std::size_t next = runnable[choose(runnable.size())];
    for (int again = 0; next == slow_ && again < 3 && draw() % 64 != 0; ++again)
      next = runnable[choose(runnable.size())];
    switch_to(next);
  }
  void pass(bool waits) {
    Thread& self = *threads_[index_];
    self.waits = waits;
    hand_on();
    self.waits = false;
  }
  ucontext_t& context(std::size_t index) { return index == kMain ? main_ : threads_[index]->context; }
  void switch_to(std::size_t next) {
    std::size_t self = std::exchange(index_, next);
    if (self == next) return;
    ::swapcontext(&context(self), &context(next));
  }
  static void begin() {
    Exploration& run = *current_;
    Thread& self = *run.threads_[run.index_];
    if (!run.abandoned_) self.body();
    self.done = true;
    run.hand_on();
  }

  static inline Exploration* current_ = nullptr;
  static inline std::array<std::unique_ptr<char[]>, kThreadsMax> stacks_;  // kept for the next run

  std::uint64_t random_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::array<Clock, kThreadsMax> clocks_{};
  ucontext_t main_{};
  std::size_t index_ = kMain;  // who runs
  std::size_t steps_left_ = 0;
  std::size_t slow_ = kMain;
  bool exploring_ = false;
  bool abandoned_ = false;
};

/// As a thread-local variable of the threads of a run.
template <class T>
class ThreadLocal {
 public:
  constexpr ThreadLocal(T value) { values_.fill(value); }  // NOLINT: as the variable itself
  ThreadLocal& operator=(T value) {
    values_[index()] = value;
    return *this;
  }
  operator T() const { return values_[index()]; }  // NOLINT: as the variable itself

 private:
  static std::size_t index() {
    Exploration* run = Exploration::current();
    return run == nullptr ? Exploration::kMain : run->thread();
  }
  std::array<T, kThreadsMax> values_{};
};

/// As std::atomic. A relaxed or acquire load may see an older value, unless a newer one happens before it or was seen
/// by its thread; a read-modify-write and what is sequentially consistent see the newest.
template <class T>
class Atomic {
 public:
  Atomic() : Atomic(T{}) {}
  Atomic(T value) : value_(value) {}  // NOLINT: as std::atomic
  Atomic(const Atomic&) = delete;

  T load(std::memory_order order = std::memory_order_seq_cst) const {
    Exploration* run = Exploration::current();
    if (run == nullptr || !run->exploring()) return newest();
    run->step();
    if (history_.empty()) return value_;
    std::size_t at = history_.size() - 1;
    if (order != std::memory_order_seq_cst) {
      std::size_t first = oldest_visible(*run);
      // The newest most of the time, so that most runs get far.
      if (first < at && run->choose(3) == 0) at = first + run->choose(at - first + 1);
    }
    return see(*run, at, order);
  }
  operator T() const { return load(); }  // NOLINT: as std::atomic

  void store(T value, std::memory_order order = std::memory_order_seq_cst) {
    begin();
    push(value, order, {});
  }
  T exchange(T value, std::memory_order order = std::memory_order_seq_cst) {
    return modify([&](T) { return value; }, order);
  }
  T fetch_add(T by, std::memory_order order = std::memory_order_seq_cst) {
    return modify([&](T old) { return static_cast<T>(old + by); }, order);
  }
  T fetch_sub(T by, std::memory_order order = std::memory_order_seq_cst) {
    return modify([&](T old) { return static_cast<T>(old - by); }, order);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order success,
                               std::memory_order failure = std::memory_order_relaxed) {
    begin();
    T old = newest();
    if (old != expected) {
      if (Exploration* run = exploring(); run != nullptr && !history_.empty()) see(*run, history_.size() - 1, failure);
      expected = old;
      return false;
    }
    replace(desired, success);
    return true;
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                             std::memory_order failure = std::memory_order_relaxed) {
    return compare_exchange_strong(expected, desired, success, failure);
  }

 private:
  struct Store {
    T value;
    Clock released;  // what an acquire of it makes visible
  };
  // That the thread knows the value `index` of the modification order, from `time` of its clock on.
  struct Seen {
    std::uint32_t time;
    std::size_t index;
  };

  T newest() const { return history_.empty() ? value_ : history_.back().value; }
  static Exploration* exploring() {
    Exploration* run = Exploration::current();
    return run != nullptr && run->exploring() ? run : nullptr;
  }
  static void begin() {
    if (Exploration* run = exploring()) run->step();
  }
  static bool releases(std::memory_order order) {
    return order == std::memory_order_release || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
  }
  static bool acquires(std::memory_order order) {
    return order == std::memory_order_acquire || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
  }

  // What a thread has read or written before, it and all that follows from that see no older value any more.
  std::size_t oldest_visible(Exploration& run) const {
    const Clock& clock = run.clock();
    std::size_t first = dropped_;
    for (std::size_t thread = 0; thread < kThreadsMax; ++thread) {
      for (std::size_t i = seen_[thread].size(); i-- > 0;) {
        if (clock.times[thread] < seen_[thread][i].time) continue;
        first = std::max(first, seen_[thread][i].index);
        break;
      }
    }
    return first - dropped_;
  }
  T see(Exploration& run, std::size_t at, std::memory_order order) const {
    note(run, dropped_ + at);
    if (acquires(order)) run.clock().join(history_[at].released);
    return history_[at].value;
  }
  void note(Exploration& run, std::size_t index) const {
    std::vector<Seen>& seen = seen_[run.thread()];
    if (seen.empty() || index > seen.back().index) seen.push_back({++run.clock().times[run.thread()], index});
  }
  void push(T value, std::memory_order order, const Clock& sequence) {
    Exploration* run = exploring();
    if (run == nullptr) {
      dropped_ += history_.size();
      history_.clear();
      for (std::vector<Seen>& seen : seen_) seen.clear();
      value_ = value;
      return;
    }
    if (history_.empty()) history_.push_back({value_, {}});
    note(*run, dropped_ + history_.size());
    Store store{value, sequence};
    if (releases(order)) store.released.join(run->clock());
    history_.push_back(store);
    if (history_.size() > kHistoryMax) {
      history_.erase(history_.begin());
      ++dropped_;
    }
  }
  void replace(T value, std::memory_order order) {
    Clock sequence;
    if (Exploration* run = exploring(); run != nullptr && !history_.empty()) {
      sequence = history_.back().released;
      see(*run, history_.size() - 1, order);
    }
    push(value, order, sequence);
  }
  template <class F>
  T modify(F change, std::memory_order order) {
    begin();
    T old = newest();
    replace(change(old), order);
    return old;
  }

  T value_;                     // before the history, and between runs
  std::vector<Store> history_;  // in modification order
  std::size_t dropped_ = 0;     // before these
  mutable std::array<std::vector<Seen>, kThreadsMax> seen_;
};

class Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;

  void lock() {
    Exploration* run = exploring();
    if (run == nullptr) return;
    run->step();
    while (held_) run->yield();
    held_ = true;
    run->clock().join(released_);
  }
  void unlock() {
    Exploration* run = exploring();
    if (run == nullptr) return;
    released_ = run->clock();
    held_ = false;
    run->step();
  }

 private:
  static Exploration* exploring() {
    Exploration* run = Exploration::current();
    return run != nullptr && run->exploring() ? run : nullptr;
  }

  bool held_ = false;
  Clock released_;
};

}  // namespace plexspaces::explore
