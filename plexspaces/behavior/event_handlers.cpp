#include "plexspaces/behavior/event_handlers.hpp"

#include <exception>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/actor/runtime.hpp"

namespace plexspaces::detail {

namespace {

// @returns what `work` has thrown.
template <class F>
std::optional<std::string> thrown_by(F work) {
  try {
    work();
    return std::nullopt;
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

Status no_such_handler(const std::string& id) {
  return fail(Code::kNotFound, fmt::format("the event manager has no handler '{}'", id), "PLX-BEH-0011");
}

}  // namespace

std::size_t EventHandlers::find(const std::string& id) const {
  std::size_t at = 0;
  while (at < entries_.size() && entries_[at].id != id) ++at;
  return at;
}

Status EventHandlers::check_new(const std::string& id) const {
  if (id.empty() || id.size() > kHandlerIdBytesMax)
    return fail(Code::kInvalidArgument, "the id of a handler has 1 to 256 bytes", "PLX-BEH-0010");
  if (find(id) < entries_.size())
    return fail(Code::kAlreadyExists,
                fmt::format("the event manager has a handler '{}': choose another id, or swap", id), "PLX-BEH-0012");
  return {};
}

Status EventHandlers::add(AddHandler& order, Context& context) {
  if (!order.make)
    return fail(Code::kInvalidArgument, "a handler is added by GenEvent::add(): it has a class", "PLX-BEH-0010");
  PLX_TRY_STATUS(check_new(order.id));
  if (entries_.size() >= handlers_max_)
    return fail(Code::kResourceExhausted,
                fmt::format("the event manager has as many handlers as handlers_max allows: {}", handlers_max_),
                "PLX-BEH-0013");
  Entry entry{std::move(order.id), {}, std::move(order.owner), {}};
  Status ready;
  auto thrown = thrown_by([&] {
    entry.made = order.make();
    ready = entry.made.handler->added(context);
  });
  if (thrown)
    return fail(Code::kInternal, fmt::format("the handler '{}' failed to start: {}", entry.id, *thrown),
                "PLX-BEH-0015");
  PLX_TRY_STATUS(ready);
  if (entry.owner.monitor) {
    PLX_TRY(monitor, entry.owner.monitor(context));
    entry.monitor = monitor;
  }
  entries_.push_back(std::move(entry));
  return {};
}

Status EventHandlers::remove(const std::string& id, Context& context) {
  std::size_t at = find(id);
  if (at == entries_.size()) return no_such_handler(id);
  take_out(at, ExitReason::normal(), true, {}, context);
  return {};
}

Status EventHandlers::swap(SwapHandler& order, Context& context) {
  if (!order.make)
    return fail(Code::kInvalidArgument, "handlers are swapped by GenEvent::swap(): the new one has a class",
                "PLX-BEH-0010");
  std::size_t at = find(order.old_id);
  if (at == entries_.size()) return no_such_handler(order.old_id);
  if (entries_[at].made.calls != order.old_class)
    return fail(Code::kFailedPrecondition,
                fmt::format("the handler '{}' is of another class than the swap says", order.old_id), "PLX-BEH-0014");
  if (order.id != order.old_id) PLX_TRY_STATUS(check_new(order.id));

  NewEventHandler made;
  Status ready;
  auto thrown = thrown_by([&] {
    made = order.make(entries_[at].made.handler->handed_over(context));
    ready = made.handler->added(context);
  });
  if (thrown)
    ready = fail(Code::kInternal, fmt::format("the handler '{}' failed to take over: {}", order.id, *thrown),
                 "PLX-BEH-0015");
  if (!ready) {
    // The old one has given its state away.
    take_out(at, ExitReason::error(ready.error().message()), false, {}, context);
    return ready;
  }
  Entry& entry = entries_[at];
  if (entry.owner.tell) entry.owner.tell({std::move(entry.id), ExitReason::normal(), order.id});
  entry.made = std::move(made);
  entry.id = std::move(order.id);
  return {};
}

void EventHandlers::notify(std::size_t index, const void* event, std::string_view name, Context& context) {
  // Handlers come and go in turns of their own, so nothing else changes the list meanwhile.
  for (std::size_t at = 0; at < entries_.size();) {
    EventCall call = entries_[at].made.calls[index];
    bool stays = true;
    std::optional<std::string> thrown;
    if (call != nullptr) thrown = thrown_by([&] { stays = call(*entries_[at].made.handler, event, nullptr, context); });
    if (thrown)
      crashed(at, name, *thrown, context);
    else if (!stays)
      take_out(at, ExitReason::normal(), true, {}, context);
    else
      ++at;
  }
}

Status EventHandlers::call(const std::string& id, std::size_t index, const void* message, std::string_view name,
                           void* answer, Context& context) {
  std::size_t at = find(id);
  if (at == entries_.size()) return no_such_handler(id);
  EventCall call = entries_[at].made.calls[index];
  if (call == nullptr)
    return fail(Code::kUnimplemented, fmt::format("the handler '{}' does not handle {}", id, name), "PLX-BEH-0016");
  auto thrown = thrown_by([&] { call(*entries_[at].made.handler, message, answer, context); });
  if (!thrown) return {};
  crashed(at, name, *thrown, context);
  return fail(Code::kInternal, fmt::format("the handler '{}' threw handling {} and is removed: {}", id, name, *thrown),
              "PLX-BEH-0017");
}

void EventHandlers::crashed(std::size_t at, std::string_view during, const std::string& what, Context& context) {
  context.runtime().log(fmt::format("event handler {} of actor {}@{} is removed, it crashed handling {}: {}",
                                    entries_[at].id, context.self_id().slot, context.runtime().node_name(), during,
                                    what));
  take_out(at, ExitReason::error(what), true, {}, context);
}

void EventHandlers::take_out(std::size_t at, const ExitReason& reason, bool tell_handler, std::string successor,
                             Context& context) {
  Entry entry = std::move(entries_[at]);
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(at));
  if (entry.monitor.id != 0) context.demonitor(entry.monitor);
  if (tell_handler) {
    if (auto thrown = thrown_by([&] { entry.made.handler->removed(reason, context); }))
      context.runtime().log(fmt::format("event handler {} crashed in on_remove(): {}", entry.id, *thrown));
  }
  if (entry.owner.tell) entry.owner.tell({std::move(entry.id), reason, std::move(successor)});
}

void EventHandlers::owner_ended(const Down& down, Context& context) {
  for (std::size_t at = 0; at < entries_.size(); ++at) {
    if (entries_[at].monitor != down.monitor) continue;
    entries_[at].owner = {};
    entries_[at].monitor = {};
    return take_out(at, down.reason, true, {}, context);
  }
}

void EventHandlers::end(const ExitReason& reason, Context& context) {
  while (!entries_.empty()) take_out(entries_.size() - 1, reason, true, {}, context);
}

HandlerIds EventHandlers::ids() const {
  HandlerIds ids;
  for (const Entry& entry : entries_) ids.ids.push_back(entry.id);
  return ids;
}

}  // namespace plexspaces::detail
