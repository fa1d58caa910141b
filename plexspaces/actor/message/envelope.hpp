// One message on its way.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "plexspaces/actor/actor_id.hpp"
#include "plexspaces/actor/message/block_pool.hpp"
#include "plexspaces/actor/message/message.hpp"
#include "plexspaces/actor/request_context.hpp"
#include "plexspaces/base/actor_key.hpp"
#include "plexspaces/base/error.hpp"

namespace plexspaces {

class Activation;
class ReplySink;

/// Which input of a durable actor this is, so that a second delivery is known for one.
struct InputId {
  enum class Kind : std::uint8_t {
    kNone,    // never repeated by its sender: every delivery is a new input
    kClient,  // a client's idempotency key
    kActor,   // message `sequence` of incarnation `incarnation` of the actor `sender` to this receiver
  };
  Kind kind = Kind::kNone;
  std::string client_key;
  ActorKey sender;
  std::uint64_t incarnation = 0;
  std::uint64_t sequence = 0;
  std::uint64_t lowest_unacknowledged = 0;  // of the sender to this receiver: below it nothing is sent again
};

/// What a message to an actor named by key carries beside its payload.
struct Delivery {
  ActorKey target;
  InputId id;
  bool erase = false;             // the input is the deletion of the actor; there is no payload
  std::uint64_t correlation = 0;  // of an ask from an actor
};

namespace detail {

/// A block of 64, 128, ... bytes: 40 or 48 bytes of header, then the payload in place.
///
///      0 next | 8 type | 16 sender | 24 context | 32 generation, flags, charge | 40 payload (24 B in the smallest
///      block)
///                                                                              | 40 extension | 48 payload (16 B)
///
/// The extension is there for asks (correlation), for messages by key (Delivery) and for payloads aligned to 16.
struct alignas(64) Envelope {
  enum Flag : std::uint32_t {
    kAsk = 1,       // somebody waits for an answer: the extension holds the correlation
    kReply = 2,     // an answer: the payload is type->reply, or an Error
    kFailed = 4,    // of a reply: the payload is an Error
    kSink = 8,      // the answer goes to a ReplySink that the envelope owns, not to an actor
    kWide = 16,     // the payload begins at 48
    kHeap = 32,     // not from a pool
    kKeyed = 64,    // the extension owns a Delivery
    kSystem = 128,  // handled before user messages, also while the actor waits
  };

  Envelope* next;
  const MessageInfo* type;
  std::uint64_t sender;  // ActorId, or ReplySink* when kSink
  CallContext* context;
  std::uint32_t target_generation;
  std::uint32_t flags : 8;
  std::uint32_t block : 3;    // its class in the pool
  std::uint32_t charge : 21;  // what it counts for in a mailbox, in units of kChargeUnit
  std::uint64_t extension;

  static constexpr std::size_t kNarrowPayload = 40;
  static constexpr std::size_t kWidePayload = 48;
  static constexpr std::size_t kChargeUnit = 64;  // bytes: a message of 100 counts for two
  static constexpr std::uint32_t kChargeMax = (1u << 21) - 1;

  /// Units for `bytes`, rounded up, at most kChargeMax: 128 MiB, over which no message_bytes_max goes.
  static constexpr std::uint32_t units(std::size_t bytes) {
    std::size_t units = (bytes + kChargeUnit - 1) / kChargeUnit;
    return static_cast<std::uint32_t>(units < kChargeMax ? units : kChargeMax) & kChargeMax;
  }
  std::size_t bytes() const { return charge * kChargeUnit; }

  bool is(std::uint32_t flag) const { return (flags & flag) != 0; }
  void* payload() { return reinterpret_cast<std::byte*>(this) + (is(kWide) ? kWidePayload : kNarrowPayload); }
  template <class T>
  T& payload_as() {
    return *std::launder(reinterpret_cast<T*>(payload()));
  }

  ActorId sender_id() const { return std::bit_cast<ActorId>(sender); }
  void set_sender(ActorId id) { sender = std::bit_cast<std::uint64_t>(id); }
  ReplySink* sink() const { return reinterpret_cast<ReplySink*>(sender); }
  /// Makes it an ask, whose answer goes to `sink`. Of a message without a sender.
  void ask_for(std::unique_ptr<ReplySink> sink);
  Delivery* delivery() const { return reinterpret_cast<Delivery*>(extension); }
  std::uint64_t correlation() const { return is(kKeyed) ? delivery()->correlation : extension; }
};
static_assert(sizeof(Envelope) == 64 && offsetof(Envelope, extension) == Envelope::kNarrowPayload);

/// Raw envelope for `payload_bytes` at the narrow or wide offset; header fields other than flags, block and charge are
/// cleared. `pool` null: from the heap.
inline Envelope* allocate_envelope(BlockPool* pool, std::size_t payload_bytes, std::uint32_t flags) {
  std::size_t bytes =
      payload_bytes + ((flags & Envelope::kWide) != 0 ? Envelope::kWidePayload : Envelope::kNarrowPayload);
  std::size_t block = block_class(bytes);
  void* memory;
  if (pool != nullptr && block < kBlockClasses) [[likely]] {
    memory = pool->allocate(block);
    bytes = kBlockBytesMin << block;
  } else {
    bytes = bytes < sizeof(Envelope) ? sizeof(Envelope) : bytes;
    memory = ::operator new(bytes, std::align_val_t(64));
    flags |= Envelope::kHeap;
    block = 0;
  }
  auto* envelope = static_cast<Envelope*>(memory);
  envelope->next = nullptr;
  envelope->sender = 0;
  envelope->context = nullptr;
  envelope->flags = flags;
  envelope->block = static_cast<std::uint32_t>(block);
  envelope->charge = Envelope::units(bytes);
  return envelope;
}

inline void free_envelope_memory(BlockPool* pool, Envelope* envelope) {
  if (pool != nullptr && !envelope->is(Envelope::kHeap)) [[likely]]
    pool->free(envelope, envelope->block);
  else if (envelope->is(Envelope::kHeap) || !kPoolBlocks)
    ::operator delete(envelope, std::align_val_t(64));
  // else: a pool's block freed outside every worker, while the runtime is torn down; its slab goes with the depot
}

/// A reply to whoever has sent a request of `type`, before its payload. `flags`: kReply, or kReply and kFailed; kSink
/// when the sender is one. For a sink the pool is null: it may take the reply to another thread, where no pool is.
inline Envelope* allocate_reply(BlockPool* pool, const MessageInfo* type, std::uint64_t sender,
                                std::uint64_t correlation, std::size_t bytes, std::uint32_t flags) {
  Envelope* reply = allocate_envelope(pool, bytes, flags | Envelope::kReply | Envelope::kWide | Envelope::kSystem);
  reply->type = type;
  reply->extension = correlation;
  reply->sender = sender;
  return reply;
}

/// Gives the reply to the sink that it is addressed to. Takes it.
void deliver_to_sink(Envelope* reply);

/// Counts what the payload holds outside of the envelope.
void charge_payload(Envelope& envelope);

/// Whether an `M` can be larger than a few blocks; of others the size is never looked at.
template <class M>
inline constexpr bool kMayBeLarge = [] {
  if constexpr (std::is_void_v<M>)
    return false;
  else
    return !std::is_trivially_destructible_v<M> || sizeof(M) > kBlockBytesMax;
}();

/// An envelope with `message` inside.
template <class M>
Envelope* make_envelope(BlockPool* pool, M&& message, std::uint32_t flags) {
  using Message = std::remove_cvref_t<M>;
  static_assert(kIsMessage<Message>, "only messages are sent: a struct with PLX_MESSAGE in its namespace");
  if constexpr (kIsMessage<Message>) {
    if constexpr (alignof(Message) > 8) flags |= Envelope::kWide;
    static_assert(alignof(Message) <= 16, "a message aligned to more than 16 bytes does not fit an envelope");
    Envelope* envelope = allocate_envelope(pool, sizeof(Message), flags);
    envelope->type = &message_info<Message>();
    ::new (envelope->payload()) Message(std::forward<M>(message));
    if constexpr (!std::is_trivially_destructible_v<Message>) charge_payload(*envelope);
    return envelope;
  } else {
    return nullptr;
  }
}

/// An envelope for an actor by key, with `delivery` and a default-constructed payload of the type: charge_payload()
/// when it is filled.
Envelope* make_keyed_envelope(BlockPool* pool, const MessageInfo& type, Delivery delivery);

/// On whose behalf the message was sent; null: nobody's in particular.
inline const RequestContextPtr* request_of(const Envelope& envelope) {
  return envelope.context != nullptr && envelope.context->request != nullptr ? &envelope.context->request : nullptr;
}

CallContext* new_context(BlockPool* pool);
CallContext* copy_context(BlockPool* pool, const CallContext* context);
void drop_context(BlockPool* pool, CallContext* context);

/// Answers the sink that waits for `request`, if one does. On any thread.
void answer_external(Envelope* request, Error error);

/// Destroys the payload, gives an unanswered sink its error, and frees the memory.
void destroy_envelope(BlockPool* pool, Envelope* envelope);

inline void release_envelope(BlockPool* pool, Envelope* envelope) {
  constexpr std::uint32_t kRare = Envelope::kReply | Envelope::kSink | Envelope::kKeyed;
  if (envelope->is(kRare) || envelope->context != nullptr) [[unlikely]]
    return destroy_envelope(pool, envelope);
  if (envelope->type->destroy != nullptr) envelope->type->destroy(envelope->payload());
  free_envelope_memory(pool, envelope);
}

struct EnvelopeDeleter {
  BlockPool* pool = nullptr;
  void operator()(Envelope* envelope) const { destroy_envelope(pool, envelope); }
};
using EnvelopePtr = std::unique_ptr<Envelope, EnvelopeDeleter>;

}  // namespace detail

/// The answer to an ask: a value of the message's reply type, or an error. Owns it. Movable.
class Answer {
 public:
  explicit Answer(detail::EnvelopePtr envelope) : envelope_(std::move(envelope)) {}

  /// The error, or null when there is a value.
  const Error* error() const {
    return envelope_->is(detail::Envelope::kFailed) ? &envelope_->payload_as<Error>() : nullptr;
  }
  /// The type of the value; void for a message without reply.
  const ValueType& type() const { return *envelope_->type->reply; }
  const void* value() const { return envelope_->payload(); }

  /// Gives up the envelope.
  detail::EnvelopePtr release() && { return std::move(envelope_); }
  /// @returns the value moved out, or the error. `R` must be the reply type of the message that was sent.
  template <class R>
  Result<R> take() {
    if (error() != nullptr) return std::unexpected(*error());
    if constexpr (std::is_void_v<R>)
      return {};
    else
      return Result<R>(std::move(envelope_->payload_as<R>()));
  }

 private:
  detail::EnvelopePtr envelope_;
};

/// Where the answer to an ask from outside goes.
class ReplySink {
 public:
  virtual ~ReplySink() = default;
  /// Called once, then the sink is deleted. On the thread that answered: hand over, do not wait.
  virtual void deliver(Answer answer) = 0;
};

/// A sink that calls `function`.
std::unique_ptr<ReplySink> make_sink(std::move_only_function<void(Answer)> function);

}  // namespace plexspaces
