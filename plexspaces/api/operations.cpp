#include "plexspaces/api/operations.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/base/suggest.hpp"
#include "plexspaces/codec/codec.hpp"
#include "plexspaces/durable/durability.hpp"

namespace plexspaces::api {

namespace {

using Done = std::move_only_function<void(Result<InvokeReply>)>;

std::string names_where(const ActorType& type, bool (*fits)(const Handler&)) {
  std::string names;
  for (const Handler& handler : type.handlers)
    if (fits(handler)) names.append(names.empty() ? "" : ", ").append(handler.message->value->name);
  return names.empty() ? "none" : names;
}

Result<const Handler*> find_handler(const ActorType& type, const InvokeRequest& request) {
  bool read = request.verb == Verb::kRead;
  if (!request.message.empty()) {
    const Handler* handler = type.find(request.message);
    if (handler == nullptr)
      return fail(Code::kUnimplemented,
                  fmt::format("the type '{}' does not handle '{}'; it handles {}", type.name, request.message,
                              message_names(type.handlers)),
                  "PLX-API-0002");
    if (read && !handler->read)
      return fail(
          Code::kFailedPrecondition,
          fmt::format("'{}' of the type '{}' changes the actor: send it with POST or PUT", request.message, type.name),
          "PLX-API-0003");
    return handler;
  }
  auto fits =
      read ? [](const Handler& handler) { return handler.read; } : [](const Handler& handler) { return !handler.read; };
  if (std::ranges::count_if(type.handlers, fits) != 1)
    return fail(Code::kInvalidArgument,
                fmt::format("name the message: the type '{}' has these that {}: {}", type.name,
                            read ? "read" : "change the actor", names_where(type, fits)),
                "PLX-API-0004");
  return &*std::ranges::find_if(type.handlers, fits);
}

Delivery make_delivery(InvokeRequest& request) {
  Delivery delivery{std::move(request.target), {}, request.verb == Verb::kDelete, 0};
  if (!request.idempotency_key.empty() && request.verb != Verb::kRead) {
    delivery.id.kind = InputId::Kind::kClient;
    delivery.id.client_key = std::move(request.idempotency_key);
  }
  return delivery;
}

Result<InvokeReply> to_reply(const Answer& answer) {
  if (answer.error() != nullptr) return std::unexpected(*answer.error());
  if (answer.type().kind == ValueKind::kVoid) return InvokeReply{};
  return InvokeReply{to_json(answer.type(), answer.value())};
}

}  // namespace

Operations::Operations(Runtime& runtime, durability::Durability& durability)
    : runtime_(runtime), durability_(durability) {}

void Operations::invoke(InvokeRequest request, Done done) {
  const ActorType* type = runtime_.types().find(request.target.type);
  if (type == nullptr || !type->keyed()) {
    std::vector<std::string> keyed;
    for (const std::string& name : runtime_.types().names())
      if (runtime_.types().find(name)->keyed()) keyed.push_back(name);
    return done(fail(Code::kNotFound,
                     fmt::format("no actor type '{}' is addressed by key{}", request.target.type,
                                 suggest(request.target.type, keyed)),
                     "PLX-API-0001"));
  }
  const MessageInfo* message = &erase_message_info();
  if (request.verb != Verb::kDelete) {
    auto handler = find_handler(*type, request);
    if (!handler) return done(std::unexpected(std::move(handler).error()));
    message = (*handler)->message;
  }

  auto context = std::make_shared<RequestContext>();
  context->tenant = request.target.tenant;
  context->name_space = request.target.name_space;
  context->traceparent = std::move(request.traceparent);
  detail::EnvelopePtr envelope(detail::make_keyed_envelope(nullptr, *message, make_delivery(request)));
  if (request.verb != Verb::kDelete)
    if (Status read = from_json(*message->value, request.body, envelope->payload()); !read)
      return done(std::unexpected(std::move(read).error()));
  detail::charge_payload(*envelope);
  envelope->context = detail::new_context(nullptr);
  envelope->context->deadline = saturating_add(runtime_.executor().now(), request.timeout);
  envelope->context->request = std::move(context);
  envelope->ask_for(make_sink([done = std::move(done)](Answer answer) mutable { done(to_reply(answer)); }));
  static_cast<void>(runtime_.deliver(envelope.release()));  // what it refuses, it answers
}

Status Operations::readiness() const { return durability_.readiness(); }

std::size_t Operations::outbox_pending() const { return durability_.outbox_pending(); }

std::string Operations::stuck() const { return durability_.stuck(); }

void Operations::list_dead_letters(std::move_only_function<void(Result<std::string>)> done) {
  durability_.list_dead_letters([done = std::move(done)](Result<std::vector<durability::DeadLetter>> letters) mutable {
    if (!letters) return done(std::unexpected(letters.error()));
    done(to_json(*letters));
  });
}

void Operations::end_dead_letter(const ActorKey& owner, std::uint64_t number, bool again,
                                 std::move_only_function<void(Status)> done) {
  durability_.end_dead_letter(owner, number, again, std::move(done));
}

}  // namespace plexspaces::api
