// Work that may block, waited for in a turn.
#pragma once

#include <bit>
#include <coroutine>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/message/envelope.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/scheduler/worker.hpp"
#include "plexspaces/actor/turn/task.hpp"

namespace plexspaces::detail {

/// Who waits for a blocking call. Its answer is a reply like that to an ask (INV-M2).
struct BlockingCall {
  Runtime* runtime;
  ActorId caller;
  std::uint64_t correlation;

  Envelope* make_answer(const MessageInfo& type, std::size_t bytes, std::uint32_t flags) const {
    return allocate_reply(nullptr, &type, std::bit_cast<std::uint64_t>(caller), correlation, bytes, flags);
  }
  Envelope* make_error(const MessageInfo& type, Error error) const;
};

Error blocking_threw_error(const char* what);

/// The type of an answer with an R, which need not be described: nobody but the caller reads it.
template <class R>
inline const MessageInfo kBlockingAnswer{nullptr, nullptr, nullptr, destroyer<R>()};

template <class R>
struct BlockingValue {
  using Type = R;
};
template <class T>
struct BlockingValue<Result<T>> {
  using Type = T;
};

/// Runs `work` on the thread of the caller.
template <class F>
Envelope* run_blocking_call(const BlockingCall& call, F& work) {
  using Returned = std::invoke_result_t<F&>;
  using Value = typename BlockingValue<Returned>::Type;
  const MessageInfo& type = kBlockingAnswer<Value>;
  try {
    if constexpr (std::is_void_v<Returned>) {
      work();
      return call.make_answer(type, 0, 0);
    } else {
      Returned returned = work();
      if constexpr (IsResult<Returned>::value) {
        if (!returned) return call.make_error(type, std::move(returned).error());
        if constexpr (std::is_void_v<Value>) {
          return call.make_answer(type, 0, 0);
        } else {
          Envelope* answer = call.make_answer(type, sizeof(Value), 0);
          ::new (answer->payload()) Value(std::move(*returned));
          return answer;
        }
      } else {
        Envelope* answer = call.make_answer(type, sizeof(Value), 0);
        ::new (answer->payload()) Value(std::move(returned));
        return answer;
      }
    }
  } catch (const std::exception& error) {
    return call.make_error(type, blocking_threw_error(error.what()));
  } catch (...) {
    return call.make_error(type, blocking_threw_error("an exception that is not a std::exception"));
  }
}

template <class F>
class [[nodiscard]] BlockingAwaiter : public TurnWait {
 public:
  using Value = typename BlockingValue<std::invoke_result_t<F&>>::Type;
  static_assert(!std::is_reference_v<Value>, "blocking work returns a value: what it refers to may be gone");

  BlockingAwaiter(const Context& context, F work, Duration within)
      : context_(context), work_(std::move(work)), within_(within) {}

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    wait_.handle = handle;
    Worker& worker = *context_.worker_;
    BlockingCall call{&worker.runtime(), context_.self_id(), worker.next_correlation()};
    Status begun = worker.runtime().executor().run_blocking([call, work = std::move(work_)]() mutable {
      call.runtime->send_reply_from_external(run_blocking_call(call, work));
    });
    if (!begun) {
      wait_.error = std::move(begun).error();
      return false;
    }
    // Its answer may have come, but nobody looks at it before this turn has suspended.
    worker.begin_blocking_wait(wait_, *context_.cell_, call.correlation, within_);
    return true;
  }
  Result<Value> await_resume() {
    if (wait_.error) return std::unexpected(*std::move(wait_.error));
    Envelope& answer = *wait_.reply;
    if (answer.is(Envelope::kFailed)) return std::unexpected(std::move(answer.payload_as<Error>()));
    if constexpr (std::is_void_v<Value>)
      return {};
    else
      return Result<Value>(std::move(answer.payload_as<Value>()));
  }

 private:
  const Context& context_;
  F work_;
  Duration within_;
  Wait wait_;
};

}  // namespace plexspaces::detail

namespace plexspaces {

template <class F>
detail::BlockingAwaiter<std::decay_t<F>> Context::blocking(F&& work, Duration within) {
  return {*this, std::forward<F>(work), within};
}

}  // namespace plexspaces
