#include "plexspaces/http/gateway.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/api/idempotency_key.hpp"
#include "plexspaces/base/utf8.hpp"
#include "plexspaces/codec/codec.hpp"
#include "plexspaces/http/problem.hpp"
#include "plexspaces/http/route.hpp"
#include "plexspaces/http/token.hpp"

namespace plexspaces::http {

namespace {

constexpr std::string_view kDeadLettersPath = "/api/v1/deadletters";

// "application/json", "Application/JSON; charset=utf-8"
bool is_json(std::string_view content_type) {
  return same_token(trim(content_type.substr(0, content_type.find(';'))), "application/json");
}

// A page of another site can make a browser send a POST without asking the server, but not one of this type; PUT and
// DELETE it asks about. So a POST needs the type even when it has no body.
Status check_content_type(const Request& request) {
  if (request.body.empty() && request.method != "POST") return {};
  const Headers& headers = request.headers;
  if (!headers.content_type)
    return fail(Code::kInvalidArgument,
                "there is no Content-Type: send application/json (curl: --json instead of -d or -X POST)",
                "PLX-HTT-0013");
  if (!is_json(*headers.content_type))
    return fail(Code::kInvalidArgument,
                fmt::format("the Content-Type is '{}': send application/json (curl: --json instead of -d)",
                            excerpt(*headers.content_type)),
                "PLX-HTT-0013");
  if (headers.content_encoding && !same_token(*headers.content_encoding, "identity"))
    return fail(Code::kInvalidArgument,
                fmt::format("the Content-Encoding is '{}': send the body as it is", excerpt(*headers.content_encoding)),
                "PLX-HTT-0013");
  return {};
}

// What is not one is ignored, as W3C Trace Context asks.
std::string_view trace_of(const Headers& headers) {
  std::string_view trace = headers.traceparent.value_or("");
  bool printable = std::ranges::all_of(trace, [](char c) { return c > 0x20 && c < 0x7f; });
  return printable && trace.size() <= kTraceparentBytesMax ? trace : std::string_view{};
}

Status check_read_only(const Request& request, std::string_view path) {
  if (request.method == "GET" || request.method == "HEAD") return {};
  return fail(Code::kUnimplemented, fmt::format("{} can only be read: use GET", excerpt(path)), "PLX-HTT-0003");
}

Result<Plan> plan_invoke(Request& request) {
  PLX_TRY(invoke, route_actor(request.method, request.target));
  if (request.headers.idempotency_key) {
    PLX_TRY_STATUS(api::check_idempotency_key(*request.headers.idempotency_key));
    invoke.idempotency_key = *request.headers.idempotency_key;
  }
  PLX_TRY_STATUS(check_content_type(request));
  invoke.traceparent = trace_of(request.headers);
  invoke.body = std::move(request.body);
  invoke.timeout = request.timeout;
  return Plan(std::move(invoke));
}

// The path of an actor, and the number where a message has its name.
Result<Plan> plan_dead_letter(const Request& request) {
  bool drop = request.method == "DELETE";
  if (!drop && request.method != "POST")
    return fail(Code::kUnimplemented, "a dead letter has POST, which sends it again, and DELETE", "PLX-HTT-0003");
  PLX_TRY_STATUS(check_content_type(request));
  std::string_view path = split_target(request.target).path;
  PLX_TRY(invoke,
          route_actor("POST", std::string(kActorsPath) + std::string(path.substr(kDeadLettersPath.size() + 1))));
  EndDeadLetter end{std::move(invoke.target), 0, !drop};
  const char* last = invoke.message.data() + invoke.message.size();
  auto [stopped, error] = std::from_chars(invoke.message.data(), last, end.number);
  if (invoke.message.empty() || error != std::errc() || stopped != last)
    return fail(
        Code::kInvalidArgument,
        fmt::format("'{}' is not the number of a dead letter: write {}/<tenant>/<namespace>/<type>/<key>/<number>",
                    excerpt(invoke.message), kDeadLettersPath),
        "PLX-HTT-0001");
  return Plan(std::move(end));
}

}  // namespace

Result<Plan> plan(Request& request) {
  std::string_view path = split_target(request.target).path;
  if (path.starts_with(kDeadLettersPath) && path.size() > kDeadLettersPath.size() + 1) return plan_dead_letter(request);
  if (path.starts_with(kActorsPath)) return plan_invoke(request);
  std::optional<Plan> found;
  if (path == "/healthz/live") found = AskLive{};
  if (path == "/healthz/ready") found = AskReady{};
  if (path == "/api/v1/outbox") found = AskOutbox{};
  if (path == kDeadLettersPath) found = AskDeadLetters{};
  if (!found)
    return fail(Code::kNotFound,
                fmt::format("no resource '{}': there are {}..., /api/v1/outbox, {}, /healthz/live, /healthz/ready",
                            excerpt(path), kActorsPath, kDeadLettersPath),
                "PLX-HTT-0001");
  PLX_TRY_STATUS(check_read_only(request, path));
  return *std::move(found);
}

Response answer(Result<api::InvokeReply> reply) {
  if (!reply) return problem(reply.error());
  if (reply->body.empty()) return Response{.status = 204};
  return Response{.body = std::move(reply->body)};
}

void Gateway::operator()(Request request, Respond respond) const {
  auto planned = plan(request);
  if (!planned) return respond(problem(planned.error()));
  if (auto* invoke = std::get_if<api::InvokeRequest>(&*planned)) {
    operations_.invoke(std::move(*invoke), [respond = std::move(respond)](Result<api::InvokeReply> reply) mutable {
      respond(answer(std::move(reply)));
    });
  } else if (std::holds_alternative<AskOutbox>(*planned)) {
    respond(Response{.body = fmt::format("{{\"pending\": {}}}", operations_.outbox_pending())});
  } else if (std::holds_alternative<AskReady>(*planned)) {
    Status ready = operations_.readiness();
    if (!ready) return respond(problem(ready.error()));
    std::string stuck = operations_.stuck();
    respond(Response{.body = stuck.empty() ? R"({"status": "ready"})"
                                           : fmt::format(R"({{"status": "ready", "stuck": {}}})", to_json(stuck))});
  } else if (std::holds_alternative<AskDeadLetters>(*planned)) {
    operations_.list_dead_letters([respond = std::move(respond)](Result<std::string> letters) mutable {
      respond(letters ? Response{.body = *std::move(letters)} : problem(letters.error()));
    });
  } else if (auto* end = std::get_if<EndDeadLetter>(&*planned)) {
    operations_.end_dead_letter(end->owner, end->number, end->again,
                                [respond = std::move(respond)](Status ended) mutable {
                                  respond(ended ? Response{.status = 204} : problem(ended.error()));
                                });
  } else {
    respond(Response{.body = R"({"status": "live"})"});
  }
}

}  // namespace plexspaces::http
