#include "plexspaces/http/gateway.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/base/limits.hpp"
#include "plexspaces/http/problem.hpp"
#include "plexspaces/http/route.hpp"

namespace plexspaces::http {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

// "application/json", "Application/JSON; charset=utf-8"
bool is_json(std::string_view content_type) {
  constexpr std::string_view kJson = "application/json";
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  return std::ranges::equal(type, kJson, {}, lower);
}

Status check_idempotency_key(const Headers& headers, std::string_view key) {
  if (headers.repeated("Idempotency-Key"))
    return fail(Code::kInvalidArgument, "the header Idempotency-Key comes more than once: send one", "PLX-HTT-0012");
  if (key.size() > kIdempotencyKeyBytesMax)
    return fail(Code::kInvalidArgument,
                fmt::format("the Idempotency-Key has {} bytes; the limit is {}", key.size(), kIdempotencyKeyBytesMax),
                "PLX-HTT-0012");
  if (!std::ranges::all_of(key, [](char c) { return c >= 0x20 && c < 0x7f; }))
    return fail(Code::kInvalidArgument, "the Idempotency-Key holds a byte that is not printable ASCII", "PLX-HTT-0012");
  return {};
}

Status check_read_only(const Request& request, std::string_view path) {
  if (request.method == "GET" || request.method == "HEAD") return {};
  return fail(Code::kUnimplemented, fmt::format("{} can only be read: use GET", path), "PLX-HTT-0003");
}

Result<Plan> plan_invoke(Request& request) {
  PLX_TRY(invoke, route_actor(request.method, request.target));
  std::string_view key = request.headers.find("Idempotency-Key");
  PLX_TRY_STATUS(check_idempotency_key(request.headers, key));
  std::string_view content_type = request.headers.find("Content-Type");
  if (!request.body.empty() && !content_type.empty() && !is_json(content_type))
    return fail(Code::kInvalidArgument,
                fmt::format("the body is '{}': send application/json", content_type.substr(0, 64)), "PLX-HTT-0013");
  invoke.idempotency_key = key;
  invoke.traceparent = request.headers.find("traceparent");
  invoke.body = std::move(request.body);
  invoke.timeout = request.timeout;
  return Plan(std::move(invoke));
}

}  // namespace

Result<Plan> plan(Request& request) {
  std::string_view path = split_target(request.target).path;
  if (path.starts_with(kActorsPath)) return plan_invoke(request);
  std::optional<Plan> found;
  if (path == "/healthz/live") found = AskLive{};
  if (path == "/healthz/ready") found = AskReady{};
  if (path == "/api/v1/outbox") found = AskOutbox{};
  if (!found)
    return fail(Code::kNotFound,
                fmt::format("no resource '{}': there are {}..., /api/v1/outbox, /healthz/live, /healthz/ready",
                            path.substr(0, 64), kActorsPath),
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
    respond(ready ? Response{.body = R"({"status": "ready"})"} : problem(ready.error()));
  } else {
    respond(Response{.body = R"({"status": "live"})"});
  }
}

}  // namespace plexspaces::http
