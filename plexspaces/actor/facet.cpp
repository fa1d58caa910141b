#include "plexspaces/actor/facet.hpp"

#include <exception>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/scheduler/worker.hpp"
#include "plexspaces/codec/codec.hpp"

namespace plexspaces {

Activation::Activation(Runtime& runtime, const ActorType& type, ActorKey key, ActorId id)
    : runtime_(runtime), type_(type), key_(std::move(key)), id_(id) {}

Activation::~Activation() = default;

StateView Activation::state() const { return type_.state == nullptr ? StateView{} : type_.state(*cell_->actor); }

TimePoint Activation::now() const { return worker_->fresh_now(); }

void Activation::ready() { worker_->activation_ready(*this); }

void Activation::pause() { cell_->flags |= detail::ActorCell::kWaiting; }

void Activation::resume() {
  if (stop_asked_) return;
  cell_->flags &= ~detail::ActorCell::kWaiting;
  worker_->schedule_if_runnable(*cell_);
}

void Activation::failed(Error error) {
  failure_ = std::move(error);
  discard();
}

void Activation::discard(bool again) {
  again_ = again;
  // From here on a message to the key makes a new activation: this one takes none.
  runtime_.directory_.remove(key_, id_);
  worker_->stop_cell(*cell_);
}

void Activation::stop_when_settled() {
  stop_asked_ = true;
  pause();
  if ((cell_->flags & detail::ActorCell::kStopping) != 0) return;
  for (auto& facet : facets_)
    if (!facet->on_passivate(*this)) return;
  discard();
}

Status Activation::replace_actor() {
  if (cell_->actor != nullptr) {
    std::exchange(cell_->actor, nullptr)->~Actor();
    detail::Worker::free_actor_memory(worker_, *cell_);
  }
  void* memory = detail::Worker::allocate_actor(worker_, *cell_, type_.size, alignof(std::max_align_t));
  std::string what = "an exception that is not a std::exception";
  try {
    cell_->actor = type_.create(memory);
    cell_->class_number.store(type_.class_number, std::memory_order_relaxed);
    return {};
  } catch (const std::exception& error) {
    what = error.what();
  } catch (...) {
  }
  detail::Worker::free_actor_memory(worker_, *cell_);
  return fail(Code::kInternal, fmt::format("the constructor of '{}' has thrown: {}", type_.name, what), "PLX-ACT-0007");
}

void Activation::emit(Effects effects) { worker_->emit(std::move(effects)); }

detail::EnvelopePtr Activation::error_in_place_of(detail::EnvelopePtr reply, const Error& error) {
  return {worker_->error_in_place_of(reply.get(), error), {&worker_->pool()}};
}

void Activation::emit_error(detail::EnvelopePtr reply, const Error& error) {
  worker_->send_reply(worker_->error_in_place_of(reply.get(), error));
}

void Activation::answer(detail::EnvelopePtr request, const Error& error) {
  if (request->is(detail::Envelope::kAsk)) worker_->send_reply(worker_->error_reply(request.get(), error));
}

void Activation::answer(detail::EnvelopePtr request, std::string_view encoded_reply) {
  if (!request->is(detail::Envelope::kAsk)) return;
  const ValueType& type = *request->type->reply;
  detail::Envelope* reply = worker_->begin_reply(request.get(), type.size, 0);
  if (type.construct != nullptr) type.construct(reply->payload());
  if (Status decoded = decode(type, encoded_reply, reply->payload()); !decoded) {
    if (request->type->destroy_reply != nullptr) request->type->destroy_reply(reply->payload());
    reply->flags |= detail::Envelope::kFailed;
    ::new (reply->payload())
        Error(Code::kDataLoss, "the stored reply cannot be read: " + decoded.error().message(), "PLX-ACT-0013");
  }
  worker_->send_reply(reply);
}

bool Activation::passivate() {
  for (auto& facet : facets_)
    if (!facet->on_passivate(*this)) return false;
  bool closed = runtime_.directory_.remove_if(key_, [this] { return worker_->close_if_idle(*cell_); });
  if (closed) worker_->stop_cell(*cell_);
  return closed;
}

void Alarm::arm(TimePoint time) {
  timer_.alarm = this;
  timer_.fire = [](detail::Timer& timer, void*) { static_cast<AlarmTimer&>(timer).alarm->function_(); };
  activation_.worker().timers().arm(timer_, time);
}

void Alarm::disarm() { activation_.worker().timers().cancel(timer_); }

}  // namespace plexspaces
