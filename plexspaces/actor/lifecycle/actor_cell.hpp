// The runtime's record of one actor.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "plexspaces/actor/actor.hpp"
#include "plexspaces/actor/actor_id.hpp"
#include "plexspaces/actor/lifecycle/exit_links.hpp"
#include "plexspaces/actor/mailbox/backlog.hpp"
#include "plexspaces/actor/mailbox/mailbox_state.hpp"
#include "plexspaces/actor/message/envelope.hpp"
#include "plexspaces/actor/scheduler/actor_timers.hpp"
#include "plexspaces/actor/scheduler/shared.hpp"

namespace plexspaces {
class Activation;
}

namespace plexspaces::detail {

struct SuspendedTurn;

/// What only some actors have; allocated when first used.
struct Extras {
  Envelope* system_head = nullptr;  // replies and orders: before user messages, also while the actor waits
  Envelope* system_tail = nullptr;
  SuspendedTurn* open = nullptr;           // the turn that waits
  std::unique_ptr<Activation> activation;  // of an actor with facets
  std::string name;
  std::unique_ptr<ExitLinks> exits;       // of an actor with links or monitors
  std::unique_ptr<MailboxState> mailbox;  // of an actor with a mailbox that is not like all others
  std::unique_ptr<ActorTimers> timers;    // of an actor with timers
  std::unique_ptr<IdleTimer> idle;        // of an actor with an idle timeout
  std::unique_ptr<Backlog> backlog;       // with kBacklog
};

/// Two cache lines for each actor. The memory of a cell is a cell for as long as the runtime lives, so a stale id may
/// be looked up at any time.
///
///     senders of the same worker ---> plain list (head, tail) ---> turns, in order
///     all others ---> inbox (lock-free stack) --drain--> plain list
///
/// The inbox is one word with four meanings: kIdle (empty, nobody looks: who pushes must wake the home worker), null
/// (empty, the actor is going to look), a list (newest first), kClosed (the actor has ended).
///
/// FIFO for each sender: whoever pushes to the plain list first drains the inbox into it. A sender's earlier message
/// can be in the inbox only when the sender or this actor has moved since, and a move hands the earlier push over
/// (release by the giver, acquire by the adopter), so the look at the inbox sees it.
///
/// Memory orders (explore_test runs this code step by step, with loads that see whatever the memory model allows; what
/// one thread must see of another's plain writes it cannot tell):
///  - inbox. A push is a compare-and-swap with release: its envelope is written before. The drain is an exchange with
///    acquire: it reads from the newest push, and by the chain of read-modify-writes, which is a release sequence of
///    each earlier push, it synchronizes with all of them. Going idle is a release too, and a push that sees idle an
///    acquire: its later look at `home` cannot find an earlier one than that of the worker that went idle. kClosed
///    needs no more: who sees it keeps its envelope.
///  - wake_pending. Only read-modify-writes, each acquire and release. Who finds it set leaves the wake-up to the one
///    that has set it; that the clearing reads what the last of those has written makes their pushes visible to the
///    worker that clears, and the clearing comes before its look at the inbox. So no push is left without a look.
///  - home. Stored with release by the worker that gives or adopts. A wake-up that goes to an earlier home is forwarded
///    there, which reads `home` after it has cleared wake_pending; one that meets the cell on its way (kInTransit) is
///    the adopter's look, once wake_home() has looked again.
///  - The fields of the home worker need no atomics: migrate() and adopt_later() publish them by the compare-and-swap
///    on the new home's adopted list, which take_cross_worker() acquires.
///  - generation. A stale message may slip in when the actor ends between the look and the push; what decides is the
///    drain, which compares target_generation with what its own worker has written.
///  - cross_worker, queued, queued_units, mailbox. Counts for the bounds, which hold for their sum: each addition is
///  taken
///    back by whoever takes the envelope, so none is lost. While the home worker takes over what came, up to
///    kBacklogStep messages are in neither count: a mailbox may hold so many more, and never refuses what has room. The
///    number in `mailbox` is published after the entry that it names.
struct alignas(128) ActorCell {
  // The home worker's, but for inbox, generation and home, which others read.
  Actor* actor = nullptr;
  Envelope* head = nullptr;
  Envelope* tail = nullptr;
  Shared<Envelope*> inbox{closed()};
  ActorCell* run_next = nullptr;  // in a run queue, a free list, or on the way to a new home: never in two of them
  std::uint32_t slot = 0;
  Shared<std::uint32_t> generation{1};
  Shared<std::uint16_t> home{kNobody};
  std::uint16_t flags = 0;
  Shared<std::uint32_t> queued{0};  // messages in the plain list; written by the home worker only
  Extras* extras = nullptr;

  Shared<std::uint64_t> cross_worker{0};  // what is in the inbox: kCrossWorkerMessage for each, and its charge
  ActorCell* wake_next = nullptr;         // in some worker's list of wake-ups
  Shared<std::uint32_t> queued_units{0};  // as `queued`: what those messages are charged
  Shared<bool> wake_pending{false};       // in some worker's list of wake-ups, or about to be
  Shared<std::uint8_t> mailbox{0};        // its MailboxKind: Runtime::mailbox_kind()
  Shared<std::uint16_t> class_number{0};  // of `actor`: see class_name()
  alignas(8) std::byte small[40];         // the actor, when it fits; else a pointer to its memory

  static Envelope* idle() { return reinterpret_cast<Envelope*>(1); }
  static Envelope* closed() { return reinterpret_cast<Envelope*>(2); }
  static bool is_list(Envelope* word) { return reinterpret_cast<std::uintptr_t>(word) > 2; }

  static constexpr std::uint16_t kInTransit = 0xfffe;  // given away, not yet adopted
  static constexpr std::uint16_t kNobody = 0xffff;     // free

  enum Flag : std::uint16_t {
    kScheduled = 1,          // in the run queue or running
    kWaiting = 2,            // a turn is open, or the activation loads: user messages stay queued
    kStopping = 4,           // ends after this turn
    kInline = 8,             // the actor is in `small`
    kHeap = 16,              // the actor's memory is not a pool's
    kBacklog = 32,           // Extras::backlog comes before what the inbox holds
    kExiting = 64,           // beside kStopping: ends also when a turn is open
    kStartHook = 128,        // on_start() is still to run
    kStopHook = 2048,        // on_stop() is still to run
    kLastTurn = 4096,        // on_stop() runs
    kHibernating = 1 << 13,  // on_hibernate() as soon as it is idle
    kTellsIdle = 1 << 14,    // IdleTimeout as soon as it is idle, and before that
    kOwnMailbox = 1 << 15,   // each push and take looks at Extras::mailbox
  };
  static constexpr int kBlockShift = 8;  // the class of the actor's block, above the flags
  static constexpr std::uint16_t kBlockMask = 7 << kBlockShift;
  static constexpr std::uint16_t kAtIdle = kHibernating | kTellsIdle;

  ActorId id() const { return {slot, generation.load(std::memory_order_relaxed)}; }
};
#ifndef PLX_EXPLORE
static_assert(sizeof(ActorCell) == 128);
#endif

extern const MessageInfo kSendMessage;

inline ExitLinks* lists_of(const ActorCell& cell) {
  return cell.extras == nullptr ? nullptr : cell.extras->exits.get();
}

// 2^30 messages, and units for 2^40 bytes.
inline constexpr std::uint64_t kCrossWorkerMessage = std::uint64_t{1} << 34;
inline constexpr std::uint64_t kCrossWorkerUnitsMask = kCrossWorkerMessage - 1;

/// What an envelope counts for while it is in an inbox. What the runtime owes an actor is bound elsewhere; a message
/// that waits for room counts.
inline std::uint64_t cross_worker_charge(const Envelope& envelope) {
  if (envelope.is(Envelope::kSystem) && envelope.type != &kSendMessage) return 0;
  return kCrossWorkerMessage + envelope.charge;
}

inline constexpr std::uint32_t kMailboxMessagesMax = 1u << 29;  // no larger limit is kept: the counts must not run over

}  // namespace plexspaces::detail
