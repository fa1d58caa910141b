// The messages of one actor that their receivers have not acknowledged, and when each is sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plexspaces/durable/options.hpp"
#include "plexspaces/durable/records.hpp"
#include "plexspaces/env/random.hpp"

namespace plexspaces::durability {

/// One lane for each receiver, with its own window, its own estimate of the round trip and its own time to send again:
///
///     sequence   4      5      6      7      8      9
///                [ in flight, <= window ]    [ wait ]
///                ^ first unacknowledged      ^ next to send
///
/// Every acknowledgement widens the window by what it covers, up to kWindowMax. When none comes in time, the window
/// closes to one message, which is sent again at times that double, with jitter; so a receiver that is slow or away
/// costs one message at a time and holds up no other receiver. Pure but for the random source. Threads: one at a time.
class Outbox {
 public:
  static constexpr std::size_t kWindowMax = 1'024;  // messages to one receiver that are sent and not acknowledged
  static constexpr std::size_t kWindowFirst = 64;   // before the first acknowledgement

  struct Message {
    std::uint64_t id = 0;  // of its row
    StoredMessage header;
    std::string payload;
    bool committed = false;
    std::uint32_t sent = 0;  // how often, earlier processes included
    TimePoint sent_at{};
  };

  Outbox(const DurableOptions& options, env::Random& random) : options_(options), random_(random) {}

  /// Takes the rows of an actor. Once, first. All lanes with messages are due.
  void load(std::vector<std::pair<ActorKey, StoredPeer>> receivers,
            std::vector<std::pair<std::uint64_t, Value<StoredMessage>>> messages);

  struct Addition {
    const ActorKey* receiver;
    std::size_t bytes;
  };
  /// @error kResourceExhausted: with `additions` the outbox, or the lane of one receiver, would hold more than the
  /// options allow. Names which.
  Status check_room(std::span<const Addition> additions) const;

  /// Adds a message behind all others to `receiver`, and sets its sequence. It waits for its commit.
  const Message& add(const ActorKey& receiver, std::uint64_t id, StoredMessage header, std::string payload);
  /// The commit of a message is done: it may be sent.
  void committed(const ActorKey& receiver, std::uint64_t sequence);
  /// The commit of a message has failed: there is no such message.
  void abandoned(const ActorKey& receiver, std::uint64_t sequence);

  /// `receiver` has committed all messages up to `sequence`. @returns the rows to erase.
  std::vector<std::uint64_t> acknowledged(const ActorKey& receiver, std::uint64_t sequence, TimePoint now);
  /// `receiver` waits for `sequence` and has dropped later ones: they are sent again from there.
  void missed(const ActorKey& receiver, std::uint64_t sequence, TimePoint now);
  /// As missed(), but not before `delay` has passed: the handler has failed.
  void held(const ActorKey& receiver, std::uint64_t sequence, Duration delay, TimePoint now);
  /// `sequence`, just sent, was not taken (a full mailbox): it is sent again after an acknowledgement, or in a while.
  void refused(const ActorKey& receiver, std::uint64_t sequence, TimePoint now);

  /// Takes one message, or none while the window of `receiver` is closed. It counts as sent. Valid until the next call.
  const Message* take_next(const ActorKey& receiver, TimePoint now);
  /// The message that take_next() has given cannot be sent, whoever tries.
  /// @returns it, when all before it are acknowledged; its lane stands still until it is removed. Null: ask again when
  /// they are.
  const Message* unsendable(const ActorKey& receiver, std::uint64_t sequence);
  /// Takes a message out for good. @returns the row to erase. The lane goes on with resume().
  std::uint64_t remove(const ActorKey& receiver, std::uint64_t sequence);
  void resume(const ActorKey& receiver);

  /// Below this nothing is sent to `receiver` again.
  std::uint64_t lowest_unacknowledged(const ActorKey& receiver) const;
  std::uint64_t last_sequence(const ActorKey& receiver) const;

  /// The lanes whose time has come: take_next() has messages of them.
  std::vector<ActorKey> take_due(TimePoint now);
  /// When take_due() is to be called next, or earlier; kNever: when nothing waits.
  TimePoint next_due() const { return earliest_; }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// How long an unacknowledged message to `receiver` waits now, without jitter.
  Duration resend_after(const ActorKey& receiver) const;

 private:
  struct Lane {
    std::uint64_t last_sequence = 0;
    std::map<std::uint64_t, Message> messages;  // by sequence: not acknowledged
    std::size_t bytes = 0;
    std::uint64_t next = 1;     // to send
    std::size_t in_flight = 0;  // messages below `next`
    std::size_t window = kWindowFirst;
    Duration round_trip = Duration::zero();  // smoothed; zero: not measured yet
    Duration deviation = Duration::zero();
    std::uint32_t timeouts = 0;     // in a row
    TimePoint due = kNever;         // to be sent again
    bool held = false;              // nothing is sent before `due`
    bool stopped = false;           // its next message is being removed
    std::size_t active = SIZE_MAX;  // where it stands in active_
  };
  using Entry = std::pair<const ActorKey, Lane>;

  static std::size_t bytes_of(const Message& message);
  Duration timeout_of(const Lane& lane) const;
  void set_due(Lane& lane, TimePoint due);
  void set_due_after_timeout(Lane& lane, TimePoint now);
  void rewind(Lane& lane, std::uint64_t sequence);
  void measure(Lane& lane, Duration round_trip);
  void activate(Entry& entry);
  void deactivate_if_empty(Entry& entry);
  std::map<std::uint64_t, Message>::iterator erase(Lane& lane, std::map<std::uint64_t, Message>::iterator message);

  const DurableOptions& options_;
  env::Random& random_;
  std::unordered_map<ActorKey, Lane> lanes_;
  std::vector<Entry*> active_;  // with messages
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
  TimePoint earliest_ = kNever;
};

}  // namespace plexspaces::durability
