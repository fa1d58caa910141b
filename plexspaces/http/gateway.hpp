// What each path of the API does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>

#include "plexspaces/api/operations.hpp"
#include "plexspaces/base/error.hpp"
#include "plexspaces/http/message.hpp"

namespace plexspaces::http {

/// Longest traceparent that is kept, in bytes; the version of today has 55.
inline constexpr std::size_t kTraceparentBytesMax = 256;

/// What a request asks for.
struct AskLive {};
struct AskReady {};
struct AskOutbox {};
struct AskDeadLetters {};
struct EndDeadLetter {
  ActorKey owner;
  std::uint64_t number = 0;
  bool again = false;  // its message is sent again
};
using Plan = std::variant<api::InvokeRequest, AskLive, AskReady, AskOutbox, AskDeadLetters, EndDeadLetter>;

/// Reads a request: path, method, Idempotency-Key, traceparent, Content-Type. Takes its body. Pure.
///
///     /api/v1/actors/...   any of route_actor()
///     /api/v1/outbox       GET {"pending": n}
///     /api/v1/deadletters  GET an array of them
///     /api/v1/deadletters/<tenant>/<namespace>/<type>/<key>/<number>   POST sends again, DELETE drops
///     /healthz/live        GET {"status": "live"}
///     /healthz/ready       GET {"status": "ready"}, with "stuck" when something waits for a person, or 503
///
/// @error kNotFound: no such path. PLX-HTT-0002, PLX-HTT-0003: the path does not have the method. PLX-HTT-0012: an
/// Idempotency-Key that is empty, too long or not printable ASCII. PLX-HTT-0013: a POST, or a body, that is not
/// application/json. A traceparent that is none, or longer than kTraceparentBytesMax, is ignored.
Result<Plan> plan(Request& request);

/// The answer to an invocation: 200 with the reply, 204 when there is none, else the problem.
Response answer(Result<api::InvokeReply> reply);

/// Serves requests by the node's operations. The Handler of a Server. Threads: any.
class Gateway {
 public:
  /// `operations` outlives the gateway.
  explicit Gateway(api::Operations& operations) : operations_(operations) {}

  void operator()(Request request, Respond respond) const;

 private:
  api::Operations& operations_;
};

}  // namespace plexspaces::http
