// What a mailbox has that is not like all others, or holds more than waiting messages.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "plexspaces/actor/mailbox/mailbox.hpp"
#include "plexspaces/actor/message/envelope.hpp"

namespace plexspaces::detail {

/// MailboxOptions with the runtime's limits filled in. Constant once a cell has its number.
struct MailboxKind {
  std::uint32_t messages_max = 0;
  std::uint32_t units_max = 0;  // of Envelope::kChargeUnit
  Overflow overflow = Overflow::kReject;
  Priorities priority;
};

/// Whether a message that waits for room has been let in or taken back: who decides first. Both ends race for it, and
/// nothing is handed over by it, so any memory order will do; the message itself goes with its order.
struct SendDecision {
  std::atomic<bool> decided{false};

  bool decide() { return !decided.exchange(true, std::memory_order_relaxed); }
  bool is_decided() const { return decided.load(std::memory_order_relaxed); }
};

/// A message that waits at its receiver for room. Payload of a kSendMessage.
struct SendOffer {
  // Shared: the sender's wait and the receiver's queue end in either order.
  std::shared_ptr<SendDecision> decision;
  Envelope* message = nullptr;  // owned
  ActorId to;

  SendOffer(std::shared_ptr<SendDecision> decided_by, Envelope* offered, ActorId receiver)
      : decision(std::move(decided_by)), message(offered), to(receiver) {}
  SendOffer(SendOffer&& other) noexcept
      : decision(std::move(other.decision)), message(std::exchange(other.message, nullptr)), to(other.to) {}
  ~SendOffer();
};

/// An input that Context::stash() has kept, and who waits for its answer.
struct Stashed {
  Envelope* message = nullptr;
  std::uint32_t flags = 0;
  std::uint64_t sender = 0;

  Envelope* restored() const {
    message->flags |= flags;
    message->sender = sender;
    return message;
  }
};

/// Of an actor that has its own MailboxOptions, a stash, or senders that wait for room. Belongs to the home worker.
///
/// The plain list of the cell stays one list, in three parts, with the level that is handled first in front:
///
///     head -> [ kHigh ... ] -> [ kNormal ... ] -> [ kLow ... ] <- tail
///                        ^ last[0]           ^ last[1]      ^ last[2]
struct MailboxState {
  std::array<Envelope*, kPriorities> last{};           // of each level; null: none
  std::array<std::size_t, kPriorities> passed_over{};  // messages of higher levels handled while one of this waited
  Envelope* offers = nullptr;                          // kSendMessages, the oldest first
  Envelope* last_offer = nullptr;
  std::size_t offer_count = 0;
  std::size_t urgent = 0;  // messages in front of all levels: Context::continue_with()
  std::vector<Stashed> stash;
  std::size_t stash_units = 0;

  /// Beside those in the plain list.
  bool holds_messages() const { return offers != nullptr || !stash.empty(); }
  void add_offer(Envelope* order) {
    order->next = nullptr;
    (offers != nullptr ? last_offer->next : offers) = order;
    last_offer = order;
    ++offer_count;
  }

  /// The last message of the levels before `level`; null: none.
  Envelope* before(std::size_t level) const {
    while (level > 0)
      if (last[--level] != nullptr) return last[level];
    return nullptr;
  }
};

}  // namespace plexspaces::detail
