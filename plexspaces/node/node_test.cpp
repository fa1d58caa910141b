#include "plexspaces/node/node.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/stateful.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/durable/options.hpp"

namespace plexspaces::node {
namespace {

using testing::HasSubstr;

struct Add {
  using Reply = std::int64_t;
  std::int64_t by = 1;
};
PLX_MESSAGE(Add, (1, by));

struct Sum {
  std::int64_t value = 0;
};
PLX_MESSAGE(Sum, (1, value));

class Counter : public GenServer<Counter, Add>, public Stateful<Sum> {
 public:
  std::int64_t handle(const Add& add, Context&) { return state().value += add.by; }
};

class NodeTest : public testing::Test {
 protected:
  NodeTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "plx-node-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    types_.add<Counter>("counter", {.facets = {durable(), virtual_actor()}});
  }
  ~NodeTest() override { std::filesystem::remove_all(directory_); }

  Config config(const std::string& name) const {
    Config config = load_config({})->config;
    config.node.name = name;
    config.http.port = 0;
    config.data.directory = directory_ + "/" + name;
    config.runtime.workers = 1;
    return config;
  }

  Result<std::unique_ptr<Node>> start(const Config& config) {
    return Node::start(config, types_, [](const Error& error) { ADD_FAILURE() << error.to_string(); });
  }

  static Result<std::int64_t> add(Node& node, std::int64_t by) {
    return node.runtime().keyed<Counter>("default", "test", "a").ask(Add{.by = by}, 30s);
  }

  std::string directory_;
  Types types_;
};

TEST_F(NodeTest, SeveralNodesLiveInOneProcess) {
  std::vector<std::unique_ptr<Node>> nodes;
  for (int i = 0; i < 4; ++i) {
    auto node = start(config("n" + std::to_string(i)));
    ASSERT_TRUE(node) << node.error().to_string();
    nodes.push_back(*std::move(node));
  }
  for (int round = 1; round <= 3; ++round)
    for (int i = 0; i < 4; ++i) EXPECT_EQ(add(*nodes[i], i + 1), round * (i + 1));
}

TEST_F(NodeTest, ARestartedNodeHasItsState) {
  for (int round = 1; round <= 3; ++round) {
    auto node = start(config("n"));
    ASSERT_TRUE(node) << node.error().to_string();
    EXPECT_EQ(add(**node, 10), round * 10);
    (*node)->stop(0s);
  }
}

struct Nothing {};
PLX_MESSAGE(Nothing);

// Notes when it starts and has ended in order. Used by one worker, and by the test when that has stopped.
class Service : public GenServer<Service, Nothing> {
 public:
  Service(std::vector<std::string>* events, std::string name) : events_(events), name_(std::move(name)) {}
  Status on_start(Context&) override {
    if (name_ == "broken") return fail(Code::kUnavailable, "no luck");
    events_->push_back("+" + name_);
    return {};
  }
  Task<> on_stop(Context&, const ExitReason&) override {
    events_->push_back("-" + name_);
    co_return;
  }
  void handle(const Nothing&, Context&) {}

 private:
  std::vector<std::string>* events_;
  std::string name_;
};

TEST_F(NodeTest, ApplicationsStartAndStopWithTheNode) {
  std::vector<std::string> events;
  auto application = [&](std::string name, std::vector<std::string> after) {
    return Application{.name = name,
                       .tree = supervisor(name, one_for_one).child<Service>(name, permanent, {}, &events, name),
                       .start_after = std::move(after)};
  };
  auto no_failure = [](const Error& error) { ADD_FAILURE() << error.to_string(); };
  {
    auto node = Node::start(config("n"), types_, no_failure, {application("web", {"db"}), application("db", {})});
    ASSERT_TRUE(node) << node.error().to_string();
    EXPECT_TRUE((*node)->applications().root("web"));
    EXPECT_EQ(add(**node, 10), 10);
    (*node)->stop(30s);
    EXPECT_EQ(events, (std::vector<std::string>{"+db", "+web", "-web", "-db"}));
  }
  events.clear();
  auto refused = Node::start(config("n"), types_, no_failure, {application("db", {}), application("broken", {"db"})});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("application 'broken'"));
  EXPECT_EQ(events, (std::vector<std::string>{"+db", "-db"}));
  EXPECT_TRUE(start(config("n")));  // nothing holds the directory
}

TEST_F(NodeTest, AFailedStartLeavesNothingBehind) {
  auto first = start(config("first"));
  ASSERT_TRUE(first);
  Config second = config("second");
  second.http.port = (*first)->http_port();
  auto refused = start(second);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kAlreadyExists);
  EXPECT_THAT(refused.error().message(), HasSubstr("--http.port"));
  second.http.port = 0;
  auto started = start(second);  // its directory is free again
  EXPECT_TRUE(started) << started.error().to_string();
}

TEST_F(NodeTest, ADirectoryServesOneNode) {
  auto first = start(config("n"));
  ASSERT_TRUE(first);
  auto refused = start(config("n"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(refused.error().message(), HasSubstr("--data.directory"));
}

TEST_F(NodeTest, WithoutLoginItListensOnLoopbackOnly) {
  Config open = config("n");
  open.http.address = "0.0.0.0";
  auto refused = start(open);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().domain(), "PLX-NOD-0001");
}

TEST_F(NodeTest, AWrongRegistrationIsRefused) {
  types_.add<Counter>("again");
  EXPECT_FALSE(start(config("n")));
}

}  // namespace
}  // namespace plexspaces::node
