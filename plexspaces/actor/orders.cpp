#include "plexspaces/actor/orders.hpp"

#include <new>
#include <utility>

namespace plexspaces::detail {

const MessageInfo kStartOrder{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kStopOrder{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kTaskOrder{nullptr, nullptr,
                             [](void* value) { static_cast<ActivationTask*>(value)->~ActivationTask(); }, nullptr};
const MessageInfo kMonitorOrder{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kDemonitorOrder{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kLinkOrder{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kUnlinkOrder{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kExitOrder{nullptr, nullptr, destroyer<ExitSignal>(), nullptr};
const MessageInfo kSendOrder{nullptr, nullptr, destroyer<SendOffer>(), nullptr};
const MessageInfo kHibernateOrder{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kTickOrder{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kParentExitOrder{nullptr, nullptr, destroyer<ExitReason>(), nullptr};

Envelope* make_order(BlockPool* pool, const MessageInfo& type) {
  Envelope* order = allocate_envelope(pool, 0, Envelope::kSystem);
  order->type = &type;
  return order;
}

Envelope* make_task_order(ActivationTask task) {
  Envelope* order = allocate_envelope(nullptr, sizeof(ActivationTask), Envelope::kSystem);
  order->type = &kTaskOrder;
  ::new (order->payload()) ActivationTask(std::move(task));
  return order;
}

Envelope* make_watch_order(BlockPool* pool, const MessageInfo& type, WatchOrder order) {
  Envelope* envelope = allocate_envelope(pool, sizeof(WatchOrder), Envelope::kSystem);
  envelope->type = &type;
  ::new (envelope->payload()) WatchOrder(order);
  return envelope;
}

Envelope* make_down_order(BlockPool* pool, Down down) {
  return make_envelope(pool, std::move(down), Envelope::kSystem);
}

Envelope* make_exit_order(BlockPool* pool, ExitSignal signal) {
  Envelope* envelope = allocate_envelope(pool, sizeof(ExitSignal), Envelope::kSystem);
  envelope->type = &kExitOrder;
  ::new (envelope->payload()) ExitSignal(std::move(signal));
  return envelope;
}

Envelope* make_parent_exit_order(BlockPool* pool, ExitReason reason) {
  Envelope* order = allocate_envelope(pool, sizeof(ExitReason), 0);
  order->type = &kParentExitOrder;
  ::new (order->payload()) ExitReason(std::move(reason));
  return order;
}

bool is_user_order(const Envelope& envelope) {
  return envelope.type == &kTickOrder || envelope.type == &kParentExitOrder || envelope.type->own;
}

Envelope* make_send_order(BlockPool* pool, SendOffer offer) {
  Envelope* envelope = allocate_envelope(pool, sizeof(SendOffer), Envelope::kSystem | Envelope::kAsk | Envelope::kWide);
  envelope->type = &kSendOrder;
  envelope->charge += offer.message->charge;
  ::new (envelope->payload()) SendOffer(std::move(offer));
  return envelope;
}

bool is_peer_order(const Envelope& envelope) {
  if (!envelope.is(Envelope::kSystem) || envelope.is(Envelope::kReply)) return false;
  const MessageInfo* type = envelope.type;
  return type == &kMonitorOrder || type == &kDemonitorOrder || type == &kLinkOrder || type == &kUnlinkOrder ||
         type == &kExitOrder || type == &kSendOrder || type == &message_info<Down>();
}

}  // namespace plexspaces::detail
