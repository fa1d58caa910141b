// A supervision tree as it is now, for people and tools.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plexspaces/supervision/supervisor.hpp"

namespace plexspaces {

inline constexpr std::size_t kTreeViewNodesMax = 10'000;  // shown; of the rest the number is given

/// A node of a supervision tree, with what is below it. JSON: to_json(view).
struct TreeView {
  std::string id;
  std::string class_name;
  ChildState state = ChildState::running;
  std::optional<ActorId> actor;
  std::optional<RestartType> restart;  // none at the root, which is nobody's child
  std::uint64_t restarts = 0;
  std::optional<Strategy> strategy;   // of a supervisor, as what follows
  std::uint32_t intensity = 0;        // restarts that it allows
  std::uint64_t period_ms = 0;        // in this time
  std::uint64_t children_hidden = 0;  // beyond kTreeViewNodesMax
  std::string problem;                // why a supervisor's children are not known; empty: they are
  std::vector<TreeView> children;
};
PLX_MESSAGE(TreeView, (1, id), (2, class_name), (3, state), (4, actor), (5, restart), (6, restarts), (7, strategy),
            (8, intensity), (9, period_ms), (10, children_hidden), (11, problem), (12, children));

/// Asks the supervisors from `root` down, one after the other. Each sees its own moment: what changes meanwhile may
/// be shown in part. One below the root that does not answer in time, as it is stopping a child, say, has a `problem`.
/// Threads: not a worker.
/// @error of the root: kNotFound, kDeadlineExceeded.
Result<TreeView> view_tree(ActorRef<Supervisor> root, Duration within);

/// The same in a handler that waits: `co_await view_tree(ctx, root, 1s)`.
Task<Result<TreeView>> view_tree(Context& ctx, ActorRef<Supervisor> root, Duration within);

/// A line for each node:
///
///     shop                 one_for_one, 5 in 10000 ms
///     |- stock             running     permanent  Stock     2 restarts
///     `- shipping          running     permanent  rest_for_one, 1 in 5000 ms
///        `- labels         restarting  transient  Labels
std::string to_text(const TreeView& view);

/// A graph for Graphviz's dot: supervisors are boxes, what does not run is dashed.
std::string to_graphviz(const TreeView& view);

}  // namespace plexspaces
