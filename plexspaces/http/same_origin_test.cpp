#include "plexspaces/http/same_origin.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace plexspaces::http {
namespace {

const std::vector<std::string> kAllowed{"plex.example", "devbox:9000"};

std::string verdict(const Headers& headers, std::string_view target = "/") {
  Status status = check_same_origin(target, headers, kAllowed);
  return status ? "served" : status.error().domain();
}

TEST(SameOriginTest, TheHostIsLoopbackOrAllowed) {
  for (std::string_view host :
       {"localhost", "localhost:8080", "LocalHost:1", "127.0.0.1", "127.0.0.1:8080", "127.8.9.255", "[::1]",
        "[::1]:8080", "plex.example", "PLEX.example:80", "plex.example:8443", "devbox:9000"})
    EXPECT_EQ(verdict({.host = host}), "served") << host;
  for (std::string_view host : {"evil.example.com",
                                "evil.example.com:8080",
                                "localhost.evil.com",
                                "evil-localhost",
                                "localhost.",
                                "localhost:",
                                "localhost:x",
                                "localhost:99999",
                                "localhost:80:80",
                                "localhost@evil.com",
                                "127.evil.com",
                                "127.0.0.1.evil.com",
                                "127.0.0.1.",
                                "127.0.0",
                                "127.0.0.0.1",
                                "127.0.0.256",
                                "127..0.1",
                                "0.0.0.0",
                                "10.0.0.1",
                                "2130706433",
                                "127.1",
                                "0x7f.0.0.1",
                                "[::1",
                                "::1",
                                "[::]",
                                "[::1]x",
                                "[::1].evil.com",
                                "[fe80::1]",
                                "devbox",
                                "devbox:80",
                                "www.plex.example",
                                "plex.example.com",
                                "",
                                ":8080",
                                "localhost, evil.com",
                                "local host"})
    EXPECT_EQ(verdict({.host = host}), "PLX-HTT-0021") << host;
}

TEST(SameOriginTest, TheAuthorityOfTheTargetIsAHostToo) {
  EXPECT_EQ(verdict({.host = "localhost"}, "http://localhost:8080/a"), "served");
  EXPECT_EQ(verdict({.host = "localhost"}, "http://evil.com/a"), "PLX-HTT-0021");
  EXPECT_EQ(verdict({.host = "localhost"}, "http://localhost@evil.com/a"), "PLX-HTT-0021");
  EXPECT_EQ(verdict({.host = "localhost"}, "http://evil.com?http://localhost/"), "PLX-HTT-0021");
  EXPECT_EQ(verdict({.host = "evil.com"}, "http://localhost/a"), "PLX-HTT-0021");
  EXPECT_EQ(verdict({.host = "localhost"}, "/a?next=http://evil.com/"), "served");
}

TEST(SameOriginTest, AnOriginIsTheHostItselfOrAllowed) {
  auto of = [](std::string_view origin, std::string_view host = "localhost:8080") {
    return verdict({.host = host, .origin = origin});
  };
  for (std::string_view origin : {"http://localhost:8080", "https://localhost:8080", "http://LOCALHOST:8080",
                                  "https://plex.example", "http://devbox:9000"})
    EXPECT_EQ(of(origin), "served") << origin;
  EXPECT_EQ(of("https://plex.example", "plex.example"), "served");
  for (std::string_view origin : {"http://evil.example.com", "null", "", "http://localhost:3000", "http://localhost",
                                  "http://127.0.0.1:8080", "http://localhost:8080.evil.com", "http://localhost:8080/",
                                  "http://evil.com@localhost:8080", "file://localhost:8080", "localhost:8080",
                                  "chrome-extension://localhost:8080", "http://devbox:9001", "http://"})
    EXPECT_EQ(of(origin), "PLX-HTT-0022") << origin;
  EXPECT_EQ(verdict({.origin = "http://evil.com"}), "PLX-HTT-0022");  // HTTP/1.0 has no Host
}

TEST(SameOriginTest, ABrowserSaysWhatAPageOfAnotherSiteSends) {
  auto of = [](std::string_view site) { return verdict({.host = "localhost", .sec_fetch_site = site}); };
  EXPECT_EQ(of("none"), "served");  // typed into the address bar
  EXPECT_EQ(of("same-origin"), "served");
  EXPECT_EQ(of("same-site"), "served");
  for (std::string_view site : {"cross-site", "Cross-Site", "", "something"})
    EXPECT_EQ(of(site), "PLX-HTT-0022") << site;
}

TEST(SameOriginTest, ProgramsThatAreNoBrowsersAreServed) { EXPECT_EQ(verdict({.host = "localhost"}), "served"); }

TEST(SameOriginTest, RefusalsAreShortAndSayWhatToDo) {
  const std::string long_name(8000, 'x');
  for (const Headers& headers : {Headers{.host = long_name}, Headers{.host = "localhost", .origin = long_name},
                                 Headers{.host = "localhost", .sec_fetch_site = long_name}}) {
    Status status = check_same_origin("/", headers, {});
    ASSERT_FALSE(status);
    EXPECT_LT(status.error().message().size(), 250u);
  }
  EXPECT_THAT(check_same_origin("/", {.host = "evil.com"}, {}).error().message(),
              testing::AllOf(testing::HasSubstr("'evil.com'"), testing::HasSubstr("http.allowed_hosts")));
}

TEST(SameOriginTest, AllowedHostsAreReadOrTheWrongOneIsNamed) {
  EXPECT_EQ(*parse_allowed_hosts(""), std::vector<std::string>{});
  EXPECT_EQ(*parse_allowed_hosts("a.example , b:80,[::1]:9"),
            (std::vector<std::string>{"a.example", "b:80", "[::1]:9"}));
  for (std::string_view text :
       {"http://a.example", "a.example/", "*", "a b", "a:port", ":80", "a,,b", ",a", "a\nb", "*.a"}) {
    auto hosts = parse_allowed_hosts(text);
    ASSERT_FALSE(hosts) << text;
    EXPECT_EQ(hosts.error().domain(), "PLX-HTT-0023");
  }
}

RC_GTEST_PROP(SameOriginTest, NoTextThatIsNotLoopbackIsServed, (const std::string& name, bool dotted)) {
  std::string host = dotted ? "127." + name : name;
  if (verdict({.host = host}) != "served") return;
  RC_ASSERT(host.find_first_not_of("0123456789.:") == std::string::npos || host.starts_with("localhost") ||
            host.starts_with("[::1]"));
}

}  // namespace
}  // namespace plexspaces::http
