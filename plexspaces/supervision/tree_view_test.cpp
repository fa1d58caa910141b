// What is shown of a supervision tree.
#include "plexspaces/supervision/tree_view.hpp"

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/codec/codec.hpp"
#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/supervision/supervision_fixture.hpp"

namespace plexspaces {
namespace {

using supervision_test::Go;
using supervision_test::Stage;
using supervision_test::Tracked;
using testing::HasSubstr;

class Viewer : public GenServer<Viewer, Go> {
 public:
  Viewer(ActorRef<Supervisor> root, std::shared_ptr<std::optional<Result<TreeView>>> view)
      : root_(root), view_(std::move(view)) {}
  Task<> handle(const Go&, Context& ctx) {
    auto view = co_await view_tree(ctx, root_, 2s);
    view_->emplace(std::move(view));
  }

 private:
  ActorRef<Supervisor> root_;
  std::shared_ptr<std::optional<Result<TreeView>>> view_;
};

class TreeViewTest : public testing::Test, protected Stage {
 protected:
  Result<TreeView> view(ActorRef<Supervisor> root) {
    auto view = std::make_shared<std::optional<Result<TreeView>>>();
    auto viewer = *runtime_.spawn<Viewer>("", root, view);
    viewer.tell(Go{});
    executor_.run_until([&] { return view->has_value(); }, 1'000'000);
    return std::move(**view);
  }
  SupervisorSpec shop() {
    SupervisorSpec shipping = supervisor("ship\"ping", rest_for_one);
    track(shipping, "labels", transient);
    track(shipping, "courier", permanent, {.backoff = Backoff{.initial = 1h, .max = 1h, .factor = 1, .jitter = 0}});
    SupervisorSpec shop = supervisor("shop", one_for_one, {.intensity = 5, .period = 10s});
    track(shop, "stock");
    shop.child(std::move(shipping));
    track(shop, "payments", temporary);
    return shop;
  }
};

TEST_F(TreeViewTest, ATreeIsShownAsTextJsonAndGraph) {
  auto root = start(shop());
  end("stock", ExitKind::kError);
  end("stock", ExitKind::kError);
  end("labels", ExitKind::kNormal);
  tell_to_end("courier", ExitKind::kKilled);
  executor_.run_for(1s, 10'000);
  TreeView seen = *view(root);
  std::string text = to_text(seen);
  EXPECT_EQ(text,
            "shop           one_for_one, 5 in 10000 ms\n"
            "|- stock       running     permanent  Tracked                     2 restarts\n"
            "|- ship\"ping   running     permanent  rest_for_one, 1 in 5000 ms\n"
            "|  |- labels   stopped     transient  Tracked\n"
            "|  `- courier  restarting  permanent  Tracked\n"
            "`- payments    running     temporary  Tracked\n")
      << text;
  // JSON and back: the view is a message as any.
  auto read = from_json<TreeView>(to_json(seen));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(to_text(*read), text);
  EXPECT_THAT(to_json(seen), HasSubstr(R"("state":"restarting")"));
  std::string graph = to_graphviz(seen);
  EXPECT_THAT(graph, HasSubstr(R"(n2 [label="ship\"ping\nrest_for_one, 1 in 5000 ms", shape=box];)"));
  EXPECT_THAT(graph, HasSubstr("n0 -> n2;"));
  EXPECT_THAT(graph, HasSubstr("n2 -> n3;"));
  EXPECT_THAT(graph, HasSubstr("style=dashed"));
}

TEST_F(TreeViewTest, ASupervisorThatIsBusyHasAProblemAndTheRestIsShown) {
  diary_.stop_takes["slow"] = 10s;
  SupervisorSpec inner = supervisor("inner", one_for_all);
  inner.child<supervision_test::Careful>("slow", permanent, {.shutdown = 1min}, &diary_, "slow", true);
  track(inner, "quick");
  SupervisorSpec top = supervisor("top", one_for_one);
  track(top, "a");
  top.child(std::move(inner));
  auto root = start(top);
  tell_to_end("quick", ExitKind::kError);  // inner stops "slow" for ten seconds
  executor_.run_for(1s, 10'000);
  TreeView seen = *view(root);
  ASSERT_EQ(seen.children.size(), 2u);
  EXPECT_THAT(seen.children[1].problem, HasSubstr("no answer"));
  EXPECT_THAT(to_text(seen), HasSubstr("`- ? "));
  settle();
  EXPECT_EQ(view(root)->children[1].children.size(), 2u);
}

TEST_F(TreeViewTest, OfABigTreeTheFirstNodesAreShownAndTheRestCounted) {
  SupervisorSpec left = supervisor("left", one_for_one), right = supervisor("right", one_for_one);
  for (std::size_t i = 0; i < kTreeViewNodesMax - 100; ++i) track(left, std::to_string(i));
  for (std::size_t i = 0; i < 200; ++i) track(right, std::to_string(i));
  auto root = start(supervisor("top", one_for_one).child(std::move(left)).child(std::move(right)));
  TreeView seen = *view(root);
  EXPECT_EQ(seen.children[0].children.size(), kTreeViewNodesMax - 100);
  EXPECT_EQ(seen.children[1].children.size(), 98u);
  EXPECT_EQ(seen.children[1].children_hidden, 102u);
  EXPECT_THAT(to_text(seen), HasSubstr("`- ... and 102 more\n"));
  EXPECT_THAT(to_graphviz(seen), HasSubstr("102 more"));
}

struct Quiet : GenServer<Quiet, Go> {
  void handle(const Go&, Context&) {}
};

TEST(TreeViewThreadTest, APlainThreadSeesTheTree) {
  env::PosixExecutor executor({.workers = 2});
  Types types;
  Runtime runtime(executor, types);
  ASSERT_TRUE(runtime.start());
  auto tree = supervisor("top", one_for_one).child(supervisor("inner", one_for_one).child<Quiet>("quiet"));
  auto root = *runtime.spawn<Supervisor>("", tree);
  auto seen = view_tree(root, 30s);
  ASSERT_TRUE(seen) << seen.error().to_string();
  ASSERT_EQ(seen->children.size(), 1u);
  ASSERT_EQ(seen->children[0].children.size(), 1u);
  EXPECT_EQ(seen->children[0].children[0].id, "quiet");
  EXPECT_EQ(view_tree(ActorRef<Supervisor>(root.node(), {77, 7}), 30s).error().code(), Code::kNotFound);
  executor.stop();
}

}  // namespace
}  // namespace plexspaces
