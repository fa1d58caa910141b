#include "plexspaces/testkit/probe.hpp"

#include <fmt/format.h>

#include "plexspaces/codec/codec.hpp"

namespace plexspaces::testkit {

namespace {

std::string describe(const detail::Received& received) {
  std::string text =
      fmt::format("{} {}", received.type->value->name, to_json(*received.type->value, received.value.get()));
  if (received.sender) text += fmt::format(" from actor {}", received.sender.slot);
  return text;
}

}  // namespace

Status ProbeBase::perform(std::function<void(Context&)> function) {
  state_->todo.push_back(std::move(function));
  static_cast<void>(world_->runtime().send(id_, plexspaces::detail::make_envelope(nullptr, detail::Perform{}, 0)));
  PLX_TRY_STATUS(world_->run_until_idle());
  if (state_->todo.empty()) return {};
  state_->todo.clear();
  return world_->failure(Code::kNotFound, "the probe has ended, or waits", "PLX-TST-0005");
}

Result<detail::Received> ProbeBase::next(const MessageInfo& type, Duration within) {
  auto came = world_->run_until([&] { return !state_->received.empty(); }, within);
  if (!came) return std::unexpected(came.error().with_prefix(fmt::format("no {} came", type.value->name)));
  detail::Received& first = state_->received.front();
  if (first.type != &type)
    return world_->failure(Code::kFailedPrecondition,
                           fmt::format("expected {}, but {} came", type.value->name, describe(first)), "PLX-TST-0003");
  detail::Received received = std::move(first);
  state_->received.pop_front();
  return received;
}

Status ProbeBase::expect_none_within(Duration within) {
  TimePoint end = saturating_add(world_->now(), within);
  while (state_->received.empty() && world_->now() < end) {
    Status came = world_->run_until([&] { return !state_->received.empty(); }, time_left(end, world_->now()));
    if (!came && came.error().domain() != "PLX-TST-0002") return came;
  }
  PLX_TRY_STATUS(state_->received.empty() ? world_->run_until_idle() : Status());
  if (state_->received.empty()) return {};
  return world_->failure(Code::kFailedPrecondition,
                         fmt::format("expected no message, but {} came", describe(state_->received.front())),
                         "PLX-TST-0004");
}

Result<ExitReason> ProbeBase::expect_end_of(ActorId target, Duration within) {
  PLX_TRY(received, next(message_info<Down>(), within));
  const Down& down = *static_cast<const Down*>(received.value.get());
  if (down.actor == target) return down.reason;
  state_->received.push_front(std::move(received));
  return world_->failure(
      Code::kFailedPrecondition,
      fmt::format("expected the end of actor {}, but {} came", target.slot, describe(state_->received.front())),
      "PLX-TST-0003");
}

}  // namespace plexspaces::testkit
