#include "plexspaces/testkit/harness.hpp"

#include <algorithm>
#include <cstddef>
#include <new>
#include <variant>

#include <fmt/format.h>

#include "plexspaces/actor/errors.hpp"
#include "plexspaces/actor/message/system_message.hpp"
#include "plexspaces/actor/recorder.hpp"
#include "plexspaces/actor/scheduler/timer_wheel.hpp"

namespace plexspaces::testkit {

using plexspaces::detail::Envelope;
using plexspaces::detail::EnvelopePtr;

namespace {

constexpr ActorId kTest{~std::uint32_t{0}, ~std::uint32_t{0}};  // who watches the actor under test
constexpr Duration kAskTime = 24h * 365;                        // the test is patient

// In the place of all others.
class StandIn final : public Actor {
 public:
  void receive(Context& context) override { context.unhandled(); }
  std::span<const Handler> handlers() const override { return {}; }
};

// A copy that owns its value; null when the type cannot be copied.
std::shared_ptr<const void> copy_of(const ValueType& type, const void* value) {
  if (type.copy_construct == nullptr) return nullptr;
  auto align = std::align_val_t(std::max(type.align, alignof(std::max_align_t)));
  void* memory = ::operator new(std::max<std::size_t>(1, type.size), align);
  try {
    type.copy_construct(memory, value);
  } catch (...) {
    ::operator delete(memory, align);
    throw;
  }
  return std::shared_ptr<const void>(memory, [&type, align](void* copy) {
    if (type.destroy != nullptr) type.destroy(copy);
    ::operator delete(copy, align);
  });
}

}  // namespace

class HarnessBase::Recording final : public plexspaces::detail::Recorder {
 public:
  explicit Recording(HarnessBase& harness) : harness_(harness) {}

  void told(std::variant<ActorId, ActorKey> to, EnvelopePtr message) override {
    TurnEffect effect{.kind = TurnEffect::Kind::kTell, .by = message->sender_id()};
    if (auto* id = std::get_if<ActorId>(&to)) {
      effect.to = *id;
    } else {
      effect.by = harness_.id_;
      effect.key = std::get<ActorKey>(to);
      effect.to_name = effect.key->to_string();
    }
    add_message(effect, *message);
    add(std::move(effect));
  }

  void asked(ActorId to, EnvelopePtr message) override {
    TurnEffect effect{.kind = TurnEffect::Kind::kAsk, .by = message->sender_id(), .to = to};
    effect.asker = {message->type, harness_.world_->runtime().node_id(), false, message->sender, message->extension};
    add_message(effect, *message);
    harness_.new_asks_.push_back(effect);
    add(std::move(effect));
  }

  void signalled(ActorId to, EnvelopePtr order) override {
    using namespace plexspaces::detail;
    if (order->type == &message_info<Down>()) return down(to, order->payload_as<Down>());
    if (order->type == &kExitMessage) {
      auto& signal = order->payload_as<ExitSignal>();
      if (signal.refused) return;
      if (signal.from != harness_.id_) harness_.links_.erase(signal.link);
      add({.kind = signal.kill ? TurnEffect::Kind::kKill : TurnEffect::Kind::kExit,
           .by = signal.from,
           .to = to,
           .reason = signal.reason});
      return;
    }
    auto& watch = order->payload_as<WatchMessage>();
    bool subject = watch.from == harness_.id_;
    TurnEffect effect{.by = watch.from, .to = to};
    if (order->type == &kMonitorMessage) {
      effect.kind = TurnEffect::Kind::kMonitor;
      effect.monitor = {watch.id};
      if (subject) harness_.monitors_.emplace(watch.id, to);
    } else if (order->type == &kDemonitorMessage) {
      if (harness_.ended_) return;  // part of its end
      effect.kind = TurnEffect::Kind::kDemonitor;
      effect.monitor = {watch.id};
      if (subject) harness_.monitors_.erase(watch.id);
    } else if (order->type == &kLinkMessage) {
      effect.kind = TurnEffect::Kind::kLink;
      if (subject) harness_.links_.emplace(watch.id, to);
    } else {
      effect.kind = TurnEffect::Kind::kUnlink;
      if (subject) harness_.links_.erase(watch.id);
    }
    add(std::move(effect));
  }

  void adopted(ActorId parent, ActorId child, std::uint64_t link) override {
    if (parent == harness_.id_) harness_.links_.emplace(link, child);
    add({.kind = TurnEffect::Kind::kLink, .by = parent, .to = child});
  }

  void spawned(ActorId by, ActorId id, const Actor& actor) override {
    TurnEffect effect{.kind = TurnEffect::Kind::kSpawn, .by = by, .to = id, .cls = std::type_index(typeid(actor))};
    std::string name = effect.to_string();
    harness_.names_[id] = fmt::format("{}#{}", name.substr(name.rfind(' ') + 1), id.slot);
    add(std::move(effect));
  }

  void timer_armed(ActorId by, TimerRef timer, Duration after, Duration period, Envelope& message) override {
    TurnEffect effect{.kind = TurnEffect::Kind::kTimer, .by = by, .timer = timer, .after = after, .period = period};
    add_message(effect, message);
    if (by == harness_.id_)
      harness_.armed_.push_back({timer, saturating_add(harness_.now(), after), period, effect.type, effect.value});
    add(std::move(effect));
  }

  void timer_cancelled(ActorId by, TimerRef timer) override {
    TurnEffect effect{.kind = TurnEffect::Kind::kCancel, .by = by, .timer = timer};
    auto armed = std::ranges::find(harness_.armed_, timer, &Armed::timer);
    if (by == harness_.id_ && armed != harness_.armed_.end()) {
      effect.type = armed->type;
      effect.value = armed->value;
      harness_.armed_.erase(armed);
    }
    add(std::move(effect));
  }

 private:
  void down(ActorId to, const Down& down) {
    if (to != kTest) return;
    harness_.ended_ = down.reason;
    harness_.armed_.clear();
    add({.kind = TurnEffect::Kind::kEnd, .by = harness_.id_, .reason = down.reason});
  }

  static void add_message(TurnEffect& effect, Envelope& message) {
    if (message.type->value == nullptr) return;  // of the runtime's own
    effect.type = message.type;
    effect.value = copy_of(*message.type->value, message.payload());
  }

  void add(TurnEffect effect) {
    if (effect.by && effect.by != harness_.id_) effect.by_name = harness_.name_of(effect.by);
    if (effect.to_name.empty()) effect.to_name = harness_.name_of(effect.to);
    harness_.effects_.push_back(std::move(effect));
  }

  HarnessBase& harness_;
};

HarnessBase::HarnessBase(HarnessOptions options)
    : steps_max_(options.steps_max), recording_(std::make_unique<Recording>(*this)) {
  TestOptions world{.seed = 1, .workers = 1, .steps_max = options.steps_max};
  world.runtime.recorder = recording_.get();
  world.types = std::move(options.types);
  // Nothing is delivered by key, so what the facets of the types would do does not matter: it is enough that they are
  // offered.
  world.prepare = [](Runtime& runtime) {
    for (const std::string& name : runtime.types().names())
      for (const FacetSpec& facet : runtime.types().find(name)->facets) runtime.offer_facet(facet.name, {});
  };
  world_ = std::make_unique<TestRuntime>(std::move(world));
}

HarnessBase::~HarnessBase() = default;

ActorId HarnessBase::new_peer(std::string name) {
  ActorId id = world_->spawn<StandIn>(name).value().id();
  if (!name.empty()) names_[id] = std::move(name);
  return id;
}

std::string HarnessBase::name_of(ActorId id) const {
  if (!id) return "nobody";
  if (id == id_) return "itself";
  auto name = names_.find(id);
  return name != names_.end() ? name->second : fmt::format("actor {}", id.slot);
}

void HarnessBase::begin(ActorId id) {
  id_ = id;
  static_cast<void>(
      world_->runtime().send(id, plexspaces::detail::make_watch_message(nullptr, plexspaces::detail::kMonitorMessage,
                                                                        {~std::uint64_t{0}, kTest, id})));
}

Result<TurnEffects> HarnessBase::started() {
  TurnEffects effects = run();
  if (!ended_ || ended_->kind != ExitKind::kNoproc) return effects;
  return fail(Code::kFailedPrecondition, world_->log().empty() ? "the actor did not start" : world_->log().back(),
              "PLX-TST-0008");
}

TurnEffects HarnessBase::send(Envelope* envelope, ActorId from) {
  envelope->set_sender(from);
  static_cast<void>(world_->runtime().send(id_, envelope));
  return run();
}

std::shared_ptr<std::optional<Answer>> HarnessBase::send_ask(Envelope* envelope) {
  return world_->send_ask(id_, envelope, kAskTime);
}

std::unexpected<Error> HarnessBase::unanswered(const MessageInfo& type) const {
  return fail(Code::kUnavailable,
              fmt::format("the actor has not answered {} yet: it waits, or answers later. Answer what it asks, let "
                          "time pass, and take late_reply()",
                          type.value->name),
              "PLX-TST-0006");
}

TurnEffects HarnessBase::run() {
  std::size_t rounds = 0;
  do {
    if (!world_->run_until_idle() || ++rounds > steps_max_) {
      effects_.push_back({.kind = TurnEffect::Kind::kRestless, .by = id_});
      break;
    }
  } while (answer_scripted());
  return std::exchange(effects_, {});
}

// Answers what has been asked since: by script, or because nobody is there. @returns whether there was any.
bool HarnessBase::answer_scripted() {
  bool any = false;
  while (!new_asks_.empty()) {
    TurnEffect ask = std::move(new_asks_.front());
    new_asks_.pop_front();
    if (gone_.contains(ask.to)) {
      plexspaces::detail::send_error(ask.asker, plexspaces::detail::gone_error());
    } else if (auto scripted = replies_.find(ask.type); scripted != replies_.end()) {
      scripted->second(ask);
    } else {
      continue;
    }
    any = true;
  }
  std::vector<ActorId> again;
  for (const auto* watched : {&monitors_, &links_})
    for (const auto& [id, other] : *watched)
      if (!other || gone_.contains(other)) again.push_back(other);
  for (ActorId other : again) tell_of_end(other, ExitReason::noproc());
  return any || !again.empty();
}

TurnEffects HarnessBase::advance(Duration by) {
  if (!world_->advance(by)) effects_.push_back({.kind = TurnEffect::Kind::kRestless, .by = id_});
  return run();
}

void HarnessBase::forget_fired() {
  auto fired = [&](const Armed& armed) { return plexspaces::detail::TimerWheel::fire_time(armed.due) <= now(); };
  for (Armed& armed : armed_) {
    if (armed.period == Duration()) continue;
    if (now() > armed.due) armed.due += (now() - armed.due) / armed.period * armed.period;
    while (fired(armed)) armed.due = saturating_add(armed.due, armed.period);
  }
  std::erase_if(armed_, fired);
}

Result<TurnEffects> HarnessBase::fire_next(const MessageInfo& type) {
  forget_fired();
  auto with_type = [&](const Armed& armed) { return armed.type == &type; };
  auto next = armed_.end();
  for (auto armed = armed_.begin(); armed != armed_.end(); ++armed)
    if (with_type(*armed) && (next == armed_.end() || armed->due < next->due)) next = armed;
  if (next == armed_.end())
    return fail(Code::kNotFound, fmt::format("the actor has no timer with {}", type.value->name), "PLX-TST-0007");
  if (!world_->advance_to(next->due)) effects_.push_back({.kind = TurnEffect::Kind::kRestless, .by = id_});
  return run();
}

void HarnessBase::tell_of_end(ActorId who, const ExitReason& reason) {
  Runtime& runtime = world_->runtime();
  std::erase_if(monitors_, [&](const auto& monitor) {
    if (monitor.second != who) return false;
    static_cast<void>(
        runtime.send(id_, plexspaces::detail::make_down_message(nullptr, {{monitor.first}, who, reason})));
    return true;
  });
  std::erase_if(links_, [&](const auto& link) {
    if (link.second != who) return false;
    static_cast<void>(runtime.send(
        id_, plexspaces::detail::make_exit_message(nullptr, {.from = who, .reason = reason, .link = link.first})));
    return true;
  });
}

TurnEffects HarnessBase::end_of(ActorId who, ExitReason reason) {
  gone_.insert(who);
  tell_of_end(who, reason);
  return run();
}

TurnEffects HarnessBase::exit(ExitReason reason, ActorId from) {
  static_cast<void>(world_->runtime().send(
      id_, plexspaces::detail::make_exit_message(nullptr, {.from = from, .reason = std::move(reason)})));
  return run();
}

TurnEffects HarnessBase::stop() {
  world_->runtime().stop(id_);
  return run();
}

TurnEffects HarnessBase::kill() {
  world_->runtime().kill(id_);
  return run();
}

}  // namespace plexspaces::testkit
