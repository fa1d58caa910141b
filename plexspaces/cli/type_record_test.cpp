#include "plexspaces/cli/type_record.hpp"

#include <string>

#include <gtest/gtest.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/behavior/gen_server.hpp"

namespace plexspaces::cli {
namespace {

namespace first {
struct Deposit {
  std::int64_t amount = 0;
};
struct Ledger {
  std::int64_t balance = 0;
  std::string owner;
};
PLX_MESSAGE(Deposit, (1, amount));
PLX_MESSAGE(Ledger, (1, balance), (2, owner));
class Account : public GenServer<Account, Deposit>, public Stateful<Ledger> {
 public:
  void handle(const Deposit&, Context&) {}
};
}  // namespace first

namespace compatible {
struct Deposit {
  std::int64_t amount = 0;
  std::string note;
};
struct Ledger {
  std::int64_t balance = 0;
};
PLX_MESSAGE(Deposit, (1, amount), (2, note));
PLX_MESSAGE(Ledger, (1, balance), PLX_RESERVED(2));
class Account : public GenServer<Account, Deposit>, public Stateful<Ledger> {
 public:
  void handle(const Deposit&, Context&) {}
};
}  // namespace compatible

namespace broken {
struct Deposit {
  std::string amount;
};
struct Ledger {
  std::int64_t balance = 0;
};
PLX_MESSAGE(Deposit, (1, amount));
PLX_MESSAGE(Ledger, (1, balance));
class Account : public GenServer<Account, Deposit>, public Stateful<Ledger> {
 public:
  void handle(const Deposit&, Context&) {}
};
}  // namespace broken

template <class A>
Types types_with(const std::string& name) {
  Types types;
  types.add<A>(name);
  return types;
}

TEST(TypeRecordTest, ACompatibleChangePassesAndAnIncompatibleOneIsNamed) {
  std::string recorded = record_types(types_with<first::Account>("account"));
  EXPECT_TRUE(check_types(types_with<first::Account>("account"), recorded));
  EXPECT_TRUE(check_types(types_with<compatible::Account>("account"), recorded));
  Status broken = check_types(types_with<broken::Account>("account"), recorded);
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message().find("message Deposit"), std::string::npos);
  EXPECT_NE(broken.error().message().find("message Ledger"), std::string::npos);
}

TEST(TypeRecordTest, ATypeThatIsGoneIsNamed) {
  std::string recorded = record_types(types_with<first::Account>("account"));
  Status gone = check_types(Types(), recorded);
  ASSERT_FALSE(gone);
  EXPECT_NE(gone.error().message().find("message Ledger: no type"), std::string::npos);
}

TEST(TypeRecordTest, AnEmptyRecordProvesNothingUnlessThereIsNothing) {
  Status empty = check_types(types_with<first::Account>("account"), "");
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().domain(), "PLX-CLI-0005");
  EXPECT_TRUE(check_types(Types(), record_types(Types())));
}

}  // namespace
}  // namespace plexspaces::cli
