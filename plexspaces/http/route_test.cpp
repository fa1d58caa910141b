#include "plexspaces/http/route.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "plexspaces/base/utf8.hpp"

namespace plexspaces::http {
namespace {

using api::Verb;
using testing::HasSubstr;

constexpr auto kRoot = "/api/v1/actors/";

TEST(RouteTest, SegmentsNameTheActor) {
  struct Row {
    std::string path;
    ActorKey actor;
    std::string message;
  };
  const std::vector<Row> rows{
      {"shop/airport?key=SFO", {"default", "shop", "airport", "SFO"}, ""},
      {"acme/shop/airport?key=SFO", {"acme", "shop", "airport", "SFO"}, ""},
      {"acme/shop/airport/SFO", {"acme", "shop", "airport", "SFO"}, ""},
      {"acme/shop/airport/SFO/departed", {"acme", "shop", "airport", "SFO"}, "departed"},
      {"acme/shop/airport/SFO?", {"acme", "shop", "airport", "SFO"}, ""},
      {"acme/shop/airport/a%2Fb%20c", {"acme", "shop", "airport", "a/b c"}, ""},
      {"acme/shop/airport/a+b", {"acme", "shop", "airport", "a+b"}, ""},
      {"shop/airport?key=a%2Bb%26c", {"default", "shop", "airport", "a+b&c"}, ""},
      {"shop/airport?key=a/b", {"default", "shop", "airport", "a/b"}, ""},
      {"acme/shop/airport/M%C3%BCnchen", {"acme", "shop", "airport", "M\u00fcnchen"}, ""},
  };
  for (const Row& row : rows) {
    auto request = route_actor("GET", kRoot + row.path);
    ASSERT_TRUE(request) << row.path << ": " << request.error().to_string();
    EXPECT_EQ(request->target, row.actor) << row.path;
    EXPECT_EQ(request->message, row.message) << row.path;
  }
}

TEST(RouteTest, MethodsAreVerbs) {
  const std::string path = std::string(kRoot) + "acme/shop/airport/SFO";
  EXPECT_EQ(route_actor("GET", path)->verb, Verb::kRead);
  EXPECT_EQ(route_actor("POST", path)->verb, Verb::kUpdate);
  EXPECT_EQ(route_actor("PUT", path)->verb, Verb::kUpdate);
  EXPECT_EQ(route_actor("DELETE", path)->verb, Verb::kDelete);
  for (const char* method : {"PATCH", "get", "OPTIONS", "HEAD", ""}) {
    auto refused = route_actor(method, path);
    ASSERT_FALSE(refused) << method;
    EXPECT_EQ(refused.error().domain(), "PLX-HTT-0002");
  }
}

TEST(RouteTest, AbsoluteFormIsRead) {
  auto request = route_actor("GET", "http://localhost:8080/api/v1/actors/acme/shop/airport/SFO");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->target.key, "SFO");
}

TEST(RouteTest, ErrorsNameTheCulprit) {
  struct Row {
    std::string method;
    std::string path;
    std::string domain;
    std::string named;
  };
  const std::string long_key(257, 'k');
  const std::vector<Row> rows{
      {"GET", "", "PLX-HTT-0004", "too few"},
      {"GET", "airport", "PLX-HTT-0004", "too few"},
      {"GET", "shop/airport", "PLX-HTT-0004", "?key="},
      {"GET", "a/b/c/d/e/f", "PLX-HTT-0004", "more than 5"},
      {"GET", "acme/shop/airport/SFO/", "PLX-HTT-0004", "message is empty"},
      {"GET", "acme//airport/SFO", "PLX-KEY-0001", "namespace is empty"},
      {"GET", "acme/shop/airport/", "PLX-KEY-0001", "key is empty"},
      {"GET", "shop/airport?key=", "PLX-KEY-0001", "key is empty"},
      {"GET", "acme/shop/airport/" + long_key, "PLX-KEY-0002", "key has 257 bytes"},
      {"GET", "acme/shop/airport/a%00b", "PLX-KEY-0003", "key holds a NUL"},
      {"GET", "acme/shop/airport/SFO/" + long_key, "PLX-HTT-0004", "message's name has 257"},
      {"GET", "acme/sh%op/airport/SFO", "PLX-HTT-0005", "namespace has a '%'"},
      {"GET", "acme/shop/airport/SFO%2", "PLX-HTT-0005", "key has a '%'"},
      {"GET", "acme/shop/airport/%FF", "PLX-HTT-0005", "key is not UTF-8"},
      {"GET", "acme/shop/airport/%C0%80", "PLX-HTT-0005", "key is not UTF-8"},
      {"GET", "shop/airport?kye=SFO", "PLX-HTT-0006", "'kye'"},
      {"GET", "shop/airport?key=a&key=b", "PLX-HTT-0006", "twice"},
      {"GET", "shop/airport?key=a+b", "PLX-HTT-0006", "'+'"},
      {"GET", "acme/shop/airport/SFO?key=SFO", "PLX-HTT-0006", "path and in the query"},
      {"DELETE", "acme/shop/airport/SFO/departed", "PLX-HTT-0004", "DELETE"},
  };
  for (const Row& row : rows) {
    auto refused = route_actor(row.method, kRoot + row.path);
    ASSERT_FALSE(refused) << row.path;
    EXPECT_EQ(refused.error().domain(), row.domain) << row.path << ": " << refused.error().message();
    EXPECT_THAT(refused.error().message(), HasSubstr(row.named)) << row.path;
  }
}

TEST(RouteTest, OtherPathsAreNotFound) {
  for (const char* path : {"/", "", "*", "/api/v1/actors", "/api/v2/actors/a/b/c/d", "http://host"})
    EXPECT_EQ(route_actor("GET", path).error().code(), Code::kNotFound) << path;
}

RC_GTEST_PROP(RouteTest, AnyBytesAreReadOrRefused, (const std::string& bytes, bool rooted)) {
  auto request = route_actor("GET", rooted ? kRoot + bytes : bytes);
  if (request) {
    RC_ASSERT(is_utf8(request->target.key));
    RC_ASSERT(
        ActorKey::make(request->target.tenant, request->target.name_space, request->target.type, request->target.key)
            .has_value());
  } else {
    RC_ASSERT(!request.error().message().empty());
  }
}

// Characters of one to four bytes, with those that a path treats specially among them.
rc::Gen<std::string> names() {
  auto character = rc::gen::element<std::string>("a", "Z", "7", "/", "%", "?", "&", "=", "+", "#", " ", "\x01", "\x7f",
                                                 "\"", "\u00fc", "\u20ac", "\U0001F6EB", "..", "%2F");
  return rc::gen::map(rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(character)),
                      [](const auto& parts) {
                        std::string name;
                        for (const std::string& part : parts)
                          if (name.size() + part.size() <= 256) name += part;
                        return name;
                      });
}

RC_GTEST_PROP(RouteTest, AnActorIsFoundUnderItsPath, ()) {
  ActorKey actor{*names(), *names(), *names(), *names()};
  std::string message = *names();
  auto with_message = route_actor("PUT", actor_path(actor, message));
  RC_ASSERT(with_message.has_value());
  RC_ASSERT(with_message->target == actor);
  RC_ASSERT(with_message->message == message);
  auto without = route_actor("GET", actor_path(actor));
  RC_ASSERT(without.has_value());
  RC_ASSERT(without->target == actor);
  RC_ASSERT(without->message.empty());
}

RC_GTEST_PROP(RouteTest, DecodingUndoesEncodingOfText, ()) {
  std::string name = *names();
  RC_ASSERT(*percent_decode("text", percent_encode(name)) == name);
}

}  // namespace
}  // namespace plexspaces::http
