#include "plexspaces/supervision/tree_view.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/codec/codec.hpp"

namespace plexspaces {

namespace {

struct CollectTree {
  using Reply = TreeView;
};
PLX_MESSAGE(CollectTree);

// Asks in the place of a thread that is no actor.
class TreeCollector : public GenServer<TreeCollector, CollectTree> {
 public:
  TreeCollector(ActorRef<Supervisor> root, Duration within) : root_(root), within_(within) {}
  Task<Result<TreeView>> handle(const CollectTree&, Context& ctx) {
    auto view = co_await view_tree(ctx, root_, within_);
    ctx.stop();
    co_return view;
  }

 private:
  ActorRef<Supervisor> root_;
  Duration within_;
};

// The children of `view`, a supervisor, and what is below. `nodes_left`: how many more are shown.
Task<Status> fill(Context& ctx, TreeView& view, ActorRef<Supervisor> supervisor, TimePoint due,
                  std::size_t& nodes_left) {
  Duration left = time_left(due, ctx.clock());
  DescribeSupervisor request{nodes_left};
  auto info = co_await ctx.ask(supervisor, request, left);
  if (!info) co_return std::unexpected(std::move(info).error());
  view.strategy = info->strategy;
  view.intensity = info->intensity;
  view.period_ms = info->period_ms;
  if (view.id.empty()) view.id = info->name;
  view.children_hidden = info->children_count - info->children.size();
  nodes_left -= info->children.size();
  for (ChildInfo& child : info->children) {
    TreeView below{.id = std::move(child.id),
                   .class_name = std::move(child.class_name),
                   .state = child.state,
                   .actor = child.actor,
                   .restart = child.restart,
                   .restarts = child.restarts};
    if (child.is_supervisor && child.actor) {
      ActorRef<Supervisor> next(supervisor.node(), *child.actor);
      Status known = co_await fill(ctx, below, next, due, nodes_left);
      if (!known) below.problem = known.error().message();
    }
    view.children.push_back(std::move(below));
  }
  co_return Status();
}

template <class E>
std::string word(E value) {
  std::string json = to_json(value);
  return json.substr(1, json.size() - 2);  // without its quotes
}

std::string rule(const TreeView& view) {
  if (!view.strategy) return view.class_name;
  return fmt::format("{}, {} in {} ms", word(*view.strategy), view.intensity, view.period_ms);
}

std::string count(const TreeView& view) {
  if (view.restarts == 0) return {};
  return fmt::format("{} restart{}", view.restarts, view.restarts == 1 ? "" : "s");
}

using Row = std::vector<std::string>;

void add_rows(const TreeView& view, const std::string& first, const std::string& rest, std::vector<Row>& rows) {
  if (view.restart)
    rows.push_back({first + view.id, word(view.state), word(*view.restart), rule(view), count(view)});
  else
    rows.push_back({first + view.id, rule(view)});
  std::vector<std::string> notes;
  if (!view.problem.empty()) notes.push_back("? " + view.problem);
  if (view.children_hidden > 0) notes.push_back(fmt::format("... and {} more", view.children_hidden));
  for (std::size_t i = 0; i < view.children.size(); ++i) {
    bool last = i + 1 == view.children.size() && notes.empty();
    add_rows(view.children[i], rest + (last ? "`- " : "|- "), rest + (last ? "   " : "|  "), rows);
  }
  for (std::size_t i = 0; i < notes.size(); ++i)
    rows.push_back({rest + (i + 1 == notes.size() ? "`- " : "|- ") + notes[i]});
}

std::string escape(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

void add_node(const TreeView& view, std::size_t above, std::size_t& next, std::string& graph) {
  std::size_t self = next++;
  std::string label = escape(view.id);
  for (const std::string& line : {rule(view), count(view), view.problem})
    if (!line.empty()) label += "\\n" + escape(line);
  graph += fmt::format("  n{} [label=\"{}\"{}{}];\n", self, label, view.strategy ? ", shape=box" : "",
                       view.state == ChildState::running ? "" : ", style=dashed");
  if (self != above) graph += fmt::format("  n{} -> n{};\n", above, self);
  for (const TreeView& child : view.children) add_node(child, self, next, graph);
  if (view.children_hidden == 0) return;
  std::size_t rest = next++;
  graph += fmt::format("  n{} [label=\"{} more\", shape=plaintext];\n  n{} -> n{};\n", rest, view.children_hidden, self,
                       rest);
}

}  // namespace

Task<Result<TreeView>> view_tree(Context& ctx, ActorRef<Supervisor> root, Duration within) {
  TreeView view{.class_name = "Supervisor", .actor = root.id()};
  std::size_t nodes_left = kTreeViewNodesMax;
  TimePoint due = saturating_add(ctx.clock(), within);
  Status known = co_await fill(ctx, view, root, due, nodes_left);
  if (!known) co_return std::unexpected(std::move(known).error());
  co_return view;
}

Result<TreeView> view_tree(ActorRef<Supervisor> root, Duration within) {
  Runtime* runtime = Runtime::of(root.node());
  if (runtime == nullptr) return fail(Code::kNotFound, "the runtime of this actor has ended", "PLX-SUP-0017");
  PLX_TRY(collector, runtime->spawn<TreeCollector>("", root, within));
  return collector.ask(CollectTree{}, within);
}

std::string to_text(const TreeView& view) {
  std::vector<Row> rows;
  add_rows(view, "", "", rows);
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    if (row.size() < 2) continue;
    widths.resize(std::max(widths.size(), row.size()));
    // What the root says beside its name does not widen the columns of the others.
    for (std::size_t i = 0; i < (row.size() == 2 ? 1 : row.size()); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += fmt::format("{:<{}}", row[i], i + 1 < row.size() ? widths[i] + 2 : 0);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string to_graphviz(const TreeView& view) {
  std::string graph = "digraph supervision {\n";
  std::size_t next = 0;
  add_node(view, 0, next, graph);
  return graph + "}\n";
}

}  // namespace plexspaces
