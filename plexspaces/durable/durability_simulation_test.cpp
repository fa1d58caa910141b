// A bank under faults: durable accounts on the real SQLite engine, in a world that loses power, tears writes and fails
// syncs at moments chosen by a seed. Every request is retried with its key until it is acknowledged; at the end the
// books must balance to the unit.
//
//   PLX_SEED=17 durable_test --gtest_filter=DurabilitySimulationTest.*     repeats one run
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/durable/durability_fixture.hpp"
#include "plexspaces/env/probe.hpp"

namespace plexspaces::durability {
namespace {

using namespace testing_support;

constexpr std::uint64_t kSeeds = 300;
constexpr std::size_t kAccounts = 4;
constexpr std::size_t kRequests = 60;
constexpr std::size_t kClients = 6;
constexpr std::size_t kLivesMax = 40;
constexpr std::size_t kStepsPerLifeMax = 20'000;

struct Request {
  std::string account;
  std::string to;  // empty: an Add
  std::int64_t amount = 0;
  std::string key;
  bool in_flight = false;
  std::optional<std::int64_t> answer;  // acknowledged
};

std::string name(std::uint64_t account) { return "account-" + std::to_string(account); }

class Bank {
 public:
  explicit Bank(std::uint64_t seed) : seed_(seed), world_(seed), disk_(world_) {
    for (std::size_t i = 0; i < kRequests; ++i) {
      Request request;
      request.account = name(below(kAccounts));
      request.amount = static_cast<std::int64_t>(1 + below(100));
      if (below(3) == 0) request.to = name(below(kAccounts));
      request.key = "request-" + std::to_string(i);
      requests_.push_back(std::move(request));
    }
  }

  // Runs to the end. @returns the hash of everything that happened.
  std::uint64_t run() {
    for (std::size_t life = 0; life < kLivesMax && !all_acknowledged(); ++life) live(life + 1 < kLivesMax / 2);
    EXPECT_TRUE(all_acknowledged()) << "requests stay unanswered; seed " << seed_;
    final_check();
    return world_.trace.hash();
  }

 private:
  std::uint64_t below(std::uint64_t bound) { return world_.random.below(bound); }
  bool all_acknowledged() const {
    return std::ranges::all_of(requests_, [](const Request& request) { return request.answer.has_value(); });
  }

  std::unique_ptr<Process> start() {
    store::SqliteOptions options;
    options.sweep_bytes_min = 256;
    options.trim_bytes_min = 512;
    options.overlay_bytes_max = 8 << 10;
    options.checkpoint_bytes = 32 << 10;
    auto store = store::open_sqlite(disk_, world_.random, world_.clock, "data", options);
    if (!store) {
      // Only an armed fault may keep a store from opening.
      EXPECT_NE(store.error().code(), Code::kDataLoss) << store.error().to_string() << "; seed " << seed_;
      return nullptr;
    }
    DurableOptions durable_options;
    durable_options.uncommitted_turns_max = 1 + below(8);
    RuntimeOptions runtime_options;
    if (below(2) == 0) runtime_options.mailbox_messages_max = static_cast<std::uint32_t>(2 + below(6));
    auto process = std::make_unique<Process>(world_, *std::move(store), durable_options,
                                             VirtualActorOptions{.idle_timeout = 2s}, runtime_options);
    if (!process->start()) return nullptr;
    return process;
  }

  void arm_a_fault() {
    switch (below(5)) {
      case 0:
        disk_.die_at(1 + below(400));
        break;
      case 1:
        disk_.fail_sync(1 + below(40));
        break;
      case 2:
        disk_.limit_space(below(64 << 10));
        break;
      default:
        break;  // power is lost between two operations
    }
  }

  void send(Process& process, Request& request) {
    request.in_flight = true;
    auto done = [this, &request](Result<std::int64_t> answer) {
      request.in_flight = false;
      if (!answer) {
        world_.note(static_cast<std::uint64_t>(answer.error().code()));
        return;
      }
      world_.note(static_cast<std::uint64_t>(*answer));
      // INV-J1, INV-J5: an answer that was given is given again, whatever happened in between.
      if (request.answer) {
        EXPECT_EQ(*request.answer, *answer) << request.key << "; seed " << seed_;
      }
      request.answer = *answer;
    };
    if (request.to.empty())
      process.send<Add>(request.account, {request.amount}, request.key, done);
    else
      process.send<Transfer>(request.account, {request.to, request.amount}, request.key, done);
  }

  // One life of the process: some clients send until a fault or the end.
  void live(bool faulty) {
    if (faulty) arm_a_fault();
    std::unique_ptr<Process> process = start();
    std::size_t steps = faulty ? 50 + below(kStepsPerLifeMax / 10) : kStepsPerLifeMax;
    for (std::size_t step = 0; process != nullptr && step < steps && !process->store_failed && !disk_.dead(); ++step) {
      if (step % 8 == 0) send_some(*process);
      if (below(200) == 0) disk_.limit_space(std::nullopt);  // somebody made room
      if (!process->executor.step()) process->executor.run_for(10ms, 1'000);
      if (all_acknowledged() && !faulty) break;
    }
    if (process != nullptr) process->executor.crash();
    process.reset();
    for (Request& request : requests_) request.in_flight = false;
    disk_.limit_space(std::nullopt);
    if (below(4) == 0)
      disk_.kill();
    else
      disk_.crash();
  }

  void send_some(Process& process) {
    std::size_t in_flight = static_cast<std::size_t>(
        std::ranges::count_if(requests_, [](const Request& request) { return request.in_flight; }));
    for (Request& request : requests_) {
      if (in_flight >= kClients) return;
      // Now and then a client does not wait for its answer, or has lost it.
      if ((request.in_flight && below(20) != 0) || (request.answer && below(50) != 0)) continue;
      send(process, request);
      ++in_flight;
    }
  }

  // Liveness and the books: without faults everything comes to rest, and every number is what the requests say.
  void final_check() {
    std::unique_ptr<Process> process = start();
    ASSERT_NE(process, nullptr) << "seed " << seed_;
    for (int i = 0; i < 100 && process->durability.outbox_pending() > 0; ++i) process->settle(1s);
    EXPECT_EQ(process->durability.outbox_pending(), 0u) << "seed " << seed_;
    std::map<std::string, std::int64_t> expected;
    for (const Request& request : requests_) {
      expected[request.account] += request.to.empty() ? request.amount : -request.amount;
      if (!request.to.empty()) expected[request.to] += request.amount;
    }
    for (const auto& [account, balance] : expected) {
      auto found = process->ask(account, Balance{});
      ASSERT_TRUE(found && *found) << account << "; seed " << seed_;
      EXPECT_EQ(**found, balance) << account << "; seed " << seed_;
    }
    for (Request& request : requests_) send(*process, request);
    process->settle(5s);
    for (const auto& [account, balance] : expected)
      EXPECT_EQ(**process->ask(account, Balance{}), balance) << "seed " << seed_;
  }

  std::uint64_t seed_;
  sim::World world_;
  sim::SimDisk disk_;
  std::vector<Request> requests_;
};

// INV-J1, INV-J2, INV-J3, INV-J5: acknowledged requests are applied once, in whatever world.
TEST(DurabilitySimulationTest, EveryRequestIsAppliedExactlyOnceUnderFaults) {
  if (const char* seed = std::getenv("PLX_SEED")) {
    Bank(std::strtoull(seed, nullptr, 10)).run();
    return;
  }
  reset_probes();
  for (std::uint64_t seed = 1; seed <= kSeeds && !HasFailure(); ++seed) {
    Bank(seed).run();
    if (HasFailure()) std::fprintf(stderr, "repeat with PLX_SEED=%llu\n", static_cast<unsigned long long>(seed));
  }
  // A run that never takes a rare path shows nothing about it.
  for (Probe probe :
       {Probe::kSimWriteLost, Probe::kSimWriteTorn, Probe::kSimSyncFailed, Probe::kSimDied, Probe::kSimDiskFull,
        Probe::kStoreFailed, Probe::kStoreLogReplayed, Probe::kStoreRowSwept, Probe::kStoreLogTrimmed,
        Probe::kDuplicateJoined, Probe::kDuplicateAnswered, Probe::kCommitsPaused, Probe::kCommitFailed,
        Probe::kOutboxGap, Probe::kOutboxDuplicate, Probe::kOutboxResent, Probe::kOutboxRecovered, Probe::kPassivated})
    EXPECT_GT(times_reached(probe), 0u) << probe_name(probe);
}

TEST(DurabilitySimulationTest, TheSameSeedGivesTheSameTraceAndAnotherSeedAnother) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    std::uint64_t hash = Bank(seed).run();
    EXPECT_EQ(Bank(seed).run(), hash);
    EXPECT_NE(Bank(seed + 100).run(), hash);
  }
}

}  // namespace
}  // namespace plexspaces::durability
