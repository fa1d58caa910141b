// Messages that nobody handled.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "plexspaces/actor/actor_id.hpp"

namespace plexspaces {

inline constexpr std::uint64_t kDeadLettersKeptAll = 1'024;  // of one reason, by a worker or by all threads outside
inline constexpr std::uint64_t kDeadLettersPerSample = 64;   // beyond those: one in so many is kept

enum class DeadLetterReason : std::uint8_t {
  kNoActor,        // the receiver has ended, or never was
  kMailboxFull,    // refused by the bound of the receiver's mailbox
  kUnhandled,      // the receiver does not handle this type
  kExpired,        // its deadline had passed before its turn
  kLateReply,      // the asker waits no longer
  kStopped,        // still queued or stashed when the receiver ended
  kDroppedOldest,  // made room for a newer one: Overflow::kDropOldest
  kDroppedNewest,  // found no room: Overflow::kDropNewest
  kStashFull,      // the receiver could not stash it
  kTooLarge,       // over message_bytes_max
};
inline constexpr std::size_t kDeadLetterReasons = 10;

std::string_view reason_name(DeadLetterReason reason);

/// One entry of the ring that keeps the newest dead letters.
struct DeadLetter {
  DeadLetterReason reason = DeadLetterReason::kNoActor;
  std::string message_type;
  ActorId target;
  std::string tenant;
  std::string traceparent;
};

}  // namespace plexspaces
