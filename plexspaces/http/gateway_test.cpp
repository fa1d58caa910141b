#include "plexspaces/http/gateway.hpp"

#include <map>
#include <string>

#include <gtest/gtest.h>

namespace plexspaces::http {
namespace {

class MapHeaders final : public Headers {
 public:
  MapHeaders(std::initializer_list<std::pair<const std::string, std::string>> fields) : fields_(fields) {}
  std::string_view find(std::string_view name) const override {
    auto field = fields_.find(std::string(name));
    return field == fields_.end() ? std::string_view{} : field->second;
  }
  bool repeated(std::string_view name) const override { return fields_.count(std::string(name)) > 1; }

 private:
  std::multimap<std::string, std::string> fields_;
};

Result<Plan> plan_of(std::string_view method, std::string_view target, const MapHeaders& headers = {},
                     std::string body = {}) {
  Request request{.method = method, .target = target, .headers = headers, .body = std::move(body), .timeout = 7s};
  return plan(request);
}

constexpr auto kActor = "/api/v1/actors/acme/shop/airport/SFO/departed";

TEST(GatewayTest, AnInvocationCarriesBodyHeadersAndTimeout) {
  auto planned = plan_of("POST", kActor,
                         {{"Idempotency-Key", "row 17"},
                          {"traceparent", "00-ab-cd-01"},
                          {"Content-Type", "application/JSON; charset=utf-8"}},
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
  EXPECT_EQ(plan_of("POST", "/healthz/live").error().domain(), "PLX-HTT-0003");
  EXPECT_EQ(plan_of("GET", "/healthz").error().code(), Code::kNotFound);
  EXPECT_EQ(plan_of("GET", "/").error().code(), Code::kNotFound);
}

TEST(GatewayTest, AnIdempotencyKeyIsShortAndPrintable) {
  EXPECT_TRUE(plan_of("POST", kActor, {{"Idempotency-Key", std::string(256, 'k')}}));
  EXPECT_EQ(plan_of("POST", kActor, {{"Idempotency-Key", std::string(257, 'k')}}).error().domain(), "PLX-HTT-0012");
  EXPECT_EQ(plan_of("POST", kActor, {{"Idempotency-Key", "a\tb"}}).error().domain(), "PLX-HTT-0012");
  EXPECT_EQ(plan_of("POST", kActor, {{"Idempotency-Key", "a"}, {"Idempotency-Key", "b"}}).error().domain(),
            "PLX-HTT-0012");
}

TEST(GatewayTest, ABodyIsJson) {
  EXPECT_EQ(plan_of("POST", kActor, {{"Content-Type", "text/plain"}}, "{}").error().domain(), "PLX-HTT-0013");
  EXPECT_EQ(plan_of("POST", kActor, {{"Content-Type", "application/jsonp"}}, "{}").error().domain(), "PLX-HTT-0013");
  EXPECT_TRUE(plan_of("POST", kActor, {}, "{}"));                              // not said: taken for JSON
  EXPECT_TRUE(plan_of("POST", kActor, {{"Content-Type", "text/plain"}}, ""));  // no body, no type
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
