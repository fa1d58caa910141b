#include "plexspaces/actor/mailbox/backlog.hpp"

#include <utility>

#include "plexspaces/actor/message/system_message.hpp"

namespace plexspaces::detail {

Envelope* Backlog::turn() {
  for (std::size_t n = 0; newest_ != nullptr; ++n) {
    if (n == kBacklogStep) return nullptr;
    Envelope* next = newest_->next;
    Envelope*& list = goes_to_system_lane(*newest_) ? orders_ : oldest_;
    if (&list == &oldest_ && oldest_ == nullptr) last_ = newest_;
    newest_->next = list;
    list = std::exchange(newest_, next);
  }
  if (oldest_ != nullptr) {
    (ready_ != nullptr ? last_ready_->next : ready_) = std::exchange(oldest_, nullptr);
    last_ready_ = last_;
  }
  return std::exchange(orders_, nullptr);
}

}  // namespace plexspaces::detail
