// Links, monitors and exit signals.
//
//     watcher --kMonitorMessage--> target        the target keeps the watcher in `watchers`, the watcher the target in
//             <--Down------------ (ends)       `monitors`: a Down counts only while it is there, so one is enough
//
// Orders go through the system lane, in order for each pair of actors. An order for an actor that has ended comes back
// as noproc, from wherever it is found: when it is sent, in the inbox or in the queue.
#include <string>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/actor/errors.hpp"
#include "plexspaces/actor/lifecycle/cell_table.hpp"
#include "plexspaces/actor/message/system_message.hpp"
#include "plexspaces/actor/recorder.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/scheduler/worker.hpp"

namespace plexspaces::detail {

namespace {

ExitReason cut(ExitReason reason) {
  if (reason.text.size() > kExitTextBytesMax) reason.text = ExitReason::error(reason.text).text;
  return reason;
}

bool has_facets(const ActorCell& cell) { return cell.extras != nullptr && cell.extras->activation != nullptr; }

}  // namespace

ExitLinks& Worker::exit_lists(ActorCell& cell) {
  Extras& extras = Worker::extras(cell);
  if (extras.exits == nullptr) extras.exits = std::make_unique<ExitLinks>();
  return *extras.exits;
}

Status Worker::must_handle(const ActorCell& cell, const MessageInfo& message) {
  for (const Handler& handler : cell.actor->handlers())
    if (handler.message == &message) return {};
  return fail(Code::kFailedPrecondition,
              fmt::format("the actor does not handle {}: add it to its messages", message.value->name), "PLX-ACT-0024");
}

Status Worker::check_reach(const ActorCell& cell, NodeId node) const {
  if (has_facets(cell))
    return fail(Code::kUnimplemented, "an actor that is addressed by key has no links and monitors, and sends no exits",
                "PLX-ACT-0026");
  if (node != runtime_.node_id() && Runtime::of(node) != nullptr)
    return fail(Code::kUnimplemented, "links, monitors and exits reach actors of the same runtime only",
                "PLX-ACT-0027");
  return {};
}

// ---- what a turn does ----------------------------------------------------------------------------------------------

Result<MonitorRef> Worker::monitor(ActorCell& cell, NodeId node, ActorId target) {
  PLX_TRY_STATUS(check_reach(cell, node));
  PLX_TRY_STATUS(must_handle(cell, message_info<Down>()));
  ExitLinks& lists = exit_lists(cell);
  if (lists.monitors.size() >= options_.monitors_max) return std::unexpected(watch_limit_error("monitors_max"));
  MonitorRef monitor{++last_correlation_};
  bool here = node == runtime_.node_id();
  if (here && target == cell.id()) return monitor;
  begin_watch(cell, monitor.id, here, target);
  return monitor;
}

// `here`: the target is of this runtime; else it has ended with its own.
void Worker::begin_watch(ActorCell& cell, std::uint64_t id, bool here, ActorId target) {
  exit_lists(cell).monitors.emplace(id, target);
  Envelope* message = make_watch_message(&pool_, kMonitorMessage, {id, cell.id(), target});
  if (here)
    signal(target, message);
  else
    refuse_system_message(message);
}

bool Worker::begin_wait_for_end(Wait& wait, ActorCell& cell, NodeId node, ActorId target, Duration within) {
  auto refuse = [&](Error error) {
    wait.error = std::move(error);
    return false;
  };
  if (Status reach = check_reach(cell, node); !reach) return refuse(std::move(reach).error());
  if (exit_lists(cell).monitors.size() >= options_.monitors_max) return refuse(watch_limit_error("monitors_max"));
  wait.correlation = ++last_correlation_;
  begin_wait(wait, cell, within, &Worker::wait_timed_out);
  bool here = node == runtime_.node_id();
  if (!here || target != cell.id()) begin_watch(cell, wait.correlation, here, target);
  return true;
}

void Worker::demonitor(ActorCell& cell, MonitorRef monitor) {
  ExitLinks* lists = lists_of(cell);
  if (lists == nullptr) return;
  if (auto found = lists->monitors.find(monitor.id); found != lists->monitors.end()) {
    ActorId target = found->second;
    lists->monitors.erase(found);  // a Down that is under way is dropped when it arrives
    signal(target, make_watch_message(&pool_, kDemonitorMessage, {monitor.id, cell.id(), target}));
    return;
  }
#ifdef PLX_BUG_DEMONITOR_WITHOUT_FLUSH
  return;
#endif
  Envelope* before = nullptr;
  for (Envelope* envelope = cell.head; envelope != nullptr;) {
    Envelope* next = envelope->next;
    if (envelope->type != &message_info<Down>() || envelope->payload_as<Down>().monitor != monitor) {
      before = std::exchange(envelope, next);
      continue;
    }
    remove_queued(cell, before, envelope);
    destroy_envelope(&pool_, std::exchange(envelope, next));
  }
  // Who waits for room is let in by takes from the mailbox: there may be none to come.
  let_in(cell);
}

Status Worker::link(ActorCell& cell, NodeId node, ActorId to) {
  PLX_TRY_STATUS(check_reach(cell, node));
  if (node != runtime_.node_id()) {
    // It has ended with its runtime. Its id may be that of an actor here, so no link is kept for it.
    signal(cell.id(), make_exit_message(&pool_, {.from = to, .reason = ExitReason::noproc(), .refused = true}));
    return {};
  }
  if (to == cell.id()) return {};
  ExitLinks& lists = exit_lists(cell);
  if (lists.linked(to)) return {};
  if (lists.links.size() >= options_.links_max) return std::unexpected(watch_limit_error("links_max"));
  std::uint64_t id = ++last_correlation_;
  lists.links.emplace(to, id);
  signal(to, make_watch_message(&pool_, kLinkMessage, {id, cell.id(), to}));
  return {};
}

Status Worker::adopt_child(ActorCell& parent, ActorCell& child) {
  ExitLinks& lists = exit_lists(parent);
  if (lists.links.size() >= options_.links_max) return std::unexpected(watch_limit_error("links_max"));
  std::uint64_t id = ++last_correlation_;
  lists.links.emplace(child.id(), id);
  ExitLinks& below = exit_lists(child);
  below.links.emplace(parent.id(), id);
  below.parent = parent.id();
  if (recorder_ != nullptr) recorder_->adopted(parent.id(), child.id(), id);
  return {};
}

void Worker::disown_child(ActorCell& child) {
  ExitLinks* below = lists_of(child);
  if (below == nullptr || !below->parent) return;
  auto forget = [](ExitLinks& lists, ActorId other) {
    lists.links.erase(lists.links.lower_bound({other, 0}), lists.links.upper_bound({other, ~std::uint64_t{0}}));
  };
  forget(*below, below->parent);
  forget(*lists_of(*table_.find(below->parent.slot)), child.id());
}

void Worker::unlink(ActorCell& cell, NodeId node, ActorId to) {
  ExitLinks* lists = lists_of(cell);
  if (lists == nullptr || node != runtime_.node_id()) return;
  for (auto link = lists->links.lower_bound({to, 0}); link != lists->links.end() && link->first == to;) {
    signal(to, make_watch_message(&pool_, kUnlinkMessage, {link->second, cell.id(), to}));
    link = lists->links.erase(link);
  }
}

Status Worker::trap_exits(ActorCell& cell, bool on) {
  PLX_TRY_STATUS(check_reach(cell, runtime_.node_id()));
  if (on) PLX_TRY_STATUS(must_handle(cell, message_info<Exited>()));
  exit_lists(cell).trap_exits = on;
  return {};
}

void Worker::exit(ActorCell& cell, ExitReason reason) {
  set_reason(cell, cut(std::move(reason)));
  ask_to_stop(cell);
}

Status Worker::signal_exit(ActorCell& cell, NodeId node, ActorId to, ExitReason reason, bool kill) {
  PLX_TRY_STATUS(check_reach(cell, node));
  if (node != runtime_.node_id()) return {};  // it has ended with its runtime
  signal(to, make_exit_message(&pool_, {.from = cell.id(), .reason = cut(std::move(reason)), .kill = kill}));
  return {};
}

// ---- reasons -------------------------------------------------------------------------------------------------------

// The reason with which the actor is going to end, unless it has one. Lists are made for it only when the actor can
// still link: in its turn.
void Worker::set_reason(ActorCell& cell, ExitReason reason) {
  if ((cell.flags & ActorCell::kStopping) != 0) return;
  bool in_turn = running_ == &cell || (cell.extras != nullptr && cell.extras->open != nullptr);
  bool told = in_turn || (cell.flags & ActorCell::kStopHook) != 0;
  if (lists_of(cell) != nullptr || (told && reason.kind != ExitKind::kNormal))
    exit_lists(cell).reason = std::move(reason);
}

// Ends the actor now, also when a turn is open. A kill leaves it no last turn; the reason alone does not tell: an actor
// that was linked to one that was killed ends with killed too.
void Worker::end_with(ActorCell& cell, ExitReason reason, bool kill) {
  if ((cell.flags & ActorCell::kLastTurn) != 0 && !kill) return;
  if (lists_of(cell) != nullptr || (cell.flags & ActorCell::kStopHook) != 0)
    exit_lists(cell).reason = std::move(reason);
  if (kill) cell.flags &= static_cast<std::uint16_t>(~ActorCell::kStopHook);
  cell.flags |= ActorCell::kExiting;
  stop_cell(cell);
}

// ---- orders --------------------------------------------------------------------------------------------------------

void Worker::signal(ActorId to, Envelope* message) {
  if (recorder_ != nullptr) return recorder_->signalled(to, EnvelopePtr(message, {&pool_}));
  if (!to || table_.find(to.slot) == nullptr || send(to, message) != Sent::kOk) refuse_system_message(message);
}

// The order came to an actor that has ended: whoever waits for what follows from it learns that.
void Worker::refuse_system_message(Envelope* message) {
  if (message->type == &kSendMessage)
    return refuse_offer(message, DeadLetterReason::kNoActor, message->payload_as<SendOffer>().to, gone_error());
#ifdef PLX_BUG_MONITOR_LOST_AT_END
  return destroy_envelope(&pool_, message);
#endif
  if (message->type == &kMonitorMessage) {
    auto& watch = message->payload_as<WatchMessage>();
    signal(watch.from, make_down_message(&pool_, {{watch.id}, watch.to, ExitReason::noproc()}));
  } else if (message->type == &kLinkMessage) {
    auto& watch = message->payload_as<WatchMessage>();
    signal(watch.from, make_exit_message(&pool_, {.from = watch.to, .reason = ExitReason::noproc(), .link = watch.id}));
  }
  destroy_envelope(&pool_, message);
}

// What becomes a message takes its place among the messages when it arrives, after those that its sender had sent.
// What follows from a monitor or link is not subject to the mailbox's bound: those have their own. @returns whether it
// took the order.
bool Worker::take_at_arrival(ActorCell& cell, Envelope* message) {
  if (message->type == &kSendMessage) {
    take_offer(cell, message);
    return true;
  }
  ExitLinks* lists = lists_of(cell);
  if (message->type == &message_info<Down>()) {
    if (lists == nullptr || lists->monitors.erase(message->payload_as<Down>().monitor.id) == 0) {
      destroy_envelope(&pool_, message);
      return true;
    }
    if (link_to_wait(cell, message->payload_as<Down>().monitor.id) != nullptr) return false;
    message->flags &= ~Envelope::kSystem;
    append_any(cell, message);
    return true;
  }
  if (message->type != &kExitMessage || lists == nullptr || !lists->trap_exits) return false;
  auto& signal = message->payload_as<ExitSignal>();
  if (signal.kill) return false;
#ifndef PLX_BUG_EXIT_BEFORE_ITS_LINK
  // The link itself may still wait in the system lane, where the signal keeps behind it.
  if (signal.link != 0 && !lists->links.contains({signal.from, signal.link})) return false;
#endif
  take_exit(cell, signal);
  destroy_envelope(&pool_, message);
  return true;
}

void Worker::exit_turn(ActorCell& cell, Envelope* message) {
  if (message->type == &kExitMessage) return take_exit(cell, message->payload_as<ExitSignal>());
  auto& watch = message->payload_as<WatchMessage>();
  if (message->type == &kMonitorMessage) {
    ExitLinks& lists = exit_lists(cell);
    if (lists.watchers.size() < options_.monitors_max) {
      lists.watchers.emplace(watch.id, watch.from);
      return;
    }
    ExitReason reason = ExitReason::error(watch_limit_error("monitors_max").message());
    signal(watch.from, make_down_message(&pool_, {{watch.id}, cell.id(), std::move(reason)}));
  } else if (message->type == &kLinkMessage) {
    if (!has_facets(cell) && exit_lists(cell).links.size() < options_.links_max) {
      exit_lists(cell).links.emplace(watch.from, watch.id);
      return;
    }
    ExitReason reason = ExitReason::error(has_facets(cell) ? "an actor that is addressed by key has no links"
                                                           : watch_limit_error("links_max").message());
    signal(
        watch.from,
        make_exit_message(&pool_, {.from = cell.id(), .reason = std::move(reason), .link = watch.id, .refused = true}));
  } else if (ExitLinks* lists = lists_of(cell)) {
    if (message->type == &kDemonitorMessage)
      lists->watchers.erase(watch.id);
    else
#ifdef PLX_BUG_UNLINK_WITHOUT_ID
      lists->links.erase(lists->links.lower_bound({watch.from, 0}),
                         lists->links.upper_bound({watch.from, ~std::uint64_t{0}}));
#else
      lists->links.erase({watch.from, watch.id});
#endif
  }
}

void Worker::take_exit(ActorCell& cell, ExitSignal& signal) {
  if (signal.link != 0 && !forget_link(cell, signal)) return;
  const ExitLinks* lists = lists_of(cell);
  if (signal.kill) {
    if (!has_facets(cell)) return end_with(cell, std::move(signal.reason), true);
    set_reason(cell, std::move(signal.reason));
    return ask_to_stop(cell);
  }
  if (lists != nullptr && lists->trap_exits) {
    if (lists->parent == signal.from && signal.from)
      return append_any(cell, make_parent_exit_message(&pool_, std::move(signal.reason)));
    Envelope* message = make_envelope(&pool_, Exited{signal.from, std::move(signal.reason)}, 0);
    // Links have their own bound; who sends signals without one is held to that of messages.
    bool linked = signal.link != 0 || signal.refused;
    if (!linked && !fits(cell, *message))
      return dead_letter(runtime_, this, message, DeadLetterReason::kMailboxFull, cell.id());
    return append_any(cell, message);
  }
  if (signal.reason.kind == ExitKind::kNormal && signal.from != cell.id()) return;
  if (!has_facets(cell)) return end_with(cell, std::move(signal.reason), false);
  set_reason(cell, std::move(signal.reason));
  ask_to_stop(cell);
}

// @returns whether the signal counts: its link stands. All links with an actor end with it.
bool Worker::forget_link(ActorCell& cell, const ExitSignal& signal) {
  ExitLinks* lists = lists_of(cell);
  if (lists == nullptr || lists->links.erase({signal.from, signal.link}) == 0) return false;
  if (signal.refused) return !lists->linked(signal.from);
  lists->links.erase(lists->links.lower_bound({signal.from, 0}),
                     lists->links.upper_bound({signal.from, ~std::uint64_t{0}}));
  return true;
}

void Worker::announce_end(ActorId id, const ExitLinks& lists) {
  for (const auto& [monitor, watcher] : lists.watchers)
    signal(watcher, make_down_message(&pool_, {{monitor}, id, lists.reason}));
  for (const auto& [other, link] : lists.links)
    signal(other, make_exit_message(&pool_, {.from = id, .reason = lists.reason, .link = link}));
  for (const auto& [monitor, target] : lists.monitors)
    signal(target, make_watch_message(&pool_, kDemonitorMessage, {monitor, id, target}));
}

}  // namespace plexspaces::detail
