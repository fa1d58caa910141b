// Every operation that a node offers at its edges, once; HTTP and gRPC are skins over it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "plexspaces/base/actor_key.hpp"
#include "plexspaces/base/error.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces {
class Runtime;
namespace durability {
class Durability;
}
}  // namespace plexspaces

namespace plexspaces::api {

enum class Verb {
  kRead,    // asks a const handler: changes nothing, needs no idempotency key
  kUpdate,  // asks any other handler
  kDelete,  // deletes the actor; what remains answers late retries
};

/// One message to one virtual actor.
struct InvokeRequest {
  Verb verb = Verb::kRead;
  ActorKey target;
  std::string message;          // registered name of the message; empty: the type's only handler that fits `verb`
  std::string body;             // JSON of the message; empty: a message with all its defaults
  std::string idempotency_key;  // makes a retry safe; empty: every request is a new one
  std::string traceparent;      // W3C trace context of the caller; empty: none
  Duration timeout = 30s;       // a request still queued after it is not carried out; how long to wait is the caller's
};

struct InvokeReply {
  std::string body;  // JSON of the reply; empty when there is none (a void reply, a deletion)
};

/// The node's operations. Threads: any. `done` is called exactly once, on any thread, maybe before the call returns.
class Operations {
 public:
  /// All outlive the operations.
  Operations(Runtime& runtime, durability::Durability& durability);

  /// @error kNotFound: no such type. kInvalidArgument: malformed or ill-fitting body (domain codes PLX-COD-...), no or
  /// more than one default message (lists them). kUnimplemented: the type does not handle the message.
  /// kFailedPrecondition with domain PLX-API-0003: kRead of a handler that changes state. kDeadlineExceeded: the
  /// timeout passed while the request was queued. kResourceExhausted: the actor's mailbox is full. kUnavailable:
  /// stopping. kUnknown: whether it was carried out is not known; retry with the same idempotency key. Any error of the
  /// handler.
  void invoke(InvokeRequest request, std::move_only_function<void(Result<InvokeReply>)> done);

  /// An error, saying why, while the node cannot serve.
  Status readiness() const;

  /// Messages between durable actors that their receivers have not yet acknowledged, in this node.
  std::size_t outbox_pending() const;

  /// What waits for a person though the node serves, in a sentence; empty: nothing.
  std::string stuck() const;

  /// The dead letters as a JSON array. @error as the store says.
  void list_dead_letters(std::move_only_function<void(Result<std::string>)> done);
  /// Sends the message of a dead letter again, or drops it. @error kNotFound: there is none. kUnavailable: try again.
  void end_dead_letter(const ActorKey& owner, std::uint64_t number, bool again,
                       std::move_only_function<void(Status)> done);

 private:
  Runtime& runtime_;
  durability::Durability& durability_;
};

}  // namespace plexspaces::api
