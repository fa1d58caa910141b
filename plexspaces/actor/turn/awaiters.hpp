// What a handler waits for: the answers, sends, ends and times of its Context.
#pragma once

#include <coroutine>
#include <cstddef>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/errors.hpp"
#include "plexspaces/actor/message/envelope.hpp"
#include "plexspaces/actor/scheduler/worker.hpp"
#include "plexspaces/actor/turn/task.hpp"

namespace plexspaces {

namespace detail {

template <class M>
class [[nodiscard]] AskAwaiter : public TurnWait {
 public:
  AskAwaiter(const Context& context, NodeId node, ActorId to, M message, Duration within)
      : context_(context), node_(node), to_(to), message_(std::move(message)), within_(within) {}

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    return begin(wait_, handle, context_, node_, to_, std::move(message_), within_);
  }
  Result<ReplyOf<M>> await_resume() { return take(wait_, context_); }

  /// @returns whether there is something to wait for: false when the ask has failed.
  static bool begin(Wait& wait, std::coroutine_handle<> handle, const Context& context, NodeId node, ActorId to,
                    M&& message, Duration within) {
    wait.handle = handle;
    Envelope* envelope = context.worker_->make_for(node, std::move(message), Envelope::kAsk | Envelope::kWide);
    if constexpr (kMayBeLarge<M>)
      if (envelope->charge > context.worker_->runtime().message_units_max())
        return context.worker_->refuse_large_ask(wait, to, envelope);
    return context.worker_->begin_ask(wait, context, node, to, envelope, within);
  }
  static Result<ReplyOf<M>> take(Wait& wait, const Context& context) {
    if (wait.error) return std::unexpected(*std::move(wait.error));
    return Answer(EnvelopePtr(std::exchange(wait.reply, nullptr), EnvelopeDeleter{&context.worker_->pool()}))
        .template take<ReplyOf<M>>();
  }

 private:
  const Context& context_;
  NodeId node_;
  ActorId to_;
  M message_;
  Duration within_;
  Wait wait_;
};

/// Several asks: their awaiters are temporaries of the expression that waits for this.
template <class... Ms>
class [[nodiscard]] AllAwaiter : public TurnWait {
 public:
  explicit AllAwaiter(AskAwaiter<Ms>&... asks) : asks_(asks...) {}

  bool await_ready() const noexcept { return sizeof...(Ms) == 0; }
  bool await_suspend(std::coroutine_handle<> handle) {
    return std::apply(
        [handle](auto&... ask) {
          bool waits = false;
          ((waits |= ask.await_suspend(handle)), ...);
          return waits;
        },
        asks_);
  }
  [[nodiscard]] std::tuple<Result<ReplyOf<Ms>>...> await_resume() {
    return std::apply([](auto&... ask) { return std::tuple<Result<ReplyOf<Ms>>...>{ask.await_resume()...}; }, asks_);
  }

 private:
  std::tuple<AskAwaiter<Ms>&...> asks_;
};

/// One message to many actors.
template <class M>
class [[nodiscard]] AskAllAwaiter : public TurnWait {
 public:
  template <class A>
  AskAllAwaiter(const Context& context, const std::vector<ActorRef<A>>& to, M message, Duration within)
      : context_(context), message_(std::move(message)), within_(within) {
    to_.reserve(to.size());
    for (const ActorRef<A>& actor : to) to_.push_back({actor.node(), actor.id()});
  }

  bool await_ready() const noexcept { return to_.empty() || to_.size() > kAsksAtOnceMax; }
  bool await_suspend(std::coroutine_handle<> handle) {
    waits_ = std::make_unique<Wait[]>(to_.size());
    bool waits = false;
    for (std::size_t i = 0; i < to_.size(); ++i)
      waits |= AskAwaiter<M>::begin(waits_[i], handle, context_, to_[i].node, to_[i].id, M(message_), within_);
    return waits;
  }
  [[nodiscard]] std::vector<Result<ReplyOf<M>>> await_resume() {
    std::vector<Result<ReplyOf<M>>> results;
    results.reserve(to_.size());
    for (std::size_t i = 0; i < to_.size(); ++i)
      results.push_back(waits_ != nullptr ? AskAwaiter<M>::take(waits_[i], context_)
                                          : std::unexpected(too_many_asks_error(to_.size())));
    return results;
  }

 private:
  struct Target {
    NodeId node;
    ActorId id;
  };

  const Context& context_;
  std::vector<Target> to_;
  M message_;
  Duration within_;
  std::unique_ptr<Wait[]> waits_;
};

template <class M>
class [[nodiscard]] SendAwaiter : public TurnWait {
 public:
  SendAwaiter(const Context& context, NodeId node, ActorId to, M message, Duration within)
      : context_(context), node_(node), to_(to), message_(std::move(message)), within_(within) {}

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    wait_.handle = handle;
    Envelope* envelope = context_.worker_->make_for(node_, std::move(message_), 0);
    return context_.worker_->begin_send(wait_, context_, node_, to_, envelope, within_);
  }
  Status await_resume() {
    if (wait_.error) return std::unexpected(*std::move(wait_.error));
    if (wait_.reply == nullptr) return {};  // there was room
    return Answer(EnvelopePtr(std::exchange(wait_.reply, nullptr), EnvelopeDeleter{&context_.worker_->pool()}))
        .template take<void>();
  }

 private:
  const Context& context_;
  NodeId node_;
  ActorId to_;
  M message_;
  Duration within_;
  SendWait wait_;
};

class [[nodiscard]] EndedAwaiter : public TurnWait {
 public:
  EndedAwaiter(const Context& context, NodeId node, ActorId target, Duration within)
      : context_(context), node_(node), target_(target), within_(within) {}

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    wait_.handle = handle;
    return context_.worker_->begin_wait_for_end(wait_, *context_.cell_, node_, target_, within_);
  }
  Result<ExitReason> await_resume() {
    if (wait_.error) {
      context_.worker_->demonitor(*context_.cell_, {wait_.correlation});
      return std::unexpected(*std::move(wait_.error));
    }
    return std::move(wait_.reply->payload_as<Down>().reason);
  }

 private:
  const Context& context_;
  NodeId node_;
  ActorId target_;
  Duration within_;
  Wait wait_;
};

class [[nodiscard]] SleepAwaiter : public TurnWait {
 public:
  SleepAwaiter(const Context& context, Duration duration) : context_(context), duration_(duration) {}

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    wait_.handle = handle;
    context_.worker_->begin_sleep(wait_, *context_.cell_, duration_);
  }
  void await_resume() {}

 private:
  const Context& context_;
  Duration duration_;
  Wait wait_;
};

}  // namespace detail

template <class A>
detail::EndedAwaiter Context::ended(ActorRef<A> target, Duration within) {
  return {*this, target.node(), target.id(), within};
}

inline detail::SleepAwaiter Context::sleep(Duration duration) { return {*this, duration}; }

}  // namespace plexspaces
