// Applications: whole trees that start and stop in order, on real threads.
#include "plexspaces/supervision/application.hpp"

#include <algorithm>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/supervision/tree_view.hpp"

namespace plexspaces {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr Duration kLong = 60s;  // for what comes at once

struct EndNow {
  ExitKind kind = ExitKind::kNormal;
};
PLX_MESSAGE(EndNow, (1, kind));

class Events {
 public:
  void add(std::string event) {
    std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    added_.notify_all();
  }
  void wait_for(const std::string& event) {
    std::unique_lock lock(mutex_);
    added_.wait(lock, [&] { return std::ranges::find(events_, event) != events_.end(); });
  }
  std::vector<std::string> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(events_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable added_;
  std::vector<std::string> events_;
};

class Service : public GenServer<Service, EndNow> {
 public:
  Service(std::shared_ptr<Events> events, std::string name) : events_(std::move(events)), name_(std::move(name)) {}
  Status on_start(Context&) override {
    if (name_.starts_with("broken")) return fail(Code::kUnavailable, "no luck");
    events_->add("+" + name_);
    return {};
  }
  Task<> on_stop(Context& ctx, const ExitReason&) override {
    if (name_.starts_with("slow")) co_await ctx.sleep(10h);
    events_->add("-" + name_);
  }
  void handle(const EndNow& m, Context& ctx) { ctx.exit({m.kind, {}}); }

 private:
  std::shared_ptr<Events> events_;
  std::string name_;
};

class ApplicationTest : public testing::Test {
 protected:
  ApplicationTest() : executor_({.workers = 2}), runtime_(executor_, types_, {.slow_handler_after = Duration::zero()}) {
    runtime_.set_log([events = log_](const std::string& line) { events->add(line); });
    EXPECT_TRUE(runtime_.start());
  }
  ~ApplicationTest() override { executor_.stop(); }

  // Named after its only child, which is named too.
  SupervisorSpec tree(const std::string& name, Shutdown shutdown = 60s) {
    return supervisor(name, one_for_one, {.intensity = 0, .period = 1s})
        .child<Service>(name, permanent, {.shutdown = shutdown, .name = name}, events_, name);
  }
  void end(const std::string& name, ExitKind kind) {
    auto service = runtime_.find<Service>(name);
    ASSERT_TRUE(service);
    ASSERT_TRUE(service->tell(EndNow{kind}));
  }

  std::shared_ptr<Events> events_ = std::make_shared<Events>();
  std::shared_ptr<Events> log_ = std::make_shared<Events>();
  env::PosixExecutor executor_;
  Types types_;
  Runtime runtime_;
};

TEST_F(ApplicationTest, ATreeStartedFromAThreadIsUpWhenTheCallReturns) {
  auto root = start_tree(runtime_, tree("a").child(tree("b")), kLong);
  ASSERT_TRUE(root);
  EXPECT_THAT(events_->take(), ElementsAre("+a", "+b"));
  EXPECT_TRUE(stop_tree(*root, kLong));
  EXPECT_THAT(events_->take(), ElementsAre("-b", "-a"));
  EXPECT_TRUE(stop_tree(*root, kLong));  // again: it has ended
}

TEST_F(ApplicationTest, ATreeMayTakeForEverAndNoTimeAtAll) {
  auto root = start_tree(runtime_, tree("a").child(tree("b")), Duration::max());
  ASSERT_TRUE(root);
  EXPECT_EQ(view_tree(*root, Duration::max())->children.size(), 2u);
  EXPECT_EQ(view_tree(*root, Duration::min()).error().code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(stop_tree(*root, Duration::max()));
  EXPECT_THAT(events_->take(), ElementsAre("+a", "+b", "-b", "-a"));
  EXPECT_EQ(start_tree(runtime_, tree("c"), Duration::min()).error().code(), Code::kDeadlineExceeded);
  Applications applications(runtime_, {});
  std::vector<Application> one;
  one.push_back({.name = "d", .tree = tree("d")});
  EXPECT_TRUE(applications.start(std::move(one), Duration::max()));
  applications.stop(Duration::max());
}

TEST_F(ApplicationTest, ATreeThatDoesNotStartLeavesNothingAndSaysWhy) {
  auto root =
      start_tree(runtime_, tree("a").child(tree("b").child<Service>("c", permanent, {}, events_, "broken")), kLong);
  ASSERT_FALSE(root);
  EXPECT_EQ(root.error().code(), Code::kUnavailable);
  EXPECT_EQ(root.error().domain(), "PLX-SUP-0008");
  EXPECT_THAT(root.error().to_string(), HasSubstr("no luck"));
  EXPECT_THAT(events_->take(), ElementsAre("+a", "+b", "-b", "-a"));
  EXPECT_EQ(start_tree(runtime_, supervisor("", one_for_one), kLong).error().domain(), "PLX-SUP-0002");
}

TEST_F(ApplicationTest, ATreeThatDoesNotEndInTimeIsKilled) {
  auto root = start_tree(runtime_, tree("slow", infinity), kLong);
  ASSERT_TRUE(root);
  EXPECT_EQ(stop_tree(*root, 1ms).error().domain(), "PLX-SUP-0019");
}

TEST_F(ApplicationTest, TheEndOfATreeByItselfIsTold) {
  std::promise<ExitReason> ended;
  auto root = start_tree(runtime_, tree("a"), kLong, [&](const ExitReason& reason) { ended.set_value(reason); });
  ASSERT_TRUE(root);
  end("a", ExitKind::kError);
  EXPECT_EQ(ended.get_future().get(), ExitReason::shutdown());
}

TEST_F(ApplicationTest, ApplicationsStartInTheirOrderAndStopInTheOpposite) {
  Applications applications(runtime_, {});
  ASSERT_TRUE(applications.start({{.name = "web", .tree = tree("web"), .start_after = {"db", "cache"}},
                                  {.name = "cache", .tree = tree("cache"), .start_after = {"db"}},
                                  {.name = "db", .tree = tree("db")},
                                  {.name = "other", .tree = tree("other")}},
                                 kLong));
  EXPECT_THAT(events_->take(), ElementsAre("+db", "+cache", "+web", "+other"));
  EXPECT_TRUE(applications.root("cache"));
  EXPECT_EQ(applications.root("nothing").error().code(), Code::kNotFound);
  applications.stop(kLong);
  EXPECT_THAT(events_->take(), ElementsAre("-other", "-web", "-cache", "-db"));
  EXPECT_TRUE(log_->take().empty());  // nobody complains of an orderly end
}

TEST_F(ApplicationTest, AnApplicationThatDoesNotStartEndsThoseBeforeIt) {
  Applications applications(runtime_, {});
  Status started =
      applications.start({{.name = "db", .tree = tree("db")}, {.name = "web", .tree = tree("broken")}}, kLong);
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(), HasSubstr("application 'web'"));
  EXPECT_THAT(events_->take(), ElementsAre("+db", "-db"));
}

TEST_F(ApplicationTest, MistakesInTheOrderAreNamed) {
  auto order = [&](std::vector<Application> applications) { return start_order(applications); };
  auto circle = order({{.name = "a", .tree = tree("a"), .start_after = {"c"}},
                       {.name = "b", .tree = tree("b"), .start_after = {"a"}},
                       {.name = "c", .tree = tree("c"), .start_after = {"b"}}});
  EXPECT_EQ(circle.error().domain(), "PLX-SUP-0018");
  EXPECT_THAT(circle.error().message(), HasSubstr("a -> c -> b -> a"));
  auto itself = order({{.name = "a", .tree = tree("a"), .start_after = {"a"}}});
  EXPECT_THAT(itself.error().message(), HasSubstr("a -> a"));
  auto missing =
      order({{.name = "cache", .tree = tree("a")}, {.name = "web", .tree = tree("b"), .start_after = {"cash"}}});
  EXPECT_THAT(missing.error().message(), HasSubstr("'cash', which is not there"));
  EXPECT_THAT(missing.error().message(), HasSubstr("'cache'"));
  auto twice = order({{.name = "a", .tree = tree("a")}, {.name = "a", .tree = tree("b")}});
  EXPECT_THAT(twice.error().message(), HasSubstr("two applications are named 'a'"));
  EXPECT_FALSE(order({{.name = "", .tree = tree("a")}}));
  EXPECT_EQ(order({{.name = "a", .tree = supervisor("x", one_for_one, {.period = 0s})}}).error().domain(),
            "PLX-SUP-0004");
  EXPECT_FALSE(order(std::vector(kApplicationsMax + 1, Application{.name = "a", .tree = tree("a")})));
}

TEST_F(ApplicationTest, OnlyThePermanentAndFailedTransientOnesEndTheNode) {
  std::promise<std::string> failed;
  Applications applications(runtime_, [&](const std::string& name, const ExitReason& reason) {
    EXPECT_EQ(reason, ExitReason::shutdown());
    failed.set_value(name);
  });
  ASSERT_TRUE(applications.start({{.name = "p", .tree = tree("p"), .type = permanent},
                                  {.name = "t", .tree = tree("t"), .type = transient},
                                  {.name = "u", .tree = tree("u"), .type = temporary}},
                                 kLong));
  // They give up, that is shutdown: it ends the node where the application is permanent.
  for (const char* name : {"u", "t", "p"}) {
    end(name, ExitKind::kError);
    log_->wait_for(fmt::format("the application '{}' has ended: shutdown", name));
  }
  EXPECT_EQ(failed.get_future().get(), "p");
  applications.stop(kLong);
}

}  // namespace
}  // namespace plexspaces
