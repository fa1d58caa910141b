// Children that note what happens to them, in a simulated runtime.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"
#include "plexspaces/supervision/supervisor.hpp"

namespace plexspaces::supervision_test {

struct EndAs {
  ExitKind kind = ExitKind::kNormal;
};
struct Go {};
PLX_MESSAGE(EndAs, (1, kind));
PLX_MESSAGE(Go);

/// What the children of a test do and have done.
struct Diary {
  std::vector<std::string> events;            // "+b": b has started, "-b": it is no more, "b: shutdown": its on_stop()
  std::map<std::string, int> starts_to_fail;  // how many more starts of a child fail; negative: throw
  std::map<std::string, ActorId> actors;      // the latest of each id
  std::map<std::string, Duration> stop_takes;

  /// The events since the last take.
  std::string take() {
    std::string text;
    for (const std::string& event : std::exchange(events, {})) text += (text.empty() ? "" : " ") + event;
    return text;
  }
};

/// A child with an id, which ends as it is told to.
class Tracked : public GenServer<Tracked, EndAs> {
 public:
  Tracked(Diary* diary, std::string id) : diary_(*diary), id_(std::move(id)) {}
  ~Tracked() override {
    if (started_) diary_.events.push_back("-" + id_);
  }

  Status on_start(Context& ctx) override {
    int& fails = diary_.starts_to_fail[id_];
    if (fails > 0) {
      --fails;
      return fail(Code::kUnavailable, "no luck");
    }
    if (fails < 0) {
      ++fails;
      throw std::runtime_error("no luck at all");
    }
    started_ = true;
    diary_.events.push_back("+" + id_);
    diary_.actors[id_] = ctx.self_id();
    return {};
  }
  void handle(const EndAs& m, Context& ctx) {
    if (m.kind == ExitKind::kError) throw std::runtime_error("on purpose");
    if (m.kind == ExitKind::kKilled) return ctx.runtime().kill(ctx.self_id());
    ctx.exit({m.kind, {}});
  }

 private:
  Diary& diary_;
  std::string id_;
  bool started_ = false;
};

/// As Tracked; also says how it is stopped, takes its time for it, and traps exits if told so.
class Careful : public GenServer<Careful, EndAs, Exited> {
 public:
  Careful(Diary* diary, std::string id, bool traps) : diary_(*diary), id_(std::move(id)), traps_(traps) {}
  ~Careful() override { diary_.events.push_back("-" + id_); }

  Status on_start(Context& ctx) override {
    diary_.events.push_back("+" + id_);
    diary_.actors[id_] = ctx.self_id();
    return traps_ ? ctx.trap_exits<Careful>(true) : Status();
  }
  Task<> on_stop(Context& ctx, const ExitReason& reason) override {
    diary_.events.push_back(id_ + ":" + std::string(exit_kind_name(reason.kind)));
    Duration takes = diary_.stop_takes[id_];
    if (takes > Duration::zero()) co_await ctx.sleep(takes);
  }
  void handle(const EndAs& m, Context& ctx) { ctx.exit({m.kind, {}}); }
  void handle(const Exited&, Context&) { diary_.events.push_back(id_ + ":trapped"); }

 private:
  Diary& diary_;
  std::string id_;
  bool traps_;
};

/// Asks once.
template <class M>
class Asker : public GenServer<Asker<M>, Go> {
 public:
  using Answered = std::optional<Result<ReplyOf<M>>>;
  Asker(ActorRef<Supervisor> to, const M& message, std::shared_ptr<Answered> answer)
      : to_(to), message_(message), answer_(std::move(answer)) {}
  Task<> handle(const Go&, Context& ctx) {
    auto answer = co_await ctx.ask(to_, message_, 1000h);
    answer_->emplace(std::move(answer));
    ctx.stop();
  }

 private:
  ActorRef<Supervisor> to_;
  M message_;
  std::shared_ptr<Answered> answer_;
};

/// Tells how an actor has ended.
class Watcher : public GenServer<Watcher, Go, Down> {
 public:
  Watcher(ActorRef<Supervisor> target, std::shared_ptr<std::optional<ExitReason>> reason)
      : target_(target), reason_(std::move(reason)) {}
  void handle(const Go&, Context& ctx) { EXPECT_TRUE(ctx.monitor<Watcher>(target_)); }
  void handle(const Down& m, Context&) { *reason_ = m.reason; }

 private:
  ActorRef<Supervisor> target_;
  std::shared_ptr<std::optional<ExitReason>> reason_;
};

/// One simulated runtime.
class Stage {
 public:
  explicit Stage(std::uint64_t seed = 1, RuntimeOptions options = {})
      : world_(seed), executor_(world_, {}), runtime_(executor_, types_, with_pick(std::move(options))) {
    runtime_.set_log([this](const std::string& line) { log_.push_back(line); });
    EXPECT_TRUE(runtime_.start());
  }

  RuntimeOptions with_pick(RuntimeOptions options) {
    options.pick = [this](std::size_t count) { return static_cast<std::size_t>(world_.random.below(count)); };
    return options;
  }
  void settle() {
    executor_.run_until([] { return false; }, 100'000);
  }

  ActorRef<Supervisor> start(SupervisorSpec spec) {
    auto root = runtime_.spawn<Supervisor>("", std::move(spec));
    EXPECT_TRUE(root);
    ended_ = std::make_shared<std::optional<ExitReason>>();
    auto watcher = *runtime_.spawn<Watcher>("", *root, ended_);
    watcher.tell(Go{});
    settle();
    return *root;
  }
  template <class M>
  Result<ReplyOf<M>> ask(ActorRef<Supervisor> to, M message) {
    auto answer = begin_ask(to, std::move(message));
    settle();
    EXPECT_TRUE(answer->has_value());
    return std::move(**answer);
  }
  template <class M>
  std::shared_ptr<std::optional<Result<ReplyOf<M>>>> begin_ask(ActorRef<Supervisor> to, M message) {
    auto answer = std::make_shared<std::optional<Result<ReplyOf<M>>>>();
    auto asker = *runtime_.spawn<Asker<M>>("", to, message, answer);
    asker.tell(Go{});
    return answer;
  }
  /// Has the child end; does not wait.
  void tell_to_end(const std::string& id, ExitKind kind) { ref(id).tell(EndAs{kind}); }
  void end(const std::string& id, ExitKind kind) {
    tell_to_end(id, kind);
    settle();
  }
  ActorRef<Tracked> ref(const std::string& id) { return {runtime_.node_id(), diary_.actors.at(id)}; }
  SupervisorSpec& track(SupervisorSpec& spec, const std::string& id, RestartType restart = permanent,
                        ChildOptions options = {}) {
    return spec.child<Tracked>(id, restart, std::move(options), &diary_, id);
  }
  /// "a b:restarting c:stopped"
  std::string states(ActorRef<Supervisor> of) {
    std::string text;
    auto children = ask(of, WhichChildren{});
    if (!children) return children.error().to_string();
    for (const ChildInfo& child : *children) {
      EXPECT_EQ(child.actor.has_value(), child.state == ChildState::running);
      text += (text.empty() ? "" : " ") + child.id;
      if (child.state == ChildState::restarting) text += ":restarting";
      if (child.state == ChildState::stopped) text += ":stopped";
    }
    return text;
  }

  Diary diary_;
  std::vector<std::string> log_;
  std::shared_ptr<std::optional<ExitReason>> ended_;  // of what was started last
  sim::World world_;
  sim::SimExecutor executor_;
  Types types_;
  Runtime runtime_;
};

}  // namespace plexspaces::supervision_test
