#include "plexspaces/actor/message/envelope.hpp"

#include <utility>

#include "plexspaces/actor/errors.hpp"

namespace plexspaces {

namespace detail {

void Envelope::ask_for(std::unique_ptr<ReplySink> sink) {
  flags |= kAsk | kSink;
  sender = reinterpret_cast<std::uint64_t>(sink.release());
}

Envelope* make_keyed_envelope(BlockPool* pool, const MessageInfo& type, Delivery delivery) {
  Envelope* envelope = allocate_envelope(pool, type.value->size, Envelope::kKeyed | Envelope::kWide);
  envelope->type = &type;
  envelope->extension = reinterpret_cast<std::uint64_t>(new Delivery(std::move(delivery)));
  if (type.value->construct != nullptr) type.value->construct(envelope->payload());
  return envelope;
}

void charge_payload(Envelope& envelope) {
  envelope.charge = Envelope::units(envelope.bytes() + dynamic_bytes(*envelope.type->value, envelope.payload()));
}

CallContext* new_context(BlockPool* pool) {
  constexpr std::size_t block = block_class(sizeof(CallContext));
  void* memory =
      pool != nullptr ? pool->allocate(block) : ::operator new(kBlockBytesMin << block, std::align_val_t(64));
  auto* context = ::new (memory) CallContext;
  context->heap = pool == nullptr;
  return context;
}

CallContext* copy_context(BlockPool* pool, const CallContext* context) {
  if (context == nullptr) return nullptr;
  CallContext* copy = new_context(pool);
  copy->depth = context->depth;
  copy->deadline = context->deadline;
  copy->until_handled = context->until_handled;
  copy->caller = context->caller;
  copy->node = context->node;
  copy->request = context->request;
  copy->parent = copy_context(pool, context->parent);
  return copy;
}

void drop_context(BlockPool* pool, CallContext* context) {
  constexpr std::size_t block = block_class(sizeof(CallContext));
  while (context != nullptr && --context->references == 0) {
    CallContext* parent = context->parent;
    bool heap = context->heap;
    context->~CallContext();
    if (heap || !kPoolBlocks)
      ::operator delete(context, std::align_val_t(64));
    else if (pool != nullptr)
      pool->free(context, block);
    context = parent;
  }
}

void deliver_to_sink(Envelope* reply) {
  std::unique_ptr<ReplySink> sink(reply->sink());
  reply->flags &= ~Envelope::kSink;
  sink->deliver(Answer(EnvelopePtr(reply)));
}

void answer_external(Envelope* request, Error error) {
  if (!request->is(Envelope::kSink)) return;
  std::unique_ptr<ReplySink> sink(request->sink());
  request->flags &= ~(Envelope::kSink | Envelope::kAsk);
  Envelope* reply = allocate_reply(nullptr, request->type, 0, request->correlation(), sizeof(Error), Envelope::kFailed);
  ::new (reply->payload()) Error(std::move(error));
  sink->deliver(Answer(EnvelopePtr(reply)));
}

void destroy_envelope(BlockPool* pool, Envelope* envelope) {
  if (envelope->is(Envelope::kSink)) {
    // Nobody answered: the asker must not wait for ever, and cannot know what became of its request.
    answer_external(envelope, dropped_error());
  }
  if (envelope->is(Envelope::kFailed))
    envelope->payload_as<Error>().~Error();
  else if (envelope->is(Envelope::kReply)) {
    if (envelope->type->destroy_reply != nullptr) envelope->type->destroy_reply(envelope->payload());
  } else if (envelope->type->destroy != nullptr) {
    envelope->type->destroy(envelope->payload());
  }
  if (envelope->is(Envelope::kKeyed)) delete envelope->delivery();
  drop_context(pool, envelope->context);
  free_envelope_memory(pool, envelope);
}

}  // namespace detail

std::unique_ptr<ReplySink> make_sink(std::move_only_function<void(Answer)> function) {
  struct FunctionSink final : ReplySink {
    explicit FunctionSink(std::move_only_function<void(Answer)> given) : function(std::move(given)) {}
    void deliver(Answer answer) override { function(std::move(answer)); }
    std::move_only_function<void(Answer)> function;
  };
  return std::make_unique<FunctionSink>(std::move(function));
}

}  // namespace plexspaces
