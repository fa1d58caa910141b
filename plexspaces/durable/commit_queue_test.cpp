#include "plexspaces/durable/commit_queue.hpp"

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces::durability {
namespace {

// Answers each commit as it is told.
class ScriptedStore final : public store::Store {
 public:
  std::string id() const override { return "scripted"; }
  std::uint64_t epoch(std::uint16_t) const override { return 1; }
  std::vector<store::Outcome> commit(std::span<const store::Commit> commits) override {
    during();
    return {commits.size(), outcome};
  }
  Result<store::ActorRow> load(const ActorKey&) override { return store::ActorRow{}; }
  Result<store::ActorRow> load_rows(
      const ActorKey&, const std::function<Status(store::Table, std::string_view, std::string_view)>&) override {
    return store::ActorRow{};
  }
  Result<std::optional<std::string>> get(store::Table, std::string_view) override { return std::nullopt; }
  Status scan(store::Table, std::string_view, const std::function<bool(std::string_view, std::string_view)>&) override {
    return {};
  }
  const Error* refusal() const override { return why ? &*why : nullptr; }
  const Error* failure() const override { return nullptr; }

  store::Outcome outcome = store::Outcome::kDone;
  std::optional<Error> why;
  std::function<void()> during = [] {};
};

class CommitQueueTest : public testing::Test {
 protected:
  void commit() {
    queue_.commit({}, [](store::Outcome, const Error*) {});
    executor_.run_until([&] { return executor_.blocking_jobs() == 0; }, 100);
  }
  // The domain of the error, or empty.
  std::string readiness() {
    Status ready = queue_.readiness(executor_.now());
    return ready ? "" : ready.error().domain();
  }

  sim::World world_{1};
  sim::SimExecutor executor_{world_, {}};
  ScriptedStore store_;
  CommitQueue queue_{executor_, store_};
};

TEST_F(CommitQueueTest, ACommitThatTakesTooLongIsToldWhileItTakes) {
  std::string early, late;
  store_.during = [&] {
    world_.clock.advance(CommitQueue::kCommitSlowAfter);
    early = readiness();
    world_.clock.advance(1ms);
    late = readiness();
  };
  EXPECT_EQ(readiness(), "");
  commit();
  EXPECT_EQ(early, "");
  EXPECT_EQ(late, "PLX-DUR-0016");
  EXPECT_EQ(readiness(), "") << "it has been answered";
}

TEST_F(CommitQueueTest, WantOfSpaceIsToldUntilACommitSucceedsOrItIsTimeToTryAgain) {
  store_.outcome = store::Outcome::kRefused;
  store_.why = Error(Code::kResourceExhausted, "full", "TST-0001");
  commit();
  EXPECT_EQ(readiness(), "PLX-DUR-0017");
  store_.outcome = store::Outcome::kDone;
  store_.why.reset();
  commit();
  EXPECT_EQ(readiness(), "");

  store_.outcome = store::Outcome::kRefused;
  store_.why = Error(Code::kResourceExhausted, "full", "TST-0001");
  commit();
  world_.clock.advance(CommitQueue::kFullFor - 1ms);
  EXPECT_EQ(readiness(), "PLX-DUR-0017");
  world_.clock.advance(1ms);
  EXPECT_EQ(readiness(), "") << "only the next commit can tell";
  commit();
  EXPECT_EQ(readiness(), "PLX-DUR-0017");
}

TEST_F(CommitQueueTest, ACommitThatIsRefusedForItselfSaysNothingOfTheDisk) {
  store_.outcome = store::Outcome::kRefused;
  store_.why = Error(Code::kInvalidArgument, "too large", "TST-0002");
  commit();
  EXPECT_EQ(readiness(), "");
}

}  // namespace
}  // namespace plexspaces::durability
