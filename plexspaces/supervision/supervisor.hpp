// The actor that starts, watches, restarts and stops its children.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/supervision/strategy.hpp"
#include "plexspaces/supervision/supervisor_spec.hpp"

namespace plexspaces {

// ---- what a supervisor can be asked (its errors: docs/errors/PLX-SUP.md) -------------------------------------------

/// Starts another child, to the right of the others: `StartChild(child<Stock>("stock2", temporary))`; of
/// simple_one_for_one one from the template: `StartChild{}`, `StartChild::with(Connect{...})`. What is started is code
/// of this process, so a StartChild that was made elsewhere, from bytes, carries nothing.
/// @error kAlreadyExists: a child with that id is running, or stopped. kInvalidArgument: the child is not as it must be
/// (SupervisorSpec::check()), or not what this supervisor starts. kResourceExhausted: kChildrenMax, links_max of the
/// runtime. Those of its start: it is not a child then.
struct StartChild {
  using Reply = ActorId;

  StartChild() = default;
  explicit StartChild(ChildSpec child) : spec(std::make_shared<const ChildSpec>(std::move(child))) {}
  template <class Argument>
  static StartChild with(Argument argument) {
    StartChild start;
    start.argument = std::make_shared<const Argument>(std::move(argument));
    start.argument_type = &value_type_of<Argument>();
    return start;
  }

  std::shared_ptr<const ChildSpec> spec;
  std::shared_ptr<const void> argument;
  const ValueType* argument_type = nullptr;
};
PLX_MESSAGE(StartChild);

/// Stops a child; it stays known, to be restarted or deleted, unless it is temporary. By `id`; of simple_one_for_one by
/// `actor`, also when that has ended already. @error kNotFound: no such child. kFailedPrecondition: named in the wrong
/// one of the two ways.
struct TerminateChild {
  std::string id;
  ActorId actor{};
};
PLX_MESSAGE(TerminateChild, (1, id), (2, actor));

/// Starts a child that is stopped. @error kNotFound. kFailedPrecondition: it is running or restarting, or the strategy
/// is simple_one_for_one. Those of its start: it stays stopped.
struct RestartChild {
  using Reply = ActorId;
  std::string id;
};
PLX_MESSAGE(RestartChild, (1, id));

/// Forgets a child that is stopped. @error as RestartChild.
struct DeleteChild {
  std::string id;
};
PLX_MESSAGE(DeleteChild, (1, id));

/// One child as it is now.
struct ChildInfo {
  std::string id;
  ChildState state = ChildState::stopped;
  std::optional<ActorId> actor;  // of one that runs
  std::string class_name;        // of C++
  RestartType restart = permanent;
  bool is_supervisor = false;
  std::uint64_t restarts = 0;  // since it is a child
};
PLX_MESSAGE(ChildInfo, (1, id), (2, state), (3, actor), (4, class_name), (5, restart), (6, is_supervisor),
            (7, restarts));

/// The children, left to right; of simple_one_for_one in no order.
struct WhichChildren {
  using Reply = std::vector<ChildInfo>;
};
PLX_MESSAGE(WhichChildren);

struct ChildCounts {
  std::uint64_t specs = 0;   // of simple_one_for_one: 1
  std::uint64_t active = 0;  // that run
  std::uint64_t supervisors = 0;
  std::uint64_t workers = 0;
};
PLX_MESSAGE(ChildCounts, (1, specs), (2, active), (3, supervisors), (4, workers));

struct CountChildren {
  using Reply = ChildCounts;
};
PLX_MESSAGE(CountChildren);

/// A supervisor as it is now; `children` are the first ones, at most as many as asked for.
struct SupervisorInfo {
  std::string name;
  Strategy strategy = one_for_one;
  std::uint32_t intensity = 0;
  std::uint64_t period_ms = 0;
  std::uint64_t restarts = 0;  // since it started
  std::uint64_t children_count = 0;
  std::vector<ChildInfo> children;
};
PLX_MESSAGE(SupervisorInfo, (1, name), (2, strategy), (3, intensity), (4, period_ms), (5, restarts),
            (6, children_count), (7, children));

struct DescribeSupervisor {
  using Reply = SupervisorInfo;
  std::uint64_t children_max = 0;
};
PLX_MESSAGE(DescribeSupervisor, (1, children_max));

namespace detail {

// What a supervisor sends itself.

/// Carries out the plan that is kept.
struct CarryOut {};
PLX_MESSAGE(CarryOut);

/// The wait before a restart is over.
struct Resume {
  std::uint32_t child = 0;   // where it was
  std::uint64_t number = 0;  // of the wait
};
PLX_MESSAGE(Resume, (1, child), (2, number));

}  // namespace detail

// ---- the supervisor ------------------------------------------------------------------------------------------------

/// An actor that keeps its children alive, as OTP's supervisor does (docs/supervision.md has the differences).
///
///     on_start   children start left to right, each with its own on_start(): when the supervisor is there, its whole
///                tree is. One that fails ends those already started, right to left, and is the supervisor's failure.
///     Exited     a child has ended: strategy.hpp decides, the supervisor carries it out
///     on_stop    children stop right to left, those of simple_one_for_one all at once, each within its Shutdown
///
/// It gives up when the RestartLimit is exceeded: it ends with the reason shutdown, its children before it, and its own
/// supervisor decides. While it stops children it handles no other message.
///
/// Start it inside an actor by ctx.spawn<Supervisor>(spec) or ctx.spawn_linked<Supervisor>(spec), outside by
/// start_tree() (application.hpp). Children are linked to it and know it as their parent.
class Supervisor
    : public GenServer<Supervisor, Exited, StartChild, TerminateChild, RestartChild, DeleteChild, WhichChildren,
                       CountChildren, DescribeSupervisor, detail::CarryOut, detail::Resume> {
 public:
  /// @error of its on_start(): what SupervisorSpec::check() says.
  explicit Supervisor(SupervisorSpec spec) : Supervisor(std::make_shared<const SupervisorSpec>(std::move(spec))) {}
  /// `leftovers`: where children go that ran when the start failed, else they are stopped by an actor of their own. For
  /// the library. It is used in on_start() only.
  explicit Supervisor(std::shared_ptr<const SupervisorSpec> spec, detail::Leftovers* leftovers = nullptr)
      : spec_(std::move(spec)), leftovers_above_(leftovers) {}

  Status on_start(Context& ctx) override;
  Task<> on_stop(Context& ctx, const ExitReason& reason) override;

  void handle(const Exited& m, Context& ctx);
  Task<Result<ActorId>> handle(const StartChild& m, Context& ctx);
  Task<Status> handle(const TerminateChild& m, Context& ctx);
  Task<Result<ActorId>> handle(const RestartChild& m, Context& ctx);
  Status handle(const DeleteChild& m, Context& ctx);
  std::vector<ChildInfo> handle(const WhichChildren&, Context&) const { return infos(children_.size()); }
  ChildCounts handle(const CountChildren&, Context&) const;
  SupervisorInfo handle(const DescribeSupervisor& m, Context&) const;
  Task<> handle(const detail::CarryOut&, Context& ctx);
  void handle(const detail::Resume& m, Context& ctx);

 private:
  struct Child {
    std::shared_ptr<const ChildSpec> spec;
    std::shared_ptr<const void> argument;  // of a template
    ActorId actor;                         // when it runs
    std::uint64_t restarts = 0;
    std::uint64_t wait = 0;     // the wait before a restart that counts; a Resume of another one is late
    bool counted = true;        // whether the restart that it waits for is in the window already
    TimePoint started;          // when it was last started
    std::uint32_t attempt = 0;  // restarts in a row, for the backoff
  };
  using Index = std::size_t;

  bool is_simple() const { return spec_->strategy() == simple_one_for_one; }
  Status start_all(Context& ctx);
  Status start(Context& ctx, Index at);
  void add(std::shared_ptr<const ChildSpec> spec, std::shared_ptr<const void> argument);
  void remove(Index at);
  std::optional<Index> find(ActorId actor) const;
  std::optional<Index> find(const std::string& id) const;
  Result<Index> find_stopped(const std::string& id) const;
  Result<Index> add_new(const StartChild& m);
  void set_ended(Index at, ChildState state);

  void restart(Context& ctx, Index at);
  void try_again(Context& ctx, Index at);
  std::uint64_t count_retry(Context& ctx, Index at);
  std::uint64_t count_restart(Context& ctx, Index at);
  Duration next_delay(Index at);
  void resume_after(Context& ctx, Index at, Duration delay);
  std::optional<Index> find_waiting(std::uint64_t wait) const;
  void carry_out_later(Context& ctx, std::uint64_t wait, Duration delay);
  void start_range(Context& ctx, const detail::Plan& plan);
  void give_up(Context& ctx, const std::string& why);
  void end(Context& ctx, const std::string& why);

  Task<> stop(Context& ctx, Index at);
  Task<> stop_at_once(Context& ctx);
  Task<> stop_leftovers(Context& ctx);
  std::vector<ChildInfo> infos(std::size_t max) const;

  std::shared_ptr<const SupervisorSpec> spec_;
  detail::Leftovers* leftovers_above_;
  detail::Leftovers leftovers_;    // of children whose start has failed
  detail::SupervisorState state_;  // children as in children_
  std::vector<Child> children_;
  std::unordered_map<ActorId, Index> places_;  // of those that run, in children_
  std::uint64_t pending_wait_ = 0;             // of the child whose restart CarryOut begins
  Duration pending_delay_{0};                  // between its stops and starts
  std::uint64_t last_wait_ = 0;
  std::uint64_t restarts_ = 0;
  std::uint64_t chance_ = 0;
};

}  // namespace plexspaces
