#include "plexspaces/actor/turn/reply_to.hpp"

#include <new>
#include <utility>

#include "plexspaces/actor/errors.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/scheduler/worker.hpp"

namespace plexspaces::detail {

namespace {

Worker* worker_of(const Asker& asker) {
  Worker* worker = Worker::current();
  return worker != nullptr && worker->runtime().node_id() == asker.node ? worker : nullptr;
}

}  // namespace

Envelope* make_reply(const Asker& asker, std::size_t bytes, std::uint32_t flags) {
  Worker* worker = worker_of(asker);
  return allocate_reply(asker.sink || worker == nullptr ? nullptr : &worker->pool(), asker.type, asker.sender,
                        asker.correlation, bytes, flags | (asker.sink ? Envelope::kSink : 0u));
}

Status check_reply(const Asker& asker, const ValueType& type, const void* reply) {
  Worker* worker = worker_of(asker);
  const Runtime* runtime = worker != nullptr ? &worker->runtime() : Runtime::of(asker.node);
  return runtime == nullptr ? Status() : runtime->check_reply(type, reply);
}

void send_reply(const Asker& asker, Envelope* reply) {
  if (asker.sink) return deliver_to_sink(reply);
  if (Worker* worker = worker_of(asker)) return worker->send_reply(reply);
  if (Runtime* runtime = Runtime::of(asker.node)) return runtime->send_reply_from_external(reply);
  destroy_envelope(nullptr, reply);
}

void send_error(const Asker& asker, Error error) {
  Envelope* reply = make_reply(asker, sizeof(Error), Envelope::kFailed);
  ::new (reply->payload()) Error(std::move(error));
  send_reply(asker, reply);
}

void send_no_answer(const Asker& asker) {
  Runtime* runtime = Runtime::of(asker.node);
  bool ended = runtime == nullptr || runtime->ending();
  send_error(asker, ended ? dropped_error() : Error(Code::kInternal, "the actor has given no answer", "PLX-ACT-0030"));
}

}  // namespace plexspaces::detail
