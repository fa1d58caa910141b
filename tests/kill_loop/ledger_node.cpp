// A bank as a node: what the kill loop keeps books about.
#include <cstdint>
#include <string>

#include <fmt/format.h>

#include "plexspaces/plexspaces.hpp"

namespace {

using plexspaces::Code;
using plexspaces::Context;
using plexspaces::fail;
using plexspaces::GenServer;
using plexspaces::Result;
using plexspaces::Stateful;

struct Balance {
  std::int64_t amount = 0;
};
PLX_MESSAGE(Balance, (1, amount));

// From outside. Both answer with the new balance.
struct Add {
  using Reply = std::int64_t;
  std::int64_t amount;
};
PLX_MESSAGE(Add, (1, amount));

struct Transfer {
  using Reply = std::int64_t;
  std::string to;
  std::int64_t amount;
};
PLX_MESSAGE(Transfer, (1, to), (2, amount));

// From another account.
struct Deposit {
  std::int64_t amount;
};
PLX_MESSAGE(Deposit, (1, amount));

struct GetBalance {
  using Reply = std::int64_t;
};
PLX_MESSAGE(GetBalance);

class Account : public GenServer<Account, Add, Transfer, Deposit, GetBalance>, public Stateful<Balance> {
 public:
  std::int64_t handle(const Add& add, Context&) { return state().amount += add.amount; }

  Result<std::int64_t> handle(const Transfer& transfer, Context& ctx) {
    if (transfer.amount <= 0) return fail(Code::kInvalidArgument, "a transfer moves a positive amount", "LEDGER-0001");
    if (transfer.amount > state().amount)
      return fail(Code::kFailedPrecondition,
                  fmt::format("the balance is {}: {} cannot leave", state().amount, transfer.amount), "LEDGER-0002");
    PLX_TRY_STATUS(ctx.actor<Account>(transfer.to).tell(Deposit{transfer.amount}));
    return state().amount -= transfer.amount;
  }

  void handle(const Deposit& deposit, Context&) { state().amount += deposit.amount; }

  std::int64_t handle(const GetBalance&, Context&) const { return state().amount; }
};

}  // namespace

int main(int argc, char** argv) {
  return plexspaces::run(argc, argv, [](plexspaces::Types& types) {
    types.add<Account>("account", {.facets = {plexspaces::durable(), plexspaces::virtual_actor()}});
  });
}
