#include "plexspaces/actor/orders.hpp"

#include <new>
#include <utility>

namespace plexspaces::detail {

const MessageInfo kStopOrder{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kTaskOrder{nullptr, nullptr,
                             [](void* value) { static_cast<ActivationTask*>(value)->~ActivationTask(); }, nullptr};

Envelope* make_stop_order() {
  Envelope* order = allocate_envelope(nullptr, 0, Envelope::kSystem);
  order->type = &kStopOrder;
  return order;
}

Envelope* make_task_order(ActivationTask task) {
  Envelope* order = allocate_envelope(nullptr, sizeof(ActivationTask), Envelope::kSystem);
  order->type = &kTaskOrder;
  ::new (order->payload()) ActivationTask(std::move(task));
  return order;
}

}  // namespace plexspaces::detail
