// A runtime in the hands of a test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plexspaces/actor/actor_ref.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/types.hpp"
#include "plexspaces/base/error.hpp"
#include "plexspaces/env/time.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"
#include "plexspaces/testkit/seed.hpp"

namespace plexspaces::testkit {

struct TestOptions {
  std::uint64_t seed = seed_from_environment().value_or(1);
  std::size_t workers = 2;
  Duration step_time_max{};                 // of a batch of turns; 0: time passes only when the test lets it
  std::size_t steps_max = 1'000'000;        // of one call; more means that the actors never come to rest
  RuntimeOptions runtime{};                 // `pick` unless set: the seed chooses the actor of each turn
  std::function<void(Types&)> types{};      // registers what is named by type; nothing for plain actors
  std::function<void(Runtime&)> prepare{};  // before its start: offers the facets that the types want
};

/// The production runtime in virtual time, in one thread, driven by the test:
///
///     TestRuntime world;
///     auto counter = world.spawn<Counter>("counter").value();
///     world.ask(counter, Increment{5}, 1s).value();      // runs actors until the answer is there
///     counter.tell(Increment{});
///     world.run_until_idle().value();
///     world.advance(10s).value();                        // timers of the next 10 s
///
/// Nothing happens but inside its calls. One seed decides which worker, and which of its runnable actors, runs next:
/// the same seed and the same program give the same run. No test framework is needed: what goes wrong is an error, and
/// names the seed.
/// Threads: one. Lifetime: actors still alive are destroyed with it, without a last turn; what they refer to is
/// declared before it.
class TestRuntime {
 public:
  /// Types and facets that do not fit end the process (checked).
  explicit TestRuntime(TestOptions options = {});
  ~TestRuntime();
  TestRuntime(const TestRuntime&) = delete;

  /// As Runtime::spawn(): the actor runs when the test lets it.
  template <class A, class... Args>
  Result<ActorRef<A>> spawn(std::string name, Args&&... args) {
    return runtime_->spawn<A>(std::move(name), std::forward<Args>(args)...);
  }
  template <class A, class... Args>
  Result<ActorRef<A>> spawn(SpawnOptions options, Args&&... args) {
    return runtime_->spawn<A>(std::move(options), std::forward<Args>(args)...);
  }

  /// Asks, and runs actors until the answer is there or `within` has passed in virtual time. ActorRef::ask() would wait
  /// for ever: nobody runs the actors meanwhile.
  /// @error as Context::ask(); kDeadlineExceeded has the seed. PLX-TST-0001: steps_max.
  template <class A, class M>
  Result<ReplyOf<std::remove_cvref_t<M>>> ask(ActorRef<A> to, M&& message, Duration within) {
    using Message = std::remove_cvref_t<M>;
    static_assert(A::template kHandles<Message>, "this actor does not handle this message");
    PLX_TRY(answer,
            ask_envelope(to.id(), plexspaces::detail::make_envelope(nullptr, std::forward<M>(message), 0), within));
    return answer.template take<ReplyOf<Message>>();
  }

  /// One batch of turns of some worker, or one blocking job. @returns false when there is none: only time can bring
  /// more. Time does not jump.
  bool step();
  /// Steps until only time can bring more. Does not wait for timers.
  /// @error kResourceExhausted (PLX-TST-0001): steps_max is spent, the actors never come to rest.
  Status run_until_idle();
  /// Steps, and lets time jump from timer to timer, until `done()`, at most until `within` has passed.
  /// @error kDeadlineExceeded (PLX-TST-0002): it has passed. PLX-TST-0001: steps_max.
  Status run_until(const std::function<bool()>& done, Duration within);
  /// Lets `by` pass, running what is due meanwhile, and then what is runnable. Timers go by ticks of 2^20 ns (about a
  /// millisecond): it ends at the next tick, so that a timer of `by` armed just before has fired.
  /// @error PLX-TST-0001: steps_max.
  Status advance(Duration by) { return advance_to(saturating_add(now(), by)); }
  /// As advance(), until `time`: where many steps must not add up their ticks.
  Status advance_to(TimePoint time);

  TimePoint now() const { return executor_.now(); }
  std::uint64_t seed() const { return options_.seed; }
  /// Equal for equal runs.
  std::uint64_t trace_hash() const { return world_.trace.hash(); }
  sim::World& world() { return world_; }
  Runtime& runtime() { return *runtime_; }
  /// What the runtime logged: a line for each crash among others.
  const std::vector<std::string>& log() const { return log_; }
  /// The first line about a crash; nothing when no actor has crashed.
  std::optional<std::string> first_crash() const;
  std::vector<DeadLetter> dead_letters() const { return runtime_->dead_letters(); }

  // For the test kit: asks, and does not wait. Shared, as the answer may come when nobody waits any more.
  std::shared_ptr<std::optional<Answer>> send_ask(ActorId to, plexspaces::detail::Envelope* envelope, Duration within);
  /// An error that names the seed and the first crash, for what a test finds out itself.
  std::unexpected<Error> failure(Code code, std::string message, std::string_view domain = {}) const;

 private:
  Result<Answer> ask_envelope(ActorId to, plexspaces::detail::Envelope* envelope, Duration within);
  Status drive(const std::function<bool()>& done, TimePoint limit);
  std::unexpected<Error> restless() const;
  void jump_to(TimePoint time);

  const TestOptions options_;
  sim::World world_;
  sim::SimExecutor executor_;
  Types types_;
  std::vector<std::string> log_;
  std::unique_ptr<Runtime> runtime_;
};

}  // namespace plexspaces::testkit
