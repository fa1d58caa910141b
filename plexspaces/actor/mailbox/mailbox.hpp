// What a mailbox may hold, what it does when it is full, and which messages go first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "plexspaces/actor/message/message.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces {

/// What becomes of a message for a full mailbox. An asker learns in every case by an error (kResourceExhausted), and
/// whatever is not taken is a counted dead letter.
///
///               who sends learns             the dead letter                who waits in Context::send(),
///               ActorRef::send()
///  kReject      by an error                  the new message, mailbox_full  gets room in its turn
///  kBlock       by an error: use send()      the new message, mailbox_full  gets room in its turn
///  kDropNewest  nothing                      the new message, dropped_newest  gets room in its turn
///  kDropOldest  nothing                      the oldest of the lowest        always has room
///                                            priority, dropped_oldest
enum class Overflow : std::uint8_t {
  kReject,
  kBlock,
  kDropNewest,
  kDropOldest,
};

/// Which of the waiting messages an actor handles next. Those of one sender and one level stay in order; between levels
/// they do not. No level starves: a message at the front of its level waits for at most kHigherInARowMax messages of
/// higher levels.
enum class Priority : std::uint8_t {
  kHigh,
  kNormal,
  kLow,
};
inline constexpr std::size_t kPriorities = 3;
inline constexpr std::size_t kHigherInARowMax = 16;  // messages
/// Messages of Context::continue_with() that wait at one actor, beside as many as its stash may hold.
inline constexpr std::size_t kContinuationsMax = 1'000;

/// Who decides the level of a message: its type, or a function of it; kNormal without a rule. The later rule for a type
/// counts.
///
///     Priorities().high<Cancel>().low<Report, Audit>().by<Order>([](const Order& order) { ... return Priority::kHigh;
///     })
///
/// What the runtime makes (Down, Exited) has a level as any other message.
class Priorities {
 public:
  template <class... Ms>
  Priorities& high() {
    (set({&message_info<Ms>(), Priority::kHigh, nullptr, nullptr}), ...);
    return *this;
  }
  template <class... Ms>
  Priorities& low() {
    (set({&message_info<Ms>(), Priority::kLow, nullptr, nullptr}), ...);
    return *this;
  }
  /// `function` holds nothing: a lambda without captures. It runs each time that the message is queued.
  template <class M>
  Priorities& by(Priority (*function)(const M&)) {
    set({&message_info<M>(), Priority::kNormal, reinterpret_cast<void (*)()>(function),
         [](void (*erased)(), const void* message) {
           return reinterpret_cast<Priority (*)(const M&)>(erased)(*static_cast<const M*>(message));
         }});
    return *this;
  }

  bool empty() const { return rules_.empty(); }
  /// The level of `message`, which is of the type.
  Priority of(const MessageInfo& type, const void* message) const;

  friend bool operator==(const Priorities&, const Priorities&) = default;

 private:
  struct Rule {
    const MessageInfo* type;
    Priority priority;
    void (*function)();  // of the message, when `call` is set
    Priority (*call)(void (*function)(), const void* message);

    friend bool operator==(const Rule&, const Rule&) = default;
  };

  void set(Rule rule);

  std::vector<Rule> rules_;
};

/// The mailbox of one actor. A limit of 0 is that of the runtime (RuntimeOptions).
///
/// The limits hold for all senders together, whatever worker or thread they are on: nothing that has room is refused,
/// and while the actor's worker takes over what others sent, up to 1,024 messages more may come in. With kDropOldest
/// those of other workers are dropped only from twice the limits on, so such a mailbox may hold three times its limits
/// while its actor is in a turn. Down, Exited and timers are not held to them: links_max, monitors_max and timers_max
/// bound those.
struct MailboxOptions {
  std::uint32_t messages_max = 0;
  std::uint64_t bytes_max = 0;
  Overflow overflow = Overflow::kReject;
  Priorities priority{};

  friend bool operator==(const MailboxOptions&, const MailboxOptions&) = default;
};

/// Different MailboxOptions in use in one runtime, over its life.
inline constexpr std::size_t kMailboxKindsMax = 255;

/// What an actor is started with.
struct SpawnOptions {
  std::string name{};  // unique among the live actors; empty: none
  MailboxOptions mailbox{};
};

/// How long a message may wait for its turn; then it is a dead letter (expired). At most as exact as the time of a
/// batch (RuntimeOptions::batch_time_max).
struct Ttl {
  Duration within;
};

}  // namespace plexspaces
