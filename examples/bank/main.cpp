// A bank of a million accounts, each an actor: `bank [ACCOUNTS] [TRANSFERS] [SEED]` (README.md).
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <latch>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/node/local/local_runtime.hpp"

namespace {

using namespace plexspaces;

constexpr std::int64_t kFirstBalance = 1'000'000;  // cents
constexpr std::int64_t kAmountMax = 10'000;
constexpr std::uint64_t kInFlightMax = 1'000;  // transfers of one branch

// ---- Accounts ------------------------------------------------------------------------------------------------------

class Account;
class Branch;

struct Transfer {
  ActorRef<Account> to;
  std::int64_t amount = 0;
  ActorRef<Branch> branch;
};
PLX_MESSAGE(Transfer, (1, to), (2, amount), (3, branch));

struct Deposit {
  std::int64_t amount = 0;
  ActorRef<Branch> branch;
};
PLX_MESSAGE(Deposit, (1, amount), (2, branch));

struct GetBalance {
  using Reply = std::int64_t;
};
PLX_MESSAGE(GetBalance);

class Account : public GenServer<Account, Transfer, Deposit, GetBalance> {
 public:
  Status handle(const Transfer& transfer, Context& ctx);
  Status handle(const Deposit& deposit, Context& ctx);
  std::int64_t handle(const GetBalance&, Context&) const { return balance_; }

 private:
  std::int64_t balance_ = kFirstBalance;
};

using Accounts = std::vector<ActorRef<Account>>;

// ---- Transfers -----------------------------------------------------------------------------------------------------

/// The transfers of one branch: random, but the same whenever they are drawn with the same seed.
class Orders {
 public:
  Orders(std::uint64_t seed, std::size_t accounts) : state_(seed), accounts_(accounts) {}

  struct Order {
    std::size_t from, to;
    std::int64_t amount;
  };
  Order next() {
    std::size_t from = draw() % accounts_;
    std::size_t to = draw() % accounts_;
    return {from, to, 1 + static_cast<std::int64_t>(draw() % kAmountMax)};
  }

 private:
  std::uint64_t draw() {  // splitmix64
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
  std::size_t accounts_;
};

// ---- Branches ------------------------------------------------------------------------------------------------------

/// What one branch has to do.
struct Job {
  std::uint64_t seed;
  std::uint64_t transfers;
  std::size_t first_account, end_account;  // which it opens and audits
};

struct Open {};
struct Begin {};
struct Settled {};
PLX_MESSAGE(Open);
PLX_MESSAGE(Begin);
PLX_MESSAGE(Settled);

struct AuditReport {
  std::int64_t total = 0;
  std::uint64_t different = 0;  // accounts whose balance is not the expected one
};
PLX_MESSAGE(AuditReport, (1, total), (2, different));

struct Audit {
  using Reply = AuditReport;
};
PLX_MESSAGE(Audit);

/// Opens its accounts, orders transfers between any accounts of the bank, and asks its accounts for their balances.
class Branch : public GenServer<Branch, Open, Begin, Settled, Audit> {
 public:
  Branch(Job job, Accounts* accounts, const std::vector<std::int64_t>* expected, std::latch* finished)
      : job_(job), orders_(job.seed, accounts->size()), accounts_(accounts), expected_(expected), finished_(finished) {}

  Status handle(const Open&, Context& ctx) {
    for (std::size_t i = job_.first_account; i < job_.end_account; ++i) {
      PLX_TRY(account, ctx.spawn<Account>());
      (*accounts_)[i] = account;
    }
    return {};
  }

  Status handle(const Begin&, Context& ctx) {
    if (job_.transfers == 0) finished_->count_down();
    while (sent_ < std::min(job_.transfers, kInFlightMax)) PLX_TRY_STATUS(send(ctx));
    return {};
  }

  Status handle(const Settled&, Context& ctx) {
    if (++settled_ == job_.transfers) finished_->count_down();
    return sent_ < job_.transfers ? send(ctx) : Status();
  }

  Task<Result<AuditReport>> handle(const Audit&, Context& ctx) {
    AuditReport report;
    GetBalance question;
    for (std::size_t i = job_.first_account; i < job_.end_account; ++i) {
      auto balance = co_await ctx.ask((*accounts_)[i], question, 1min);
      if (!balance) co_return std::unexpected(balance.error());
      report.total += *balance;
      if (*balance != (*expected_)[i]) ++report.different;
    }
    co_return report;
  }

 private:
  Status send(Context& ctx) {
    auto [from, to, amount] = orders_.next();
    ++sent_;
    return (*accounts_)[from].tell(Transfer{(*accounts_)[to], amount, ctx.self<Branch>()});
  }

  Job job_;
  Orders orders_;
  Accounts* accounts_;                         // of the whole bank; nobody writes after they were opened
  const std::vector<std::int64_t>* expected_;  // balances
  std::latch* finished_;
  std::uint64_t sent_ = 0;
  std::uint64_t settled_ = 0;
};

Status Account::handle(const Transfer& transfer, Context&) {
  if (transfer.amount > balance_) return transfer.branch.tell(Settled{});  // refused
  balance_ -= transfer.amount;
  return transfer.to.tell(Deposit{transfer.amount, transfer.branch});
}

Status Account::handle(const Deposit& deposit, Context&) {
  balance_ += deposit.amount;
  return deposit.branch.tell(Settled{});
}

// ---- What is right -------------------------------------------------------------------------------------------------

/// The balances after all `jobs`, computed one transfer after the other; empty when an account may run out of money:
/// then the order of the transfers would matter.
std::vector<std::int64_t> sequential_balances(std::size_t accounts, const std::vector<Job>& jobs) {
  std::vector<std::int64_t> balances(accounts, kFirstBalance);
  std::vector<std::int64_t> spent(accounts);
  for (const Job& job : jobs) {
    Orders orders(job.seed, accounts);
    for (std::uint64_t i = 0; i < job.transfers; ++i) {
      auto [from, to, amount] = orders.next();
      balances[from] -= amount;
      balances[to] += amount;
      spent[from] += amount;
    }
  }
  if (std::ranges::max(spent) > kFirstBalance) return {};
  return balances;
}

double memory_bytes() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with("VmRSS:")) return std::strtod(line.c_str() + 6, nullptr) * 1024;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  auto argument = [&](int i, std::uint64_t otherwise) {
    return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise;
  };
  std::size_t accounts_count = argument(1, 1'000'000);
  std::uint64_t transfers = argument(2, 1'000'000);
  std::uint64_t seed = argument(3, 1);
  if (accounts_count == 0) {
    fmt::print(stderr, "usage: bank [ACCOUNTS] [TRANSFERS] [SEED], at least one account\n");
    return 2;
  }

  LocalRuntime runtime;
  std::size_t branches_count = runtime.worker_count();
  std::vector<Job> jobs;
  for (std::size_t i = 0; i < branches_count; ++i) {
    auto share = [&](std::uint64_t of, std::size_t before) { return of * before / branches_count; };
    jobs.push_back({.seed = seed << 8 | i,
                    .transfers = share(transfers, i + 1) - share(transfers, i),
                    .first_account = share(accounts_count, i),
                    .end_account = share(accounts_count, i + 1)});
  }
  std::vector<std::int64_t> expected = sequential_balances(accounts_count, jobs);
  if (expected.empty()) {
    fmt::print(stderr, "so many transfers could overdraw an account: take fewer, or more accounts\n");
    return 2;
  }

  Accounts accounts(accounts_count);
  std::latch finished(static_cast<std::ptrdiff_t>(branches_count));

  double memory_before = memory_bytes();
  std::vector<ActorRef<Branch>> branches;
  for (const Job& job : jobs)
    branches.push_back(runtime.spawn<Branch>("", job, &accounts, &expected, &finished).value());
  for (ActorRef<Branch> branch : branches) branch.ask(Open{}, 1min).value();
  double account_bytes = (memory_bytes() - memory_before) / static_cast<double>(accounts_count);

  auto began = std::chrono::steady_clock::now();
  for (ActorRef<Branch> branch : branches) branch.tell(Begin{}).value();
  finished.wait();
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;

  AuditReport report;
  for (ActorRef<Branch> branch : branches) {
    AuditReport part = branch.ask(Audit{}, 5min).value();
    report.total += part.total;
    report.different += part.different;
  }
  runtime.stop();

  fmt::print("{} transfers between {} accounts: {:.0f} transfers/s, {:.0f} bytes/account\n", transfers, accounts_count,
             static_cast<double>(transfers) / took.count(), account_bytes);
  std::int64_t money = kFirstBalance * static_cast<std::int64_t>(accounts_count);
  if (report.total == money && report.different == 0) return 0;
  fmt::print("the accounts hold {}, expected {}; {} of them differ\n", report.total, money, report.different);
  return 1;
}
