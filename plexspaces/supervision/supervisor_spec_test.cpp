// Mistakes in supervision trees, found before anything runs.
#include "plexspaces/supervision/supervisor_spec.hpp"

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/behavior/gen_server.hpp"

namespace plexspaces {
namespace {

using testing::HasSubstr;

struct Hello {};
PLX_MESSAGE(Hello);

class Greeter : public GenServer<Greeter, Hello> {
 public:
  explicit Greeter(std::string name = {}) : name_(std::move(name)) {}
  explicit Greeter(const Hello&) {}
  void handle(const Hello&, Context&) {}

 private:
  std::string name_;
};

void expect_refused(const SupervisorSpec& spec, std::string_view domain, std::string_view culprit) {
  Status checked = spec.check();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(checked.error().domain(), domain);
  EXPECT_THAT(checked.error().message(), HasSubstr(culprit));
}

TEST(SupervisorSpecTest, ATreeIsReadAsItIsWritten) {
  auto tree = supervisor("shop", one_for_one, {.intensity = 5, .period = 10s})
                  .child<Greeter>("stock", permanent, {.shutdown = 500ms}, "Ada")
                  .child<Greeter>("payments", transient)
                  .child(supervisor("shipping", rest_for_one).child<Greeter>("labels"));
  EXPECT_TRUE(tree.check());
  ASSERT_EQ(tree.children().size(), 3u);
  const ChildSpec& stock = *tree.children()[0];
  EXPECT_EQ(stock.id, "stock");
  EXPECT_EQ(stock.shutdown(), Shutdown(500ms));
  EXPECT_THAT(stock.class_name, HasSubstr("Greeter"));
  EXPECT_EQ(tree.children()[1]->restart, transient);
  EXPECT_EQ(tree.children()[1]->shutdown(), kWorkerShutdown);
  const ChildSpec& shipping = *tree.children()[2];
  ASSERT_TRUE(shipping.is_supervisor());
  EXPECT_EQ(shipping.id, "shipping");
  EXPECT_EQ(shipping.shutdown(), infinity);
  EXPECT_EQ(shipping.supervisor->children()[0]->id, "labels");
}

TEST(SupervisorSpecTest, IdsAreThereOnceAndOfABoundedLength) {
  auto twice =
      supervisor("top", one_for_one).child(supervisor("inner", one_for_one).child<Greeter>("a").child<Greeter>("a"));
  expect_refused(twice, "PLX-SUP-0001", "'top/inner' has two children 'a'");
  expect_refused(supervisor("", one_for_one), "PLX-SUP-0002", "supervisor name");
  expect_refused(supervisor("top", one_for_one).child<Greeter>(""), "PLX-SUP-0002", "'top/'");
  expect_refused(supervisor("top", one_for_one).child<Greeter>(std::string(256, 'x')), "PLX-SUP-0002", "256 bytes");
  EXPECT_TRUE(supervisor("top", one_for_one).child<Greeter>(std::string(255, 'x')).check());
  expect_refused(supervisor("top", one_for_one).child<Greeter>("a", permanent, {.name = std::string(256, 'x')}),
                 "PLX-SUP-0002", "'top/a'");
}

TEST(SupervisorSpecTest, ASupervisorCannotContainItself) {
  auto node = std::make_shared<SupervisorSpec>("ring", one_for_one);
  auto middle = std::make_shared<SupervisorSpec>("middle", one_for_one);
  middle->child(std::shared_ptr<const SupervisorSpec>(node));
  node->child(std::shared_ptr<const SupervisorSpec>(middle));
  expect_refused(*node, "PLX-SUP-0003", "'ring' contains itself: 'ring/middle/ring'");
  expect_refused(supervisor("top", one_for_one).child(std::shared_ptr<const SupervisorSpec>(node)), "PLX-SUP-0003",
                 "'top/ring/middle/ring'");
  *node = SupervisorSpec("ring", one_for_one);  // lets go of itself

  // A node that is shared, but not by its own, is none.
  auto leaf = std::make_shared<const SupervisorSpec>(supervisor("leaf", one_for_one));
  EXPECT_TRUE(supervisor("top", one_for_one).child(leaf).child(supervisor("other", one_for_one).child(leaf)).check());
  auto copy = supervisor("top", one_for_one);
  copy.child(copy);  // a copy of what it was
  EXPECT_TRUE(copy.check());
}

TEST(SupervisorSpecTest, NumbersStayWithinTheirLimits) {
  auto limited = [](RestartLimit limit) { return supervisor("top", one_for_one, limit); };
  EXPECT_TRUE(limited({.intensity = kRestartIntensityMax}).check());
  expect_refused(limited({.intensity = kRestartIntensityMax + 1}), "PLX-SUP-0004", "intensity 1000001");
  expect_refused(limited({.period = 0s}), "PLX-SUP-0004", "period");
  auto with = [](ChildOptions options) {
    return supervisor("top", one_for_one).child<Greeter>("a", permanent, std::move(options));
  };
  EXPECT_TRUE(with({.shutdown = 0s}).check());
  EXPECT_TRUE(with({.shutdown = 24h}).check());
  expect_refused(with({.shutdown = -1s}), "PLX-SUP-0004", "'top/a'");
  expect_refused(with({.shutdown = 25h}), "PLX-SUP-0004", "infinity");
  for (Backoff wrong : {Backoff{.initial = 0s}, Backoff{.max = 1ms}, Backoff{.max = 25h}, Backoff{.factor = 0.5},
                        Backoff{.factor = 101}, Backoff{.jitter = -0.1}, Backoff{.jitter = 1.1}})
    expect_refused(with({.backoff = wrong}), "PLX-SUP-0004", "backoff");
  EXPECT_TRUE(with({.backoff = Backoff{}}).check());

  SupervisorSpec crowd = supervisor("crowd", one_for_one);
  for (std::size_t i = 0; i < kChildrenMax; ++i) crowd.child<Greeter>(std::to_string(i));
  EXPECT_TRUE(crowd.check());
  expect_refused(crowd.child<Greeter>("one too many"), "PLX-SUP-0007", "10001 children");

  SupervisorSpec deep = supervisor("s", one_for_one);
  for (std::size_t i = 1; i < kTreeDepthMax; ++i) deep = supervisor("s", one_for_one).child(std::move(deep));
  EXPECT_TRUE(deep.check());
  expect_refused(supervisor("s", one_for_one).child(std::move(deep)), "PLX-SUP-0007", "more than 32");
}

TEST(SupervisorSpecTest, SignificantChildrenNeedASupervisorThatMayShutDown) {
  ChildOptions significant{.significant = true};
  expect_refused(supervisor("top", one_for_one).child<Greeter>("a", transient, significant), "PLX-SUP-0005",
                 "auto_shutdown");
  expect_refused(supervisor("top", one_for_one)
                     .auto_shutdown(AutoShutdown::any_significant)
                     .child<Greeter>("a", permanent, significant),
                 "PLX-SUP-0005", "significant and permanent");
  EXPECT_TRUE(supervisor("top", one_for_one)
                  .auto_shutdown(any_significant)
                  .child<Greeter>("a", temporary, significant)
                  .check());
}

TEST(SupervisorSpecTest, OnlySimpleOneForOneHasATemplateAndNothingElse) {
  EXPECT_TRUE((supervisor("pool", simple_one_for_one).template_child<Greeter, Hello>("g").check()));
  EXPECT_TRUE(supervisor("pool", simple_one_for_one).template_child<Greeter>("g", temporary).check());
  expect_refused(supervisor("pool", simple_one_for_one), "PLX-SUP-0006", "'pool'");
  expect_refused(supervisor("pool", simple_one_for_one).child<Greeter>("g"), "PLX-SUP-0006", "'pool'");
  expect_refused(supervisor("pool", simple_one_for_one).template_child<Greeter>("g").child<Greeter>("h"),
                 "PLX-SUP-0006", "'pool'");
  expect_refused(supervisor("pool", simple_one_for_one).template_child<Greeter>("g", permanent, {.name = "one"}),
                 "PLX-SUP-0006", "without a name");
  expect_refused(supervisor("top", one_for_all).template_child<Greeter>("g"), "PLX-SUP-0006", "simple_one_for_one");
}

}  // namespace
}  // namespace plexspaces
