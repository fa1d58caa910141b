#include "plexspaces/actor/errors.hpp"

#include <string>

namespace plexspaces::detail {

Error gone_error() {
  return Error(Code::kNotFound, "no such actor: it has ended, or the reference is of an earlier life", "PLX-ACT-0005");
}

Error dropped_error() {
  return Error(Code::kUnknown, "the request was dropped while the node stopped; ask again", "PLX-ACT-0001",
               Retry::kSame);
}

Error mailbox_full_error() {
  return Error(Code::kResourceExhausted, "the mailbox is full: send less, or raise mailbox_messages_max",
               "PLX-ACT-0006", Retry::kBackoff);
}

Error no_answer_error() {
  return Error(Code::kDeadlineExceeded, "no answer in time; whether the message was handled is not known",
               "PLX-ACT-0010", Retry::kSame);
}

Error watch_limit_error(const char* limit) {
  return Error(Code::kResourceExhausted, std::string("the actor has as many as ") + limit + " allows", "PLX-ACT-0025");
}

}  // namespace plexspaces::detail
