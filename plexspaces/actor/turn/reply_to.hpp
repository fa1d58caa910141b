// An answer that is given after the turn of its question.
#pragma once

#include <cstdint>
#include <utility>

#include "plexspaces/actor/message/envelope.hpp"

namespace plexspaces {

namespace detail {

/// Who waits for an answer, and to what.
struct Asker {
  const MessageInfo* type = nullptr;  // null: nobody
  NodeId node;
  bool sink = false;
  std::uint64_t sender = 0;
  std::uint64_t correlation = 0;
};

/// A reply to the asker, before its payload of `bytes`.
Envelope* make_reply(const Asker& asker, std::size_t bytes, std::uint32_t flags);
/// @error kInvalidArgument: larger than the message_bytes_max of the asker's runtime.
Status check_reply(const Asker& asker, const ValueType& type, const void* reply);
void send_reply(const Asker& asker, Envelope* reply);
void send_error(const Asker& asker, Error error);
void send_no_answer(const Asker& asker);

}  // namespace detail

/// What a handler returns that answers later: see Context::defer().
struct NoReply {};

/// The right, and the duty, to answer one ask of an `M`. Movable; may be given to another actor, or to a thread.
/// Destroyed unanswered, it gives the asker kInternal, at the end of the runtime kUnknown. Threads: one at a time; the
/// asker's runtime must not be ending meanwhile.
template <class M>
class ReplyTo {
 public:
  ReplyTo() = default;
  explicit ReplyTo(detail::Asker asker) : asker_(asker) {}
  ReplyTo(ReplyTo&& other) noexcept : asker_(std::exchange(other.asker_, {})) {}
  ReplyTo& operator=(ReplyTo&& other) noexcept {
    std::swap(asker_, other.asker_);
    return *this;
  }
  ~ReplyTo() {
    if (asker_.type != nullptr) detail::send_no_answer(asker_);
  }

  /// Whether somebody waits, as far as is known here: the message was an ask and is not answered.
  explicit operator bool() const { return asker_.type != nullptr; }

  /// Answers, once; nothing happens when nobody asked. A reply larger than message_bytes_max is an
  /// error to the asker. An asker that waits no longer makes it a dead letter.
  void reply(Result<ReplyOf<M>> result) {
    detail::Asker asker = std::exchange(asker_, {});
    if (asker.type == nullptr) return;
    if (!result) return detail::send_error(asker, std::move(result).error());
    using R = ReplyOf<M>;
    std::size_t bytes = 0;
    if constexpr (!std::is_void_v<R>) bytes = sizeof(R);
    if constexpr (detail::kMayBeLarge<R>)
      if (Status fits = detail::check_reply(asker, value_type_of<R>(), &*result); !fits)
        return detail::send_error(asker, std::move(fits).error());
    detail::Envelope* envelope = detail::make_reply(asker, bytes, detail::Envelope::kReply);
    if constexpr (!std::is_void_v<R>) ::new (envelope->payload()) R(std::move(*result));
    detail::send_reply(asker, envelope);
  }

 private:
  detail::Asker asker_;
};

}  // namespace plexspaces
