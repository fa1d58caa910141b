#include "plexspaces/actor/message/system_message.hpp"

#include <new>
#include <utility>

namespace plexspaces::detail {

const MessageInfo kStartMessage{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kStopMessage{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kTaskMessage{nullptr, nullptr,
                               [](void* value) { static_cast<ActivationTask*>(value)->~ActivationTask(); }, nullptr};
const MessageInfo kMonitorMessage{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kDemonitorMessage{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kLinkMessage{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kUnlinkMessage{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kExitMessage{nullptr, nullptr, destroyer<ExitSignal>(), nullptr};
const MessageInfo kSendMessage{nullptr, nullptr, destroyer<SendOffer>(), nullptr};
const MessageInfo kTickMessage{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kParentExitMessage{nullptr, nullptr, destroyer<ExitReason>(), nullptr};

Envelope* make_system_message(BlockPool* pool, const MessageInfo& type) {
  Envelope* message = allocate_envelope(pool, 0, Envelope::kSystem);
  message->type = &type;
  return message;
}

Envelope* make_task_message(ActivationTask task) {
  Envelope* message = allocate_envelope(nullptr, sizeof(ActivationTask), Envelope::kSystem);
  message->type = &kTaskMessage;
  ::new (message->payload()) ActivationTask(std::move(task));
  return message;
}

Envelope* make_watch_message(BlockPool* pool, const MessageInfo& type, WatchMessage message) {
  Envelope* envelope = allocate_envelope(pool, sizeof(WatchMessage), Envelope::kSystem);
  envelope->type = &type;
  ::new (envelope->payload()) WatchMessage(message);
  return envelope;
}

Envelope* make_down_message(BlockPool* pool, Down down) {
  return make_envelope(pool, std::move(down), Envelope::kSystem);
}

Envelope* make_exit_message(BlockPool* pool, ExitSignal signal) {
  Envelope* envelope = allocate_envelope(pool, sizeof(ExitSignal), Envelope::kSystem);
  envelope->type = &kExitMessage;
  ::new (envelope->payload()) ExitSignal(std::move(signal));
  return envelope;
}

Envelope* make_parent_exit_message(BlockPool* pool, ExitReason reason) {
  Envelope* message = allocate_envelope(pool, sizeof(ExitReason), 0);
  message->type = &kParentExitMessage;
  ::new (message->payload()) ExitReason(std::move(reason));
  return message;
}

bool is_internal_user_message(const Envelope& envelope) {
  return envelope.type == &kTickMessage || envelope.type == &kParentExitMessage || envelope.type->own;
}

Envelope* make_send_message(BlockPool* pool, SendOffer offer) {
  Envelope* envelope = allocate_envelope(pool, sizeof(SendOffer), Envelope::kSystem | Envelope::kAsk | Envelope::kWide);
  envelope->type = &kSendMessage;
  envelope->charge += offer.message->charge;
  ::new (envelope->payload()) SendOffer(std::move(offer));
  return envelope;
}

bool goes_to_system_lane(const Envelope& envelope) {
  if (!envelope.is(Envelope::kSystem)) return false;
  if (envelope.is(Envelope::kReply)) return true;
  if (envelope.type == &kExitMessage) return const_cast<Envelope&>(envelope).payload_as<ExitSignal>().kill;
  return envelope.type != &kSendMessage && envelope.type != &message_info<Down>();
}

bool is_peer_message(const Envelope& envelope) {
  if (!envelope.is(Envelope::kSystem) || envelope.is(Envelope::kReply)) return false;
  const MessageInfo* type = envelope.type;
  return type == &kMonitorMessage || type == &kDemonitorMessage || type == &kLinkMessage || type == &kUnlinkMessage ||
         type == &kExitMessage || type == &kSendMessage || type == &message_info<Down>();
}

}  // namespace plexspaces::detail
