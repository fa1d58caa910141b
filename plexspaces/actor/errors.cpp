#include "plexspaces/actor/errors.hpp"

#include <string>

#include <fmt/format.h>

#include "plexspaces/actor/mailbox/mailbox.hpp"

namespace plexspaces::detail {

Error gone_error() {
  return Error(Code::kNotFound, "no such actor: it has ended, or the reference is of an earlier life", "PLX-ACT-0005");
}

Error runtime_ended_error() { return Error(Code::kNotFound, "the runtime of this actor has ended", "PLX-ACT-0004"); }

Error dropped_error() {
  return Error(Code::kUnknown, "the request was dropped while the node stopped; ask again", "PLX-ACT-0001",
               Error::Retry::kSame);
}

Error mailbox_full_error() {
  return Error(Code::kResourceExhausted, "the mailbox is full: send less, or raise mailbox_messages_max",
               "PLX-ACT-0006", Error::Retry::kBackoff);
}

Error mailbox_blocks_error() {
  return Error(Code::kResourceExhausted,
               "the mailbox is full: wait for room by co_await ctx.send(), or ActorRef::send() outside actors",
               "PLX-ACT-0041", Error::Retry::kBackoff);
}

Error no_room_error() {
  return Error(Code::kDeadlineExceeded, "the mailbox had no room in time: the message was taken back", "PLX-ACT-0045",
               Error::Retry::kSame);
}

Error too_many_sends_error() {
  return Error(Code::kResourceExhausted, "as many senders as sends_waiting_max allows wait for room in the mailbox",
               "PLX-ACT-0046", Error::Retry::kBackoff);
}

Error stash_full_error() {
  return Error(Code::kResourceExhausted, "the actor's stash is full: stash_max, or the bytes of its mailbox",
               "PLX-ACT-0047", Error::Retry::kBackoff);
}

Error too_large_error(std::size_t bytes, const RuntimeOptions& options) {
  return Error(
      Code::kInvalidArgument,
      fmt::format("{} bytes are more than message_bytes_max, {}: send it in parts", bytes, options.message_bytes_max),
      "PLX-ACT-0048");
}

Error dead_letter_error(DeadLetterReason reason) {
  switch (reason) {
    case DeadLetterReason::kMailboxFull:
    case DeadLetterReason::kDroppedOldest:
    case DeadLetterReason::kDroppedNewest:
      return mailbox_full_error();
    case DeadLetterReason::kStashFull:
      return stash_full_error();
    case DeadLetterReason::kExpired:
      return Error(Code::kDeadlineExceeded, "the deadline had passed before the message was handled", "PLX-ACT-0011",
                   Error::Retry::kSame);
    default:
      return gone_error();
  }
}

Error too_many_asks_error(std::size_t asks) {
  return Error(Code::kResourceExhausted,
               fmt::format("{} asks at once, more than {}: ask in groups", asks, kAsksAtOnceMax), "PLX-ACT-0061");
}

Error no_answer_error() {
  return Error(Code::kDeadlineExceeded, "no answer in time; whether the message was handled is not known",
               "PLX-ACT-0010", Error::Retry::kSame);
}

Error too_many_continuations_error() {
  return Error(
      Code::kResourceExhausted,
      fmt::format("{} messages of continue_with() wait already: tell the actor itself instead", kContinuationsMax),
      "PLX-ACT-0056");
}

Error too_many_actors_error() {
  return Error(Code::kResourceExhausted, "the limit actors_max is reached", "PLX-ACT-0002");
}

Error watch_limit_error(const char* limit) {
  return Error(Code::kResourceExhausted, std::string("the actor has as many as ") + limit + " allows", "PLX-ACT-0025");
}

}  // namespace plexspaces::detail
