// Real workers, run step by step: every atomic operation by which they and other threads share an actor is a step, and
// a load may see whatever the memory model allows. Built with PLX_EXPLORE, which makes the atomics those of
// explore_fixture.hpp; the code is that of the library.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/behavior/gen_server.hpp"

namespace plexspaces {
namespace {

// Threads that only run when the exploration says so. Time stands still.
class ExploredExecutor final : public env::Executor {
 public:
  explicit ExploredExecutor(std::size_t workers) : woken_(workers, true) {}

  TimePoint now() const override { return TimePoint(1s); }
  std::size_t worker_count() const override { return woken_.size(); }
  void start(std::span<env::Worker* const> workers) override { workers_.assign(workers.begin(), workers.end()); }
  void stop() override {}
  void wake(std::size_t index) override { woken_[index] = true; }
  Status run_blocking(std::move_only_function<void()>) override {
    return std::unexpected(env::blocking_stopped_error());
  }
  void run_storage(std::move_only_function<void()>) override { std::abort(); }
  void watch(Duration, std::move_only_function<void()>) override {}

  /// Outside a run.
  void run_until_idle() {
    for (bool idle = false; !idle;) {
      idle = true;
      for (env::Worker* worker : workers_) idle &= worker->run_batch(now()) > now() && !worker->has_cross_worker_work();
    }
  }
  void add_workers_to(explore::Exploration& run) {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      auto work = [this, i, &run] {
        while (!run.is_over()) {
          woken_[i] = false;
          if (workers_[i]->run_batch(now()) <= now() || workers_[i]->has_cross_worker_work()) continue;
          if (!run.wait()) return;  // parked
        }
      };
      run.add(work, [this, i] { return woken_[i] == true; });
    }
  }

 private:
  std::vector<env::Worker*> workers_;
  std::vector<bool> woken_;
};

struct Numbered {
  std::uint32_t sender = 0;
  std::uint32_t number = 0;
  ActorId to;
};
struct Go {};
struct End {};
PLX_MESSAGE(Numbered, (1, sender), (2, number), (3, to));
PLX_MESSAGE(Go);
PLX_MESSAGE(End);

struct Ledger {
  std::map<std::uint32_t, std::uint32_t> last;  // of each sender
  std::uint64_t handled = 0;
  std::string wrong;
};

class Receiver : public GenServer<Receiver, Numbered, Go, End> {
 public:
  explicit Receiver(Ledger* ledger) : ledger_(ledger) {}
  void handle(const Numbered& m, Context& ctx) {
    ++ledger_->handled;
    if (m.to != ctx.self<Receiver>().id()) ledger_->wrong = "a message for an actor that has ended reached the next";
    std::uint32_t& last = ledger_->last[m.sender];
    if (m.number <= last) ledger_->wrong = "out of order, or twice";
    last = m.number;
  }
  void handle(const Go&, Context&) {}
  void handle(const End&, Context& ctx) { ctx.stop(); }

 private:
  Ledger* ledger_;
};

// Tells the receiver so many messages, one in each turn, and moves between.
class Sender : public GenServer<Sender, Go> {
 public:
  Sender(ActorRef<Receiver> to, std::uint32_t sender, std::uint32_t count) : to_(to), sender_(sender), count_(count) {}
  void handle(const Go&, Context& ctx) {
    to_.tell(Numbered{sender_, ++sent_, to_.id()});
    if (sent_ < count_) ctx.self<Sender>().tell(Go{});
  }

 private:
  ActorRef<Receiver> to_;
  std::uint32_t sender_;
  std::uint32_t count_;
  std::uint32_t sent_ = 0;
};

// Starts a receiver, and when told another: on its own worker.
class Breeder : public GenServer<Breeder, Go> {
 public:
  Breeder(Ledger* ledger, std::vector<ActorRef<Receiver>>* born) : ledger_(ledger), born_(born) {}
  void handle(const Go&, Context& ctx) { born_->push_back(*ctx.spawn<Receiver>(ledger_)); }

 private:
  Ledger* ledger_;
  std::vector<ActorRef<Receiver>>* born_;
};

// Monitors an actor and takes that back, in turn, and moves between.
class Watcher : public GenServer<Watcher, Go, Down> {
 public:
  Watcher(ActorRef<Receiver> target, Ledger* ledger) : target_(target), ledger_(ledger) {}
  void handle(const Go&, Context& ctx) {
    if (monitor_) {
      ctx.demonitor(*std::exchange(monitor_, std::nullopt));
    } else {
      auto monitor = ctx.monitor(target_);
      if (!monitor) {
        ledger_->wrong = monitor.error().message();
        return;
      }
      monitor_ = *monitor;
    }
    if (++rounds_ < 6) ctx.self<Watcher>().tell(Go{});
  }
  void handle(const Down& m, Context&) { ledger_->wrong = "an order overtook one before it: " + m.reason.text; }

 private:
  ActorRef<Receiver> target_;
  Ledger* ledger_;
  std::optional<MonitorRef> monitor_;
  int rounds_ = 0;
};

constexpr std::size_t kStepsMax = 100'000;
constexpr std::uint64_t kRuns = 3'000;

std::uint64_t first_seed() {
  const char* given = std::getenv("PLX_SEED");
  return given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
}

TEST(ExploreTest, NoMessageIsLostOrOutOfOrderWhileActorsMove_INV_M1) {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + 2 * kRuns; ++seed) {
    Types types;
    ExploredExecutor executor(2);
    Runtime runtime(executor, types, {.move_every_turns = 1 + seed % 3});
    ASSERT_TRUE(runtime.start());
    Ledger ledger;
    auto receiver = *runtime.spawn<Receiver>("", &ledger);
    auto sender = *runtime.spawn<Sender>("", receiver, 9u, 3u);
    explore::Exploration run(seed);
    executor.add_workers_to(run);
    // Few messages of many threads: one that nobody is woken for is not found by the way of a later one.
    std::uint32_t threads = 2 + seed % 3;
    std::uint32_t each = threads == 2 ? 3 : 1;
    for (std::uint32_t thread = 0; thread < threads; ++thread) {
      run.add(
          [&, thread] {
            if (thread == 0) sender.tell(Go{});
            for (std::uint32_t i = 1; i <= each; ++i) receiver.tell(Numbered{thread, i, receiver.id()});
          },
          nullptr);
    }
    EXPECT_EQ(run.run(kStepsMax), 2u) << "the workers wait";
    EXPECT_EQ(ledger.wrong, "") << "PLX_SEED=" << seed;
    ASSERT_EQ(ledger.handled, threads * each + 3) << "a wake-up was lost; PLX_SEED=" << seed;
    EXPECT_EQ(runtime.mailbox_size(receiver.id()).messages, 0u);
  }
}

// Two threads find the inbox idle, one after the other. The first is still on its way to wake the actor, which a
// message of its own worker has made run and move, when the second leaves that to it.
TEST(ExploreTest, AWakeUpThatAnotherReliesOnIsNotTakenBack_INV_M1) {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + 2 * kRuns; ++seed) {
    Types types;
    ExploredExecutor executor(2);
    Runtime runtime(executor, types, {.move_every_turns = 1});
    ASSERT_TRUE(runtime.start());
    Ledger ledger;
    auto receiver = *runtime.spawn<Receiver>("", &ledger);
    static_cast<void>(runtime.spawn<Receiver>("", &ledger));     // on the other worker
    auto sender = *runtime.spawn<Sender>("", receiver, 0u, 1u);  // so that this is on that of the receiver
    executor.run_until_idle();
    sender.tell(Go{});
    explore::Exploration run(seed);
    executor.add_workers_to(run);
    run.add([&] { receiver.tell(Numbered{1, 1, receiver.id()}); }, nullptr);
    run.add(
        [&] {
          while (ledger.handled < 2 && !run.is_over()) run.yield();
          receiver.tell(Numbered{2, 1, receiver.id()});
        },
        nullptr);
    EXPECT_EQ(run.run(kStepsMax), 2u);
    EXPECT_EQ(ledger.wrong, "");
    ASSERT_EQ(ledger.handled, 3u) << "a wake-up was lost; PLX_SEED=" << seed;
  }
}

TEST(ExploreTest, AMessageReachesTheActorItWasSentToOrNobody_INV_M1) {
  std::uint64_t reached = 0;
  std::uint64_t dead = 0;
  for (std::uint64_t seed = first_seed(); seed < first_seed() + 2 * kRuns; ++seed) {
    Types types;
    ExploredExecutor executor(1);
    Runtime runtime(executor, types);
    ASSERT_TRUE(runtime.start());
    Ledger ledger;
    std::vector<ActorRef<Receiver>> born;
    auto breeder = *runtime.spawn<Breeder>("", &ledger, &born);
    breeder.tell(Go{});
    executor.run_until_idle();
    ASSERT_EQ(born.size(), 1u);
    ActorRef<Receiver> receiver = born.front();
    explore::Exploration run(seed);
    executor.add_workers_to(run);
    run.add(
        [&] {
          receiver.tell(End{});
          breeder.tell(Go{});
        },
        nullptr);
    run.add(
        [&] {
          for (std::uint32_t i = 1; i <= 3; ++i) receiver.tell(Numbered{0, i, receiver.id()});
        },
        nullptr);
    EXPECT_EQ(run.run(kStepsMax), 1u);
    EXPECT_EQ(ledger.wrong, "") << "PLX_SEED=" << seed;
    RuntimeStats stats = runtime.stats();
    reached += ledger.handled;
    dead += stats.dead(DeadLetterReason::kNoActor) + stats.dead(DeadLetterReason::kStopped);
    ASSERT_EQ(ledger.handled + stats.dead(DeadLetterReason::kNoActor) + stats.dead(DeadLetterReason::kStopped), 3u)
        << "PLX_SEED=" << seed;
    for (auto& each : born) EXPECT_EQ(runtime.mailbox_size(each.id()).messages, 0u);
  }
  EXPECT_GT(reached, 0u);
  EXPECT_GT(dead, 0u);
}

TEST(ExploreTest, WhileTheOldestAreDroppedTheOthersKeepTheirOrderAndNoWakeUpIsLost_INV_M1) {
  std::uint64_t dropped = 0;
  for (std::uint64_t seed = first_seed(); seed < first_seed() + kRuns; ++seed) {
    Types types;
    ExploredExecutor executor(2);
    // One monitor fits: one that overtook its end leaves no room for the next.
    Runtime runtime(executor, types, {.monitors_max = 1, .move_every_turns = 1 + seed % 3});
    ASSERT_TRUE(runtime.start());
    Ledger ledger;
    auto kept = static_cast<std::uint32_t>(1 + seed % 2);
    auto receiver = *runtime.spawn<Receiver>(
        SpawnOptions{
            .name = "",
            .mailbox = {.messages_max = kept, .bytes_max = 0, .overflow = Overflow::kDropOldest, .priority = {}}},
        &ledger);
    auto sender = *runtime.spawn<Sender>("", receiver, 2u, 3u);
    auto watcher = *runtime.spawn<Watcher>("", receiver, &ledger);
    explore::Exploration run(seed);
    executor.add_workers_to(run);
    for (std::uint32_t thread = 0; thread < 2; ++thread) {
      run.add(
          [&, thread] {
            for (std::uint32_t i = 1; i <= 4; ++i) {
              receiver.tell(Numbered{thread, i, receiver.id()});
              if (thread == 1 && i == 1) watcher.tell(Go{});
              if (thread == 0 && i == 1) sender.tell(Go{});
            }
          },
          nullptr);
    }
    EXPECT_EQ(run.run(kStepsMax), 2u);
    EXPECT_EQ(ledger.wrong, "") << "PLX_SEED=" << seed;
    std::uint64_t lost = runtime.stats().dead(DeadLetterReason::kDroppedOldest);
    dropped += lost;
    ASSERT_EQ(ledger.handled + lost, 11u)
        << "PLX_SEED=" << seed << ", waiting: " << runtime.mailbox_size(receiver.id()).messages;
    EXPECT_EQ(runtime.mailbox_size(receiver.id()).messages, 0u);
  }
  EXPECT_GT(dropped, kRuns / 2);
}

TEST(ExploreTest, WhatOneThreadStartsAnotherMayUse) {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + kRuns; ++seed) {
    Types types;
    ExploredExecutor executor(2);
    Runtime runtime(executor, types);
    ASSERT_TRUE(runtime.start());
    Ledger ledger;
    std::optional<ActorRef<Receiver>> found;
    explore::Exploration run(seed);
    executor.add_workers_to(run);
    bool started = false;
    run.add(
        [&] {
          auto receiver = runtime.spawn<Receiver>("receiver", &ledger);
          started = true;
          receiver->tell(Numbered{0, 1, receiver->id()});
        },
        nullptr);
    run.add(
        [&] {
          auto receiver = runtime.find<Receiver>("receiver");
          if (!receiver) return;
          found = *receiver;
          receiver->tell(Numbered{1, 1, receiver->id()});
        },
        nullptr);
    EXPECT_EQ(run.run(kStepsMax), 2u);
    EXPECT_TRUE(started);
    EXPECT_EQ(ledger.wrong, "");
    ASSERT_EQ(ledger.handled, found ? 2u : 1u) << "PLX_SEED=" << seed;
  }
}

}  // namespace
}  // namespace plexspaces
