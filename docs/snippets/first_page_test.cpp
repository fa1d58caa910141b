// The code of docs/README.md, as tests.
#include <cstdint>

#include <gtest/gtest.h>

// docs-snippet: actor
#include "plexspaces/node/local/local_runtime.hpp"
#include "plexspaces/plexspaces.hpp"

using namespace plexspaces;

struct Deposit {
  using Reply = std::int64_t;  // the balance
  std::int64_t cents = 0;
};
PLX_MESSAGE(Deposit, (1, cents));

class Account : public GenServer<Account, Deposit> {
 public:
  Result<std::int64_t> handle(const Deposit& m, Context&) {
    if (m.cents <= 0) return fail(Code::kInvalidArgument, "a deposit is positive");
    return cents_ += m.cents;
  }

 private:
  std::int64_t cents_ = 0;
};
// docs-snippet-end

#include "plexspaces/testkit/testkit.hpp"

namespace {

TEST(FirstPage, AProgramOfPlainActors) {
  // docs-snippet: local-runtime
  LocalRuntime runtime;  // one worker for each core
  auto account = runtime.spawn<Account>("account").value();
  Result<std::int64_t> balance = account.ask(Deposit{500}, 1min);
  // docs-snippet-end
  EXPECT_EQ(balance.value(), 500);
}

// docs-snippet: test-runtime
TEST(AccountTest, TakesOnlyWhatIsPositive) {
  testkit::TestRuntime world;
  auto account = world.spawn<Account>("account").value();
  EXPECT_EQ(world.ask(account, Deposit{500}, 1s).value(), 500);
  EXPECT_EQ(world.ask(account, Deposit{-1}, 1s).error().code(), Code::kInvalidArgument);
}
// docs-snippet-end

}  // namespace
