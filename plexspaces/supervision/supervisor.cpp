#include "plexspaces/supervision/supervisor.hpp"

#include <algorithm>
#include <exception>

#include <fmt/format.h>

#include "plexspaces/base/hash.hpp"
#include "plexspaces/supervision/stopping.hpp"

namespace plexspaces {

using detail::Plan;

namespace {

using detail::await_stop;
using detail::kForEver;
using detail::patience;
using detail::stop_leftover;

constexpr std::uint64_t kNoWait = 0;

ActorRef<Actor> reference(Context& ctx, ActorId id) { return {ctx.self<Actor>().node(), id}; }

std::string describe(const ExitReason& reason) {
  if (reason.text.empty()) return std::string(exit_kind_name(reason.kind));
  return fmt::format("{}: {}", exit_kind_name(reason.kind), reason.text);
}

// Tells an actor to end, or kills it.
void begin_stop(Context& ctx, ActorId id, Shutdown shutdown) {
  ActorRef<Actor> child = reference(ctx, id);
  static_cast<void>(shutdown == brutal_kill ? ctx.kill(child) : ctx.exit(child, ExitReason::shutdown()));
}

/// Stops what is left of a tree whose root did not start, when nobody above can.
class Undertaker : public GenServer<Undertaker, detail::CarryOut> {
 public:
  explicit Undertaker(detail::Leftovers leftovers) : leftovers_(std::move(leftovers)) {}
  Task<> handle(const detail::CarryOut&, Context& ctx) {
    for (const detail::Leftover& left : leftovers_) co_await stop_leftover(ctx, left);
    ctx.stop();
  }

 private:
  detail::Leftovers leftovers_;
};

Error not_simple_error(const std::string& name) {
  return Error(Code::kFailedPrecondition,
               fmt::format("the children of '{}', simple_one_for_one, have no ids: they are named by actor, in "
                           "TerminateChild, and are gone when they have ended",
                           name),
               "PLX-SUP-0014");
}

}  // namespace

namespace detail {

Duration patience(Shutdown shutdown) { return shutdown.kind == Shutdown::Kind::kTimed ? shutdown.within : kForEver; }

// One that has ended within its time, before it is waited for, says so in a message.
constexpr Duration kTellTime = 1ms;

Task<bool> await_stop(Context& ctx, ActorId id, Duration within) {
  ActorRef<Actor> actor = reference(ctx, id);
  auto ended = co_await ctx.ended(actor, std::max(within, kTellTime));
  if (ended) co_return true;
  static_cast<void>(ctx.kill(actor));
  auto killed = co_await ctx.ended(actor, kForEver);
  static_cast<void>(killed);  // it ends in any case
  co_return false;
}

Task<> stop_leftover(Context& ctx, Leftover left) {
  if (left.shutdown == brutal_kill)
    ctx.runtime().kill(left.actor);
  else
    ctx.runtime().stop(left.actor);
  bool in_time = co_await await_stop(ctx, left.actor, patience(left.shutdown));
  static_cast<void>(in_time);
}

}  // namespace detail

// ---- first and last turn -------------------------------------------------------------------------------------------

Status Supervisor::on_start(Context& ctx) {
  if (leftovers_above_ == nullptr) PLX_TRY_STATUS(spec_->check());
  PLX_TRY_STATUS(ctx.trap_exits<Supervisor>(true));
  state_.strategy = spec_->strategy();
  state_.auto_shutdown = spec_->auto_shutdown();
  state_.restarts = detail::RestartWindow(spec_->limit());
  chance_ = mix_hash(ctx.runtime().options().seed ^ std::hash<ActorId>()(ctx.self_id()));
  Status started = start_all(ctx);
  if (started) {
    leftovers_above_ = nullptr;
    return {};
  }
  // INV-M7: what has started stops, right to left; here nothing can wait for that.
  for (Index i = children_.size(); i-- > 0;) {
    if (state_.children[i].state != ChildState::running) continue;
    ctx.unlink(reference(ctx, children_[i].actor));
    leftovers_.push_back({children_[i].actor, children_[i].spec->shutdown()});
  }
  if (leftovers_above_ != nullptr) {
    leftovers_above_->insert(leftovers_above_->end(), leftovers_.begin(), leftovers_.end());
  } else if (!leftovers_.empty()) {
    PLX_TRY(undertaker, ctx.spawn<Undertaker>(std::move(leftovers_)));
    PLX_TRY_STATUS(undertaker.tell(detail::CarryOut{}));
  }
  return started;
}

Status Supervisor::start_all(Context& ctx) {
  if (is_simple()) return {};
  for (const auto& child : spec_->children()) {
    add(child, nullptr);
    PLX_TRY_STATUS(start(ctx, children_.size() - 1));
  }
  return {};
}

Task<> Supervisor::on_stop(Context& ctx, const ExitReason&) {
  co_await stop_leftovers(ctx);
  if (is_simple()) {
    co_await stop_at_once(ctx);
    co_return;
  }
#ifdef PLX_BUG_STOP_LEFT_TO_RIGHT
  for (Index i = 0; i < children_.size(); ++i)
    if (state_.children[i].state == ChildState::running) co_await stop(ctx, i);
#endif
  for (auto at = next_to_stop(state_, 0, children_.size()); at; at = next_to_stop(state_, 0, *at))
    co_await stop(ctx, *at);
}

// ---- children ------------------------------------------------------------------------------------------------------

void Supervisor::add(std::shared_ptr<const ChildSpec> spec, std::shared_ptr<const void> argument) {
  state_.children.push_back({spec->restart, spec->options.significant, ChildState::stopped});
  children_.push_back({.spec = std::move(spec), .argument = std::move(argument)});
}

void Supervisor::remove(Index at) {
  Index moved = at;
  if (is_simple()) {
    // No order to keep.
    std::swap(children_[at], children_.back());
    std::swap(state_.children[at], state_.children.back());
    at = children_.size() - 1;
  }
  children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(at));
  state_.children.erase(state_.children.begin() + static_cast<std::ptrdiff_t>(at));
  for (Index i = moved; i < (is_simple() ? std::min(moved + 1, children_.size()) : children_.size()); ++i)
    if (children_[i].actor) places_[children_[i].actor] = i;
}

std::optional<Supervisor::Index> Supervisor::find(ActorId actor) const {
  auto found = places_.find(actor);
  return found == places_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<Supervisor::Index> Supervisor::find(const std::string& id) const {
  for (Index i = 0; i < children_.size(); ++i)
    if (children_[i].spec->id == id) return i;
  return std::nullopt;
}

void Supervisor::set_ended(Index at, ChildState state) {
  places_.erase(children_[at].actor);
  children_[at].actor = {};
  children_[at].wait = kNoWait;
  children_[at].counted = true;
  state_.children[at].state = state;
}

Status Supervisor::start(Context& ctx, Index at) {
  Child& child = children_[at];
  const ChildSpec& spec = *child.spec;
  Result<ActorId> started;
  try {
    if (spec.is_supervisor()) {
      started = detail::start_child<Supervisor>(ctx, spec.options, spec.supervisor, &leftovers_);
    } else {
      started = spec.start(ctx, spec.options, child.argument.get());
    }
  } catch (const std::exception& error) {
    started = fail(Code::kInternal, fmt::format("the constructor of {} threw: {}", spec.class_name, error.what()));
  } catch (...) {
    started = fail(Code::kInternal, fmt::format("the constructor of {} threw", spec.class_name));
  }
  if (!started) {
    Error cause = std::move(started).error();
    return std::unexpected(Error(cause.code(),
                                 fmt::format("the child '{}' of the supervisor '{}' did not start: {}", spec.id,
                                             spec_->name(), cause.message()),
                                 "PLX-SUP-0008")
                               .caused_by(cause));
  }
  child.actor = *started;
  places_[*started] = at;
  child.wait = kNoWait;
  child.counted = true;
  child.started = ctx.now();
  state_.children[at].state = ChildState::running;
  return {};
}

Task<> Supervisor::stop(Context& ctx, Index at) {
  ActorId actor = children_[at].actor;
  Shutdown shutdown = children_[at].spec->shutdown();
  begin_stop(ctx, actor, shutdown);
  bool in_time = co_await await_stop(ctx, actor, patience(shutdown));
  if (!in_time)
    ctx.runtime().log(fmt::format("the child '{}' of the supervisor '{}' did not end in {} ms and was killed",
                                  children_[at].spec->id, spec_->name(), patience(shutdown) / 1ms));
  set_ended(at, ChildState::stopped);
}

// Children without an order: all are told, then each is waited for.
Task<> Supervisor::stop_at_once(Context& ctx) {
  Shutdown shutdown = spec_->children().front()->shutdown();
  TimePoint due = saturating_add(ctx.clock(), patience(shutdown));
  for (Child& child : children_)
    if (child.actor) begin_stop(ctx, child.actor, shutdown);
  std::size_t killed = 0;
  for (Index i = 0; i < children_.size(); ++i) {
    if (!children_[i].actor) continue;
    bool in_time = co_await await_stop(ctx, children_[i].actor, time_left(due, ctx.clock()));
    killed += in_time ? 0 : 1;
    set_ended(i, ChildState::stopped);
  }
  if (killed > 0)
    ctx.runtime().log(fmt::format("{} children of the supervisor '{}' did not end in {} ms and were killed", killed,
                                  spec_->name(), patience(shutdown) / 1ms));
}

Task<> Supervisor::stop_leftovers(Context& ctx) {
  while (!leftovers_.empty()) {
    co_await stop_leftover(ctx, leftovers_.front());
    leftovers_.erase(leftovers_.begin());
  }
}

// ---- the end of a child --------------------------------------------------------------------------------------------

void Supervisor::handle(const Exited& m, Context& ctx) {
  std::optional<Index> found = find(m.from);
  if (!found) return;  // one that was stopped, or no child
  Child& child = children_[*found];
  if (const auto& backoff = child.spec->options.backoff; backoff && ctx.now() - child.started >= backoff->max)
    child.attempt = 0;
  set_ended(*found, ChildState::stopped);
  Plan plan = on_child_exit(state_, *found, m.reason, ctx.now());
  if (plan.kind == Plan::Kind::kRestart) return restart(ctx, *found);
  if (plan.kind == Plan::Kind::kGiveUp)
    give_up(ctx, fmt::format("the child '{}' has ended ({})", child.spec->id, describe(m.reason)));
  if (plan.kind == Plan::Kind::kShutDown) end(ctx, fmt::format("its significant child '{}' has ended", child.spec->id));
  if (is_simple() || child.spec->restart == temporary) remove(*found);
}

// Restarts are counted before they are tried, so that a start that always fails comes to an end.
std::uint64_t Supervisor::count_restart(Context& ctx, Index at) {
  state_.restarts.add(ctx.now());
  ++restarts_;
  state_.children[at].state = ChildState::restarting;
  children_[at].counted = true;
  return children_[at].wait = ++last_wait_;
}

void Supervisor::restart(Context& ctx, Index at) {
  std::uint64_t wait = count_restart(ctx, at);
  Duration delay = next_delay(at);
  Plan plan = restart_plan(state_, at);
  if (next_to_stop(state_, plan.first, plan.last)) return carry_out_later(ctx, wait, delay);
  if (delay > Duration::zero()) return resume_after(ctx, at, delay);
  start_range(ctx, plan);
}

// The start of a child has failed. Others may ask for something before it is tried again, as the cause may last.
// Without a backoff the next try counts when its turn comes, as in OTP: what comes before may make it needless. With
// one it counts now: a supervisor that has given up does not wait.
void Supervisor::try_again(Context& ctx, Index at) {
  Duration delay = next_delay(at);
  if (delay > Duration::zero()) {
    if (std::uint64_t wait = count_retry(ctx, at); wait != kNoWait) carry_out_later(ctx, wait, delay);
    return;
  }
  children_[at].wait = ++last_wait_;
  children_[at].counted = false;
  state_.children[at].state = ChildState::restarting;
  if (!leftovers_.empty()) carry_out_later(ctx, kNoWait, delay);
  resume_after(ctx, at, delay);
}

// @returns the wait; kNoWait: no more tries are allowed, and the supervisor ends.
std::uint64_t Supervisor::count_retry(Context& ctx, Index at) {
  if (on_restart_failed(state_, at, ctx.now()).kind != Plan::Kind::kGiveUp) return count_restart(ctx, at);
  give_up(ctx, fmt::format("the child '{}' does not start", children_[at].spec->id));
  set_ended(at, ChildState::stopped);
  if (is_simple()) remove(at);
  return kNoWait;
}

Duration Supervisor::next_delay(Index at) {
  const auto& backoff = children_[at].spec->options.backoff;
  if (!backoff) return Duration::zero();
  chance_ = mix_hash(chance_ + 1);
  return backoff_delay(*backoff, children_[at].attempt++, chance_);
}

void Supervisor::resume_after(Context& ctx, Index at, Duration delay) {
  auto timer = ctx.send_after<Supervisor>(delay, detail::Resume{static_cast<std::uint32_t>(at), children_[at].wait});
  if (!timer) end(ctx, fmt::format("a restart cannot be timed: {}", timer.error().message()));
}

void Supervisor::handle(const detail::Resume& m, Context& ctx) {
  std::optional<Index> at = m.child;
  if (m.child >= children_.size() || children_[m.child].wait != m.number) at = find_waiting(m.number);
  if (!at) return;
  std::uint64_t wait = children_[*at].counted ? m.number : count_retry(ctx, *at);
  if (wait == kNoWait) return;
  Plan plan = restart_plan(state_, *at);
  if (next_to_stop(state_, plan.first, plan.last)) return carry_out_later(ctx, wait, Duration::zero());
  start_range(ctx, plan);
}

std::optional<Supervisor::Index> Supervisor::find_waiting(std::uint64_t wait) const {
  for (Index i = 0; i < children_.size() && wait != kNoWait; ++i)
    if (children_[i].wait == wait) return i;
  return std::nullopt;
}

// In the next turn, which can wait.
void Supervisor::carry_out_later(Context& ctx, std::uint64_t wait, Duration delay) {
  pending_wait_ = wait;
  pending_delay_ = delay;
  Status taken = ctx.continue_with<Supervisor>(detail::CarryOut{});
  PLX_CHECK(taken.has_value(), "a supervisor handles what it sends itself");
}

Task<> Supervisor::handle(const detail::CarryOut&, Context& ctx) {
  std::uint64_t wait = std::exchange(pending_wait_, kNoWait);
  Duration delay = pending_delay_;
  co_await stop_leftovers(ctx);
  std::optional<Index> at = find_waiting(wait);
  if (!at) co_return;
  Plan plan = restart_plan(state_, *at);
  for (auto next = next_to_stop(state_, plan.first, plan.last); next; next = next_to_stop(state_, plan.first, *next))
    co_await stop(ctx, *next);
  for (Index i = plan.last; i-- > plan.first;)
    if (children_[i].spec->restart == temporary && !is_simple()) remove(i);
  at = find_waiting(wait);
  if (delay > Duration::zero())
    resume_after(ctx, *at, delay);
  else
    start_range(ctx, restart_plan(state_, *at));
}

void Supervisor::start_range(Context& ctx, const Plan& plan) {
  for (auto at = next_to_start(state_, plan.first, plan.last); at; at = next_to_start(state_, *at, plan.last)) {
    Status started = start(ctx, *at);
    if (!started) {
      ctx.runtime().log(started.error().message());
      // Those after it start with it, or not at all: also those that waited for a restart of their own.
      for (Index i = *at + 1; i < plan.last; ++i)
        if (state_.children[i].state == ChildState::restarting) set_ended(i, ChildState::stopped);
      return try_again(ctx, *at);
    }
    ++children_[*at].restarts;
  }
}

void Supervisor::give_up(Context& ctx, const std::string& why) {
  end(ctx,
      fmt::format("{}: more than {} restarts in {} ms", why, spec_->limit().intensity, spec_->limit().period / 1ms));
}

// Its children stop in the last turn; what comes of it its own supervisor decides.
void Supervisor::end(Context& ctx, const std::string& why) {
  ctx.runtime().log(fmt::format("the supervisor '{}' ends: {}", spec_->name(), why));
  ctx.exit(ExitReason::shutdown());
}

// ---- requests ------------------------------------------------------------------------------------------------------

Result<Supervisor::Index> Supervisor::add_new(const StartChild& m) {
  const ValueType* wanted = is_simple() ? spec_->children().front()->argument : nullptr;
  auto shown = [](const ValueType* type) { return type == nullptr ? std::string_view("no argument") : type->name; };
  if (m.argument_type != wanted)
    return fail(Code::kInvalidArgument,
                fmt::format("the supervisor '{}' starts children with {}, not with {}", spec_->name(), shown(wanted),
                            shown(m.argument_type)),
                "PLX-SUP-0015");
  if (is_simple() != (m.spec == nullptr))
    return fail(Code::kInvalidArgument,
                is_simple()
                    ? fmt::format("the supervisor '{}' makes its children from its template: StartChild{{}} or "
                                  "StartChild::with(argument)",
                                  spec_->name())
                    : fmt::format("the supervisor '{}' needs to be told what to start: StartChild(child<A>(id))",
                                  spec_->name()),
                "PLX-SUP-0016");
  if (!is_simple()) {
    PLX_TRY_STATUS(detail::check_child(*m.spec, *spec_, spec_->name()));
    if (children_.size() >= kChildrenMax)
      return fail(Code::kResourceExhausted,
                  fmt::format("the supervisor '{}' has {} children, its limit", spec_->name(), kChildrenMax),
                  "PLX-SUP-0007");
    if (auto there = find(m.spec->id)) {
      bool runs = state_.children[*there].state == ChildState::running;
      return fail(Code::kAlreadyExists,
                  fmt::format("the supervisor '{}' has a child '{}', which {}", spec_->name(), m.spec->id,
                              runs ? "is running" : "does not run: restart or delete it"),
                  runs ? "PLX-SUP-0009" : "PLX-SUP-0010");
    }
  }
  add(is_simple() ? spec_->children().front() : m.spec, m.argument);
  return children_.size() - 1;
}

Task<Result<ActorId>> Supervisor::handle(const StartChild& m, Context& ctx) {
  PLX_CO_TRY(at, add_new(m));
  Status started = start(ctx, at);
  if (started) co_return children_[at].actor;
  remove(at);
  co_await stop_leftovers(ctx);
  co_return std::unexpected(std::move(started).error());
}

Task<Status> Supervisor::handle(const TerminateChild& m, Context& ctx) {
  std::optional<Index> at;
  if (is_simple()) {
    if (!m.id.empty()) co_return std::unexpected(not_simple_error(spec_->name()));
    at = find(m.actor);
  } else if (!m.id.empty()) {
    at = find(m.id);
  }
  if (!at && m.actor && !ctx.runtime().is_alive(m.actor)) co_return Status();  // it may have been a child
  if (!at)
    co_return fail(Code::kNotFound, fmt::format("the supervisor '{}' has no such child", spec_->name()),
                   "PLX-SUP-0011");
  if (state_.children[*at].state == ChildState::running) co_await stop(ctx, *at);
  set_ended(*at, ChildState::stopped);
  if (is_simple() || children_[*at].spec->restart == temporary) remove(*at);
  co_return Status();
}

Result<Supervisor::Index> Supervisor::find_stopped(const std::string& id) const {
  if (is_simple()) return std::unexpected(not_simple_error(spec_->name()));
  std::optional<Index> at = find(id);
  if (!at)
    return fail(Code::kNotFound, fmt::format("the supervisor '{}' has no child '{}'", spec_->name(), id),
                "PLX-SUP-0011");
  if (state_.children[*at].state == ChildState::running)
    return fail(Code::kFailedPrecondition, fmt::format("the child '{}' is running: terminate it first", id),
                "PLX-SUP-0012");
  if (state_.children[*at].state == ChildState::restarting)
    return fail(Code::kFailedPrecondition, fmt::format("the child '{}' is being restarted: terminate it first", id),
                "PLX-SUP-0013");
  return *at;
}

Task<Result<ActorId>> Supervisor::handle(const RestartChild& m, Context& ctx) {
  PLX_CO_TRY(at, find_stopped(m.id));
  Status started = start(ctx, at);
  if (started) co_return children_[at].actor;
  co_await stop_leftovers(ctx);
  co_return std::unexpected(std::move(started).error());
}

Status Supervisor::handle(const DeleteChild& m, Context&) {
  PLX_TRY(at, find_stopped(m.id));
  remove(at);
  return {};
}

std::vector<ChildInfo> Supervisor::infos(std::size_t max) const {
  std::vector<ChildInfo> infos;
  for (Index i = 0; i < std::min(max, children_.size()); ++i) {
    const Child& child = children_[i];
    infos.push_back({.id = child.spec->id,
                     .state = state_.children[i].state,
                     .class_name = child.spec->class_name,
                     .restart = child.spec->restart,
                     .is_supervisor = child.spec->is_supervisor(),
                     .restarts = child.restarts});
    if (child.actor) infos.back().actor = child.actor;
  }
  return infos;
}

ChildCounts Supervisor::handle(const CountChildren&, Context&) const {
  ChildCounts counts;
  counts.specs = is_simple() ? 1 : children_.size();
  for (Index i = 0; i < children_.size(); ++i) {
    if (state_.children[i].state == ChildState::running) ++counts.active;
    ++(children_[i].spec->is_supervisor() ? counts.supervisors : counts.workers);
  }
  return counts;
}

SupervisorInfo Supervisor::handle(const DescribeSupervisor& m, Context&) const {
  return {.name = spec_->name(),
          .strategy = spec_->strategy(),
          .intensity = spec_->limit().intensity,
          .period_ms = static_cast<std::uint64_t>(spec_->limit().period / 1ms),
          .restarts = restarts_,
          .children_count = children_.size(),
          .children = infos(m.children_max)};
}

}  // namespace plexspaces
