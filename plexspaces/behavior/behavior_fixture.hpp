// A runtime under virtual time, for tests of behaviours.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"

namespace plexspaces {

class BehaviorTest : public testing::Test {
 protected:
  explicit BehaviorTest(RuntimeOptions options = {}, std::size_t workers = 1)
      : executor_(world_, {.workers = workers}), runtime_(executor_, types_, std::move(options)) {
    runtime_.set_log([this](const std::string& line) { log_.push_back(line); });
    EXPECT_TRUE(runtime_.start());
  }

  // Everything that has to be done now is done.
  void settle() { executor_.run_for(1ms, 100'000); }
  void pass(Duration time) { executor_.run_for(time, 1'000'000); }

  // Sends an ask from outside; the answer comes when it comes.
  template <class A, class M>
  void start_ask(ActorRef<A> actor, M message, std::optional<Result<ReplyOf<M>>>& answer) {
    auto sink = make_sink([&answer](Answer given) { answer.emplace(given.template take<ReplyOf<M>>()); });
    detail::Envelope* envelope = detail::make_envelope(nullptr, std::move(message), detail::Envelope::kWide);
    envelope->ask_for(std::move(sink));
    static_cast<void>(runtime_.send(actor.id(), envelope));
  }
  template <class A, class M>
  Result<ReplyOf<M>> ask(ActorRef<A> actor, M message) {
    static_assert(A::template kHandles<M>);
    std::optional<Result<ReplyOf<M>>> answer;
    start_ask(actor, std::move(message), answer);
    settle();
    if (answer) return *std::move(answer);
    // It must not be answered when `answer` is gone.
    ADD_FAILURE() << "no answer";
    std::abort();
  }
  template <class T>
  static std::string domain(const Result<T>& result) {
    return result ? "" : std::string(result.error().domain());
  }

  sim::World world_{1};
  sim::SimExecutor executor_;
  Types types_;
  Runtime runtime_;
  std::vector<std::string> log_;
};

}  // namespace plexspaces
