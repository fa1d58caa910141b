#include "plexspaces/http/gateway.hpp"

#include <string>

#include <gtest/gtest.h>

namespace plexspaces::http {
namespace {

Result<Plan> plan_of(std::string_view method, std::string_view target, const Headers& headers = {},
                     std::string body = {}) {
  Request request{.method = method, .target = target, .headers = headers, .body = std::move(body), .timeout = 7s};
  return plan(request);
}

constexpr auto kActor = "/api/v1/actors/acme/shop/airport/SFO/departed";

TEST(GatewayTest, AnInvocationCarriesBodyHeadersAndTimeout) {
  auto planned = plan_of(
      "POST", kActor,
      {.content_type = "application/JSON; charset=utf-8", .idempotency_key = "row 17", .traceparent = "00-ab-cd-01"},
      R"({"delay": 3})");
  ASSERT_TRUE(planned);
  const auto& request = std::get<api::InvokeRequest>(*planned);
  EXPECT_EQ(request.verb, api::Verb::kUpdate);
  EXPECT_EQ(request.target, (ActorKey{"acme", "shop", "airport", "SFO"}));
  EXPECT_EQ(request.message, "departed");
  EXPECT_EQ(request.body, R"({"delay": 3})");
  EXPECT_EQ(request.idempotency_key, "row 17");
  EXPECT_EQ(request.traceparent, "00-ab-cd-01");
  EXPECT_EQ(request.timeout, 7s);
}

TEST(GatewayTest, FixedPathsCanOnlyBeRead) {
  EXPECT_TRUE(std::holds_alternative<AskLive>(*plan_of("GET", "/healthz/live")));
  EXPECT_TRUE(std::holds_alternative<AskReady>(*plan_of("HEAD", "/healthz/ready")));
  EXPECT_TRUE(std::holds_alternative<AskOutbox>(*plan_of("GET", "/api/v1/outbox?x=1")));
  EXPECT_TRUE(std::holds_alternative<AskDeadLetters>(*plan_of("GET", "/api/v1/deadletters")));
  auto drop = std::get<EndDeadLetter>(*plan_of("DELETE", "/api/v1/deadletters/default/shop/stock/a%2Fb/7"));
  EXPECT_EQ(drop.owner, (ActorKey{"default", "shop", "stock", "a/b"}));
  EXPECT_EQ(drop.number, 7u);
  EXPECT_FALSE(drop.again);
  for (const char* wrong : {"/api/v1/deadletters/default/shop/stock/a/x", "/api/v1/deadletters/default/shop/stock/a",
                            "/api/v1/deadletters/default/shop/stock/a/7x"})
    EXPECT_FALSE(plan_of("DELETE", wrong)) << wrong;
  EXPECT_EQ(plan_of("POST", "/healthz/live").error().domain(), "PLX-HTT-0003");
  EXPECT_EQ(plan_of("GET", "/healthz").error().code(), Code::kNotFound);
  EXPECT_EQ(plan_of("GET", "/").error().code(), Code::kNotFound);
}

TEST(GatewayTest, AnIdempotencyKeyIsShortAndPrintableAndNotEmpty) {
  auto with_key = [](std::string_view key) {
    auto planned = plan_of("POST", kActor, {.content_type = "application/json", .idempotency_key = key});
    return planned ? "planned" : planned.error().domain();
  };
  EXPECT_EQ(with_key(std::string(256, 'k')), "planned");
  EXPECT_EQ(with_key(std::string(257, 'k')), "PLX-HTT-0012");
  EXPECT_EQ(with_key("a\tb"), "PLX-HTT-0012");
  EXPECT_EQ(with_key("a\r\nX: y"), "PLX-HTT-0012");
  EXPECT_EQ(with_key("\xC3\xA9"), "PLX-HTT-0012");
  EXPECT_EQ(with_key(""), "PLX-HTT-0012");
  EXPECT_EQ(plan_of("DELETE", "/api/v1/actors/a/b?key=c", {.idempotency_key = ""}).error().domain(), "PLX-HTT-0012");
}

TEST(GatewayTest, APostAndEveryBodyIsJson) {
  auto of = [](std::string_view method, const Headers& headers, std::string body) {
    auto planned = plan_of(method, kActor, headers, std::move(body));
    return planned ? "planned" : planned.error().domain();
  };
  EXPECT_EQ(of("POST", {.content_type = "application/json"}, "{}"), "planned");
  EXPECT_EQ(of("POST", {.content_type = "Application/Json ; charset=utf-8"}, ""), "planned");
  EXPECT_EQ(of("GET", {}, ""), "planned");
  EXPECT_EQ(of("PUT", {}, ""), "planned");  // a browser asks before it sends this for a page of another site
  // What a page of another site can make a browser send without asking.
  for (std::string_view type :
       {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
        "text/plain; application/json", "application/jsonp", "application/json, text/plain", ""})
    for (const char* body : {"{}", ""}) EXPECT_EQ(of("POST", {.content_type = type}, body), "PLX-HTT-0013") << type;
  EXPECT_EQ(of("POST", {}, "{}"), "PLX-HTT-0013");
  EXPECT_EQ(of("POST", {}, ""), "PLX-HTT-0013");
  EXPECT_EQ(of("PUT", {}, "{}"), "PLX-HTT-0013");
  EXPECT_EQ(of("GET", {}, "{}"), "PLX-HTT-0013");
  EXPECT_EQ(of("POST", {.content_type = "application/json", .content_encoding = "gzip"}, "\x1f\x8b"), "PLX-HTT-0013");
  EXPECT_EQ(of("POST", {.content_type = "application/json", .content_encoding = "identity"}, "{}"), "planned");
}

TEST(GatewayTest, ATraceThatIsNoneIsIgnoredAndNoneIsKeptThatIsLong) {
  auto trace_of = [](std::string_view trace) {
    return std::get<api::InvokeRequest>(*plan_of("GET", kActor, {.traceparent = trace})).traceparent;
  };
  EXPECT_EQ(trace_of("00-ab-cd-01"), "00-ab-cd-01");
  EXPECT_EQ(trace_of(""), "");
  EXPECT_EQ(trace_of("00 ab"), "");
  EXPECT_EQ(trace_of("\xff"), "");
  EXPECT_EQ(trace_of(std::string(kTraceparentBytesMax, 'a')), std::string(kTraceparentBytesMax, 'a'));
  EXPECT_EQ(trace_of(std::string(kTraceparentBytesMax + 1, 'a')), "");
}

TEST(GatewayTest, ARefusalQuotesOnlyTheBeginningOfWhatWasSent) {
  const std::string text(8000, 'x');
  const std::string target = "/api/v1/actors/a/b?" + text + "=1", path = "/" + text;
  for (const auto& planned :
       {plan_of("GET", path), plan_of(text, kActor), plan_of("GET", target), plan_of("POST", "/healthz/live"),
        plan_of("POST", kActor, {.content_type = text}),
        plan_of("POST", kActor, {.content_type = "application/json", .content_encoding = text}, "{}")}) {
    ASSERT_FALSE(planned);
    EXPECT_LT(planned.error().message().size(), 300u) << planned.error().message();
  }
}

TEST(GatewayTest, AReplyWithoutBodyIs204) {
  EXPECT_EQ(answer(api::InvokeReply{}).status, 204);
  Response response = answer(api::InvokeReply{.body = "17"});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "17");
  EXPECT_EQ(answer(fail(Code::kDeadlineExceeded, "late")).status, 504);
}

}  // namespace
}  // namespace plexspaces::http
