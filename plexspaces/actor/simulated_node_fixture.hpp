// A runtime in virtual time, for tests.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces {

struct Lines {
  void add(const std::string& line) {
    std::lock_guard lock(mutex);
    all.push_back(line);
  }
  std::vector<std::string> take() {
    std::lock_guard lock(mutex);
    return std::exchange(all, {});
  }
  std::mutex mutex;
  std::vector<std::string> all;
};

// One worker in virtual time, actors in the order in which they become runnable.
struct SimulatedNode {
  explicit SimulatedNode(RuntimeOptions options = {}, sim::SimExecutorOptions executor_options = {.workers = 1},
                         std::uint64_t seed = 1)
      : world(seed), executor(world, executor_options), runtime(executor, types, std::move(options)) {
    runtime.set_log([this](const std::string& line) { lines.add(line); });
    EXPECT_TRUE(runtime.start());
  }
  void run() {
    executor.run_until([] { return false; }, 10'000);
  }
  template <class A, class M>
  std::shared_ptr<std::optional<Result<ReplyOf<M>>>> ask(ActorRef<A> to, M message) {
    auto result = std::make_shared<std::optional<Result<ReplyOf<M>>>>();
    auto* envelope = detail::make_envelope(nullptr, std::move(message), detail::Envelope::kWide);
    envelope->ask_for(make_sink([result](Answer answer) { *result = answer.take<ReplyOf<M>>(); }));
    static_cast<void>(runtime.send(to.id(), envelope));
    return result;
  }

  sim::World world;
  sim::SimExecutor executor;
  Types types;
  Lines lines;
  Runtime runtime;
};

}  // namespace plexspaces
