#include "plexspaces/actor/mailbox/mailbox.hpp"

namespace plexspaces {

Priority Priorities::of(const MessageInfo& type, const void* message) const {
  for (const Rule& rule : rules_)
    if (rule.type == &type) return rule.call != nullptr ? rule.call(rule.function, message) : rule.priority;
  return Priority::kNormal;
}

void Priorities::set(Rule rule) {
  for (Rule& known : rules_) {
    if (known.type != rule.type) continue;
    known = rule;
    return;
  }
  rules_.push_back(rule);
}

}  // namespace plexspaces
