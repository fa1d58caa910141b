#include "plexspaces/supervision/application.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/base/suggest.hpp"
#include "plexspaces/supervision/stopping.hpp"

namespace plexspaces {

namespace {

struct StartTree {
  using Reply = ActorId;
};
struct StopTree {
  using Reply = bool;  // whether it ended in time
};
PLX_MESSAGE(StartTree);
PLX_MESSAGE(StopTree);

// The parent of a tree's root, in the place of the thread that starts it.
class TreeKeeper : public GenServer<TreeKeeper, StartTree, Exited> {
 public:
  TreeKeeper(std::shared_ptr<const SupervisorSpec> tree, std::function<void(const ExitReason&)> on_end)
      : tree_(std::move(tree)), on_end_(std::move(on_end)) {}

  Task<Result<ActorId>> handle(const StartTree&, Context& ctx) {
    PLX_CO_TRY_STATUS(ctx.trap_exits<TreeKeeper>(true));
    detail::Leftovers leftovers;
    auto root = ctx.spawn_linked<Supervisor>(tree_, &leftovers);
    if (root) {
      root_ = root->id();
      co_return root_;
    }
    for (const detail::Leftover& left : leftovers) co_await detail::stop_leftover(ctx, left);
    ctx.stop();
    co_return std::unexpected(std::move(root).error());
  }
  void handle(const Exited& m, Context& ctx) {
    if (m.from != root_) return;
    if (on_end_) on_end_(m.reason);
    ctx.stop();
  }

 private:
  std::shared_ptr<const SupervisorSpec> tree_;
  std::function<void(const ExitReason&)> on_end_;
  ActorId root_;
};

// Stops a tree in the place of a thread. It is not the root's parent, whose exit that would obey.
class TreeStopper : public GenServer<TreeStopper, StopTree> {
 public:
  TreeStopper(ActorId root, Duration within) : root_(root), within_(within) {}
  Task<bool> handle(const StopTree&, Context& ctx) {
    ctx.runtime().stop(root_);
    bool in_time = co_await detail::await_stop(ctx, root_, within_);
    ctx.stop();
    co_return in_time;
  }

 private:
  ActorId root_;
  Duration within_;
};

std::unexpected<Error> wrong(std::string message) {
  return fail(Code::kInvalidArgument, std::move(message), "PLX-SUP-0018");
}

enum class Visit : std::uint8_t { kNone, kOpen, kDone };

struct Ordering {
  std::span<const Application> applications;
  std::map<std::string_view, std::size_t> by_name;
  std::vector<Visit> visits;
  std::vector<std::size_t> path;
  std::vector<std::size_t> order;
};

// Depth first: what an application waits for comes before it.
Status visit(Ordering& all, std::size_t at) {
  if (all.visits[at] == Visit::kDone) return {};
  all.path.push_back(at);
  if (all.visits[at] == Visit::kOpen) {
    std::string circle;
    for (auto i = std::ranges::find(all.path, at); i != all.path.end(); ++i)
      circle += (circle.empty() ? "" : " -> ") + all.applications[*i].name;
    return wrong(fmt::format("applications start after one another in a circle: {}", circle));
  }
  all.visits[at] = Visit::kOpen;
  for (const std::string& before : all.applications[at].start_after) {
    auto found = all.by_name.find(before);
    if (found == all.by_name.end()) {
      std::vector<std::string> known;
      for (const Application& application : all.applications) known.push_back(application.name);
      return wrong(fmt::format("the application '{}' starts after '{}', which is not there{}",
                               all.applications[at].name, before, suggest(before, known)));
    }
    PLX_TRY_STATUS(visit(all, found->second));
  }
  all.path.pop_back();
  all.visits[at] = Visit::kDone;
  all.order.push_back(at);
  return {};
}

}  // namespace

Result<ActorRef<Supervisor>> start_tree(Runtime& runtime, SupervisorSpec tree, Duration within,
                                        std::function<void(const ExitReason&)> on_end) {
  PLX_TRY_STATUS(tree.check());
  PLX_TRY(keeper,
          runtime.spawn<TreeKeeper>("", std::make_shared<const SupervisorSpec>(std::move(tree)), std::move(on_end)));
  auto root = keeper.ask(StartTree{}, within);
  if (root) return ActorRef<Supervisor>(keeper.node(), *root);
  if (root.error().code() == Code::kDeadlineExceeded) runtime.kill(keeper.id());
  return std::unexpected(std::move(root).error());
}

Status stop_tree(ActorRef<Supervisor> root, Duration within) {
  Runtime* runtime = Runtime::of(root.node());
  if (runtime == nullptr) return {};
  PLX_TRY(stopper, runtime->spawn<TreeStopper>("", root.id(), within));
  // The stopper itself keeps the time: it answers when the tree has ended, or was killed.
  auto in_time = stopper.ask(StopTree{}, saturating_add(within, kShutdownMax));
  if (!in_time) return std::unexpected(std::move(in_time).error());
  if (*in_time) return {};
  return fail(Code::kDeadlineExceeded, "the tree did not end in time and was killed", "PLX-SUP-0019");
}

Result<std::vector<std::size_t>> start_order(std::span<const Application> applications) {
  if (applications.size() > kApplicationsMax)
    return wrong(fmt::format("there are {} applications: at most {}", applications.size(), kApplicationsMax));
  Ordering all{.applications = applications, .visits = std::vector(applications.size(), Visit::kNone)};
  for (std::size_t i = 0; i < applications.size(); ++i) {
    const Application& application = applications[i];
    if (application.name.empty() || application.name.size() > kChildIdBytesMax)
      return wrong(fmt::format("the name of an application has 1 to {} bytes, not {}", kChildIdBytesMax,
                               application.name.size()));
    if (!all.by_name.emplace(application.name, i).second)
      return wrong(fmt::format("two applications are named '{}'", application.name));
    if (Status good = application.tree.check(); !good)
      return std::unexpected(good.error().with_prefix(fmt::format("application '{}'", application.name)));
  }
  for (std::size_t i = 0; i < applications.size(); ++i) PLX_TRY_STATUS(visit(all, i));
  return std::move(all.order);
}

Applications::Applications(Runtime& runtime, OnFailure on_failure)
    : runtime_(runtime), shared_(std::make_shared<Shared>()) {
  shared_->on_failure = std::move(on_failure);
}

Status Applications::start(std::vector<Application> applications, Duration within_each) {
  PLX_TRY(order, start_order(applications));
  for (std::size_t at : order) {
    Application& application = applications[at];
    auto on_end = [shared = shared_, runtime = &runtime_, name = application.name,
                   type = application.type](const ExitReason& reason) {
      if (shared->stopping.load()) return;
      runtime->log(fmt::format("the application '{}' has ended: {}", name, exit_kind_name(reason.kind)));
      if (detail::is_restarted(type, reason.kind) && shared->on_failure) shared->on_failure(name, reason);
    };
    auto root = start_tree(runtime_, std::move(application.tree), within_each, std::move(on_end));
    if (!root) {
      stop(within_each);
      return std::unexpected(root.error().with_prefix(fmt::format("application '{}'", application.name)));
    }
    running_.push_back({std::move(application.name), *root});
  }
  return {};
}

void Applications::stop(Duration grace) {
  shared_->stopping.store(true);
  TimePoint due = saturating_add(runtime_.executor().now(), grace);
  while (!running_.empty()) {
    Running last = std::move(running_.back());
    running_.pop_back();
    Duration left = time_left(due, runtime_.executor().now());
    if (Status stopped = stop_tree(last.root, left); !stopped)
      runtime_.log(fmt::format("the application '{}': {}", last.name, stopped.error().message()));
  }
}

Result<ActorRef<Supervisor>> Applications::root(std::string_view name) const {
  for (const Running& running : running_)
    if (running.name == name) return running.root;
  return fail(Code::kNotFound, fmt::format("no application '{}' was started", name), "PLX-SUP-0020");
}

}  // namespace plexspaces
