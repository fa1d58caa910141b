#include "our_trace.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"
#include "plexspaces/supervision/supervisor.hpp"

namespace plexspaces::test {

namespace {

constexpr std::size_t kStepsMax = 100'000;
constexpr Duration kForEver = 1000h;

struct EndAs {
  ExitKind kind = ExitKind::kNormal;
};
struct Begin {};
struct Watch {
  std::string name;
  ActorId actor{};  // a supervisor
};
struct Together {
  std::vector<std::string> ends;  // "id=reason"
};
struct SendExit {
  ActorId to{};
  ExitKind kind = ExitKind::kNormal;
};
struct Dynamic {
  std::string id;
};
PLX_MESSAGE(EndAs, (1, kind));
PLX_MESSAGE(Begin);
PLX_MESSAGE(Watch, (1, name), (2, actor));
PLX_MESSAGE(Together, (1, ends));
PLX_MESSAGE(SendExit, (1, to), (2, kind));
PLX_MESSAGE(Dynamic, (1, id));

ExitKind parse_kind(const std::string& word) {
  for (ExitKind kind : {ExitKind::kNormal, ExitKind::kShutdown, ExitKind::kError, ExitKind::kKilled})
    if (exit_kind_name(kind) == word) return kind;
  throw std::runtime_error(fmt::format("no reason of an exit: '{}'", word));
}

ExitReason reason_of(ExitKind kind) { return {kind, {}}; }

std::string answer_of(const Error& error) {
  static const std::map<std::string, std::string> kWords = {{"PLX-SUP-0008", "failed"},
                                                            {"PLX-SUP-0009", "already_started"},
                                                            {"PLX-SUP-0010", "already_present"},
                                                            {"PLX-SUP-0011", "not_found"},
                                                            {"PLX-SUP-0012", "running"},
                                                            {"PLX-SUP-0013", "restarting"},
                                                            {"PLX-SUP-0014", "simple_one_for_one"}};
  auto found = kWords.find(error.domain());
  if (found != kWords.end()) return found->second;
  if (error.code() == Code::kNotFound) return "noproc";  // the supervisor has ended
  return error.code() == Code::kInvalidArgument ? "invalid" : error.to_string();
}

template <class R>
std::string answer_of(const Result<R>& result) {
  return result ? "ok" : answer_of(result.error());
}

class Parent;

/// One case under way.
class Run {
 public:
  Run(const Case& which, const Schedule& schedule);
  ~Run() { executor_.stop(); }

  Words trace();

  // For its actors.
  Status start(Context& ctx, const ChildCase& child, const std::string& id);
  void note_end(const std::string& id, ActorId actor) { events_.push_back({'-', id, actor, {}}); }
  void note_reason(ActorId actor, const ExitReason& reason);
  void end_workers(const Words& ends);
  SupervisorSpec spec(const std::string& name) const;
  const SupervisorCase& root() const { return case_.supervisors.front(); }
  const ChildCase& template_child() const;

  std::string begun_;  // the answer to the start of the root
  ActorId root_{};
  Words ended_;  // supervisors, since the last step

 private:
  struct Event {
    char what;  // + started, ! failed to start, - ended
    std::string id;
    ActorId actor;
    std::string reason;  // of -
  };
  using Done = std::function<void(std::string)>;

  RuntimeOptions options(const Schedule& schedule);
  void settle() {
    executor_.run_until([] { return false; }, kStepsMax);
  }
  template <class A>
  ActorRef<A> ref(const std::string& id) const {
    auto found = actors_.find(id);  // none: it has never started
    return {runtime_.node_id(), found == actors_.end() ? ActorId{} : found->second};
  }
  void end_worker(const std::string& id, const std::string& reason);
  void begin_request(Context* ctx, const Words& words, Done done);
  std::optional<std::string> take(const Words& words);
  void report(const Words& step, const std::optional<std::string>& answer);
  void show(const std::string& name, ActorId supervisor);
  std::string show(const ChildInfo& child) const;

  const Case& case_;
  std::map<std::string, ActorId> actors_;  // the latest of each id
  std::map<ActorId, std::string> names_;
  std::map<std::string, std::size_t> starts_;
  std::set<ActorId> watched_;
  std::deque<ChildCase> added_;
  std::vector<Event> events_;
  std::map<std::size_t, std::string> during_;  // in the order of the table
  Words trace_;
  std::optional<ActorRef<Parent>> parent_;
  sim::World world_;
  sim::SimExecutor executor_;
  Types types_;
  Runtime runtime_;
};

// What dynamic children, which are made from a message alone, belong to.
thread_local Run* current = nullptr;

// ---- the actors of a case ------------------------------------------------------------------------------------------

/// What the two kinds of children have in common.
class Life {
 public:
  Life(Run* run, const ChildCase* child, std::string id) : child_(*child), run_(*run), id_(std::move(id)) {}
  ~Life() {
    if (self_ != ActorId{}) run_.note_end(id_, self_);
  }
  Status start(Context& ctx) {
    PLX_TRY_STATUS(run_.start(ctx, child_, id_));
    self_ = ctx.self_id();
    return {};
  }
  static void end(Context& ctx, ExitKind kind) {
    if (kind == ExitKind::kError) throw std::runtime_error("on purpose");
    if (kind == ExitKind::kKilled) return ctx.runtime().kill(ctx.self_id());
    ctx.exit({kind, {}});
  }

  const ChildCase& child_;

 private:
  Run& run_;
  std::string id_;
  ActorId self_{};
};

class Plain : public GenServer<Plain, EndAs> {
 public:
  Plain(Run* run, const ChildCase* child, std::string id) : life_(run, child, std::move(id)) {}
  explicit Plain(const Dynamic& made) : Plain(current, &current->template_child(), made.id) {}
  Status on_start(Context& ctx) override { return life_.start(ctx); }
  void handle(const EndAs& m, Context& ctx) { Life::end(ctx, m.kind); }

 private:
  Life life_;
};

class Trapping : public GenServer<Trapping, EndAs, Exited> {
 public:
  Trapping(Run* run, const ChildCase* child, std::string id) : life_(run, child, std::move(id)) {}
  explicit Trapping(const Dynamic& made) : Trapping(current, &current->template_child(), made.id) {}
  Status on_start(Context& ctx) override {
    PLX_TRY_STATUS(ctx.trap_exits<Trapping>(true));
    return life_.start(ctx);
  }
  Task<> on_stop(Context& ctx, const ExitReason& reason) override {
    if (life_.child_.stubborn) co_await ctx.sleep(kForEver);
    if (life_.child_.stop_fails && reason.kind == ExitKind::kShutdown) throw std::runtime_error("on purpose");
  }
  void handle(const EndAs& m, Context& ctx) { Life::end(ctx, m.kind); }
  void handle(const Exited&, Context&) {}

 private:
  Life life_;
};

/// Starts the root, and sees the ends of all.
class Parent : public GenServer<Parent, Begin, Watch, Together, SendExit, Exited, Down> {
 public:
  explicit Parent(Run* run) : run_(*run) {}
  void handle(const Begin&, Context& ctx) {
    if (Status trapping = ctx.trap_exits<Parent>(true); !trapping) throw std::runtime_error("the parent cannot trap");
    auto root = ctx.spawn_linked<Supervisor>(run_.spec(run_.root().name));
    run_.begun_ = answer_of(root);
    if (root) run_.root_ = root->id();
  }
  void handle(const Watch& m, Context& ctx) {
    auto monitor = ctx.monitor<Parent>(ActorRef<Actor>(ctx.self<Parent>().node(), m.actor));
    if (monitor) supervisors_[m.actor] = m.name;
  }
  void handle(const Together& m, Context&) { run_.end_workers(m.ends); }
  void handle(const SendExit& m, Context& ctx) {
    static_cast<void>(ctx.exit(ActorRef<Actor>(ctx.self<Parent>().node(), m.to), reason_of(m.kind)));
  }
  void handle(const Exited& m, Context&) { run_.note_reason(m.from, m.reason); }
  void handle(const Down& m, Context&) {
    run_.ended_.push_back(fmt::format("  ended: {} {}", supervisors_.at(m.actor), exit_kind_name(m.reason.kind)));
    if (m.actor == run_.root_) run_.root_ = {};
  }

 private:
  Run& run_;
  std::map<ActorId, std::string> supervisors_;
};

class Stranger : public GenServer<Stranger, SendExit> {
 public:
  void handle(const SendExit& m, Context& ctx) {
    static_cast<void>(ctx.exit(ActorRef<Actor>(ctx.self<Stranger>().node(), m.to), reason_of(m.kind)));
    ctx.stop();
  }
};

template <class M>
class Asker : public GenServer<Asker<M>, Begin> {
 public:
  using Done = std::function<void(Result<ReplyOf<M>>)>;
  Asker(ActorRef<Supervisor> to, const M& message, Done done) : to_(to), message_(message), done_(std::move(done)) {}
  Task<> handle(const Begin&, Context& ctx) {
    auto answer = co_await ctx.ask(to_, message_, kForEver);
    done_(std::move(answer));
    ctx.stop();
  }

 private:
  ActorRef<Supervisor> to_;
  M message_;
  Done done_;
};

template <class M>
void begin_ask(Runtime& runtime, Context* ctx, ActorRef<Supervisor> to, const M& message,
               typename Asker<M>::Done done) {
  auto asker = ctx != nullptr ? ctx->spawn<Asker<M>>(to, message, std::move(done))
                              : runtime.spawn<Asker<M>>("", to, message, std::move(done));
  if (!asker || !asker->tell(Begin{})) throw std::runtime_error("a request cannot be sent");
}

// ---- the run -------------------------------------------------------------------------------------------------------

Run::Run(const Case& which, const Schedule& schedule)
    : case_(which),
      world_(schedule.seed),
      executor_(world_, {.workers = schedule.workers}),
      runtime_(executor_, types_, options(schedule)) {
  runtime_.set_log([](const std::string&) {});
  if (Status started = runtime_.start(); !started) throw std::runtime_error(started.error().to_string());
}

RuntimeOptions Run::options(const Schedule& schedule) {
  RuntimeOptions options;
  options.seed = schedule.seed;
  options.move_every_turns = schedule.move_every_turns;
  if (!schedule.in_order)
    options.pick = [this](std::size_t count) { return static_cast<std::size_t>(world_.random.below(count)); };
  return options;
}

const ChildCase& Run::template_child() const {
  for (const SupervisorCase& supervisor : case_.supervisors)
    if (supervisor.strategy == simple_one_for_one) return supervisor.children.front();
  throw std::runtime_error("no supervisor is simple_one_for_one");
}

ChildSpec make_spec(Run* run, const ChildCase& child) {
  if (child.supervisor) return plexspaces::child(run->spec(child.id), child.restart, child.options);
  return child.traps ? plexspaces::child<Trapping>(child.id, child.restart, child.options, run, &child, child.id)
                     : plexspaces::child<Plain>(child.id, child.restart, child.options, run, &child, child.id);
}

SupervisorSpec Run::spec(const std::string& name) const {
  auto found = std::ranges::find(case_.supervisors, name, &SupervisorCase::name);
  if (found == case_.supervisors.end()) throw std::runtime_error(fmt::format("the case has no supervisor '{}'", name));
  SupervisorSpec spec = supervisor(name, found->strategy, found->limit).auto_shutdown(found->auto_shutdown);
  for (const ChildCase& child : found->children) {
    if (found->strategy != simple_one_for_one)
      spec.add(make_spec(const_cast<Run*>(this), child));
    else if (child.traps)
      spec.template_child<Trapping, Dynamic>(child.id, child.restart, child.options);
    else
      spec.template_child<Plain, Dynamic>(child.id, child.restart, child.options);
  }
  return spec;
}

Status Run::start(Context& ctx, const ChildCase& child, const std::string& id) {
  std::size_t start = ++starts_[id];
  for (std::size_t i = 0; i < case_.during.size(); ++i) {
    const DuringStart& during = case_.during[i];
    if (during.id != id || during.start != start) continue;
    begin_request(&ctx, during.request, [this, &during, i](const std::string& answer) {
      during_[i] = fmt::format("  during: {}: {}", join(during.request), answer);
    });
  }
  if (start >= child.fails_first && start <= child.fails_last) {
    events_.push_back({'!', id, {}, {}});
    if (child.throws) throw std::runtime_error("no luck at all");
    return fail(Code::kUnavailable, "no luck");
  }
  actors_[id] = ctx.self_id();
  names_[ctx.self_id()] = id;
  events_.push_back({'+', id, ctx.self_id(), {}});
  return ctx.link(*parent_);  // from its first moment: a monitor could come too late to know the reason
}

void Run::note_reason(ActorId actor, const ExitReason& reason) {
  for (Event& event : events_)
    if (event.what == '-' && event.actor == actor) event.reason = exit_kind_name(reason.kind);
}

void Run::end_worker(const std::string& id, const std::string& reason) {
  ref<Plain>(id).tell(EndAs{parse_kind(reason)});
}

// In this order, when actors take turns in order and the caller is one.
void Run::end_workers(const Words& ends) {
  for (const std::string& end : ends) {
    std::size_t equals = end.find('=');
    end_worker(end.substr(0, equals), end.substr(equals + 1));
  }
}

void Run::begin_request(Context* ctx, const Words& words, Done done) {
  if (words.front() == "exit") {
    end_worker(words.at(1), words.at(2));
    return done("ok");
  }
  auto to = ref<Supervisor>(words.at(1));
  const std::string& id = words.at(2);
  auto tell = [done = std::move(done)](const auto& result) { done(answer_of(result)); };
  if (words.front() == "start") {
    if (words.size() == 3) return begin_ask<StartChild>(runtime_, ctx, to, StartChild::with(Dynamic{id}), tell);
    added_.push_back(parse_child(words, 2));
    begin_ask<StartChild>(runtime_, ctx, to, StartChild(make_spec(this, added_.back())), tell);
  } else if (words.front() == "terminate") {
    begin_ask<TerminateChild>(runtime_, ctx, to, {.id = id}, tell);
  } else if (words.front() == "terminate_actor") {
    begin_ask<TerminateChild>(runtime_, ctx, to, {.actor = actors_.at(id)}, tell);
  } else if (words.front() == "restart") {
    begin_ask<RestartChild>(runtime_, ctx, to, {.id = id}, tell);
  } else if (words.front() == "delete") {
    begin_ask<DeleteChild>(runtime_, ctx, to, {.id = id}, tell);
  } else {
    throw std::runtime_error(fmt::format("the table of cases has an unknown step '{}'", join(words)));
  }
}

// Takes a step to its end. @returns the answer of a request.
std::optional<std::string> Run::take(const Words& words) {
  const std::string& verb = words.front();
  std::optional<std::string> answer;
  if (verb == "together") {
    parent_->tell(Together{{words.begin() + 2, words.end()}});
  } else if (verb == "kill") {
    runtime_.kill(actors_.at(words.at(1)));
  } else if (verb == "signal") {
    auto stranger = runtime_.spawn<Stranger>("");
    stranger->tell(SendExit{actors_.at(words.at(1)), parse_kind(words.at(2))});
  } else if (verb == "stop") {
    parent_->tell(SendExit{root_, parse_kind(words.at(1))});
  } else if (verb == "wait") {
    executor_.run_for(std::chrono::milliseconds(std::stol(words.at(1))), kStepsMax);
  } else {
    begin_request(nullptr, words, [&answer](const std::string& given) { answer = given; });
    settle();
    if (!answer) answer = "none";
    if (verb == "exit") answer.reset();
  }
  settle();
  return answer;
}

void Run::report(const Words& step, const std::optional<std::string>& answer) {
  trace_.push_back(join(step));
  if (answer) trace_.push_back("  answer: " + *answer);
  Words events;
  for (const Event& event : std::exchange(events_, {}))
    events.push_back(event.what + event.id + (event.what == '-' ? ":" + event.reason : ""));
  if (step.front() == "unordered") std::ranges::sort(events);
  if (!events.empty()) trace_.push_back("  events: " + join(events));
  for (auto& [order, line] : std::exchange(during_, {})) trace_.push_back(std::move(line));
  std::ranges::sort(ended_);
  std::ranges::move(std::exchange(ended_, {}), std::back_inserter(trace_));
  if (root_ != ActorId{}) show(root().name, root_);
}

std::string Run::show(const ChildInfo& child) const {
  if (child.state == ChildState::stopped) return child.id + ":stopped";
  if (child.state == ChildState::restarting) return child.id + ":restarting";
  return child.is_supervisor ? child.id : names_.at(*child.actor);
}

void Run::show(const std::string& name, ActorId supervisor) {
  actors_[name] = supervisor;
  if (watched_.insert(supervisor).second) parent_->tell(Watch{name, supervisor});
  std::optional<std::vector<ChildInfo>> children;
  std::optional<ChildCounts> counts;
  auto to = ref<Supervisor>(name);
  begin_ask<WhichChildren>(runtime_, nullptr, to, {}, [&](auto result) {
    if (result) children = *std::move(result);
  });
  begin_ask<CountChildren>(runtime_, nullptr, to, {}, [&](auto result) {
    if (result) counts = *result;
  });
  settle();
  if (!children || !counts) return trace_.push_back(fmt::format("  {} does not answer", name));
  Words shown;
  for (const ChildInfo& child : *children) shown.push_back(show(child));
  auto found = std::ranges::find(case_.supervisors, name, &SupervisorCase::name);
  if (found->strategy == simple_one_for_one) std::ranges::sort(shown);  // they have no order
  trace_.push_back(fmt::format("  {}:{}{} | {} {} {} {}", name, shown.empty() ? "" : " ", join(shown), counts->specs,
                               counts->active, counts->supervisors, counts->workers));
  for (const ChildInfo& child : *children)
    if (child.is_supervisor && child.actor) show(child.id, *child.actor);
}

Words Run::trace() {
  current = this;
  parent_ = *runtime_.spawn<Parent>("", this);
  parent_->tell(Begin{});
  settle();
  report({"begin"}, begun_);
  for (const Words& step : case_.steps) {
    Words verb = step;
    if (step.front() == "unordered") verb.erase(verb.begin());
    std::optional<std::string> answer = take(verb);
    report(step, answer);
  }
  return std::move(trace_);
}

}  // namespace

bool needs_order(const Case& which) {
  return !which.during.empty() ||
         std::ranges::any_of(which.steps, [](const Words& step) { return step.front() == "together"; });
}

Words our_trace(const Case& which, const Schedule& schedule) { return Run(which, schedule).trace(); }

}  // namespace plexspaces::test
