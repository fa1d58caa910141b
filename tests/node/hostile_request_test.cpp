// Requests that a browser sends for a page of another site, and such as a proxy and a server could read in two ways, to
// a node as a process: none of them changes anything.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include "process.hpp"

namespace plexspaces::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr int kExitUsage = 2;
constexpr auto kCounter = "/api/v1/actors/default/test/counter/a";
const std::string kAdd = std::string(kCounter) + "/Add";
const std::string kClear = std::string(kCounter) + "/Clear";

class HostileRequestTest : public testing::Test {
 protected:
  HostileRequestTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "plx-hostile-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    start();
  }
  ~HostileRequestTest() override {
    node_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  void start(std::vector<std::string> flags = {}) {
    std::vector<std::string> arguments{PLX_TEST_NODE, "dev", "--http.port=0",
                                       "--data.directory=" + directory_ + "/data"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    node_ = std::make_unique<Process>(std::move(arguments));
    std::string line = node_->wait_for_line("http://");
    std::size_t colon = line.rfind(':');
    ASSERT_NE(colon, std::string::npos) << node_->errors();
    port_ = static_cast<std::uint16_t>(std::stoi(line.substr(colon + 1)));
  }

  void stop() {
    node_->send_signal(SIGTERM);
    EXPECT_EQ(node_->wait(), 0) << node_->errors();
  }

  HttpAnswer add(std::int64_t by) {
    return HttpClient(port_).ask("POST", kAdd, R"({"by": )" + std::to_string(by) + "}");
  }
  std::string value() { return HttpClient(port_).ask("GET", kCounter).body; }
  std::string port() const { return std::to_string(port_); }

  std::string directory_;
  std::unique_ptr<Process> node_;
  std::uint16_t port_ = 0;
};

// A request in bytes; its length is counted.
std::string bytes_of(const std::string& line, const std::vector<std::string>& fields, const std::string& body = {}) {
  std::string bytes = line + " HTTP/1.1\r\n";
  for (const std::string& field : fields) bytes += field + "\r\n";
  if (!body.empty() || line.starts_with("POST")) bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return bytes + "\r\n" + body;
}

TEST_F(HostileRequestTest, APageOfAnotherSiteChangesAndReadsNothing) {
  const std::string json = R"({"by": 1000})", form = "Content-Type: application/x-www-form-urlencoded";
  const std::string host = "Host: localhost:" + port(), evil = "Origin: http://evil.example.com";
  const std::string cross = "Sec-Fetch-Site: cross-site", typed = "Content-Type: application/json";
  struct Row {
    std::string what;
    std::string bytes;
    int status;
    std::string domain;
  };
  const std::vector<Row> rows{
      {"a form", bytes_of("POST " + kAdd, {host, evil, cross, "Sec-Fetch-Mode: navigate", form}, json), 403, "0022"},
      {"an empty form", bytes_of("POST " + kClear, {host, evil, cross, form}), 403, "0022"},
      {"an empty form of an old browser", bytes_of("POST " + kClear, {host, form}), 415, "0013"},
      {"a form as text", bytes_of("POST " + kAdd, {host, "Content-Type: text/plain"}, json), 415, "0013"},
      {"a form with a file",
       bytes_of("POST " + kAdd, {host, "Content-Type: multipart/form-data; boundary=application/json"}, json), 415,
       "0013"},
      {"fetch with no-cors",
       bytes_of("POST " + kAdd, {host, evil, cross, "Content-Type: text/plain;charset=UTF-8"}, json), 403, "0022"},
      {"fetch with no-cors and nothing", bytes_of("POST " + kClear, {host, evil}), 403, "0022"},
      {"fetch with nothing, of an old browser", bytes_of("POST " + kClear, {host}), 415, "0013"},
      {"a blob without a type", bytes_of("POST " + kAdd, {host}, json), 415, "0013"},
      {"a sandboxed frame", bytes_of("POST " + kAdd, {host, "Origin: null", typed}, json), 403, "0022"},
      {"the question before JSON",
       bytes_of("OPTIONS " + kAdd,
                {host, evil, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type"}),
       403, "0022"},
      {"the same of a page on another port",
       bytes_of("OPTIONS " + kAdd, {host, "Origin: http://localhost:3000", "Sec-Fetch-Site: same-site",
                                    "Access-Control-Request-Method: POST"}),
       403, "0022"},
      {"a page on another port", bytes_of("POST " + kAdd, {host, "Origin: http://localhost:3000", typed}, json), 403,
       "0022"},
      {"a resolved name", bytes_of("POST " + kAdd, {"Host: evil.example.com:" + port(), typed}, json), 421, "0021"},
      {"a resolved name as its own origin",
       bytes_of("POST " + kAdd,
                {"Host: evil.example.com:" + port(), "Origin: http://evil.example.com:" + port(),
                 "Sec-Fetch-Site: same-origin", typed},
                json),
       421, "0021"},
      {"a read by a resolved name", bytes_of("GET " + std::string(kCounter), {"Host: evil.example.com"}), 421, "0021"},
      {"a probe by a resolved name", bytes_of("GET /healthz/live", {"Host: 127.0.0.1.evil.example.com"}), 421, "0021"},
      {"an absolute target", bytes_of("GET http://evil.example.com" + std::string(kCounter), {host}), 421, "0021"},
      {"an address that is not loopback", bytes_of("GET " + std::string(kCounter), {"Host: 0.0.0.0:" + port()}), 421,
       "0021"},
      {"an image", bytes_of("GET " + std::string(kCounter), {host, cross, "Sec-Fetch-Dest: image"}), 403, "0022"},
      {"a deletion", bytes_of("DELETE " + std::string(kCounter), {host, evil}), 403, "0022"},
      {"a web socket",
       bytes_of("GET " + std::string(kCounter), {host, evil, "Connection: Upgrade", "Upgrade: websocket"}), 403,
       "0022"},
  };
  ASSERT_EQ(add(7).body, "7");
  for (const Row& row : rows) {
    HttpClient client(port_);
    client.send(row.bytes);
    HttpAnswer answer = client.receive();
    EXPECT_EQ(answer.status, row.status) << row.what << "\n" << answer.body;
    EXPECT_THAT(answer.body, HasSubstr("PLX-HTT-" + row.domain)) << row.what;
    EXPECT_THAT(answer.header, Not(HasSubstr("Access-Control"))) << row.what;
  }
  EXPECT_EQ(value(), "7");
  stop();
}

TEST_F(HostileRequestTest, AnAllowedHostIsServedAndItsPagesToo) {
  stop();
  start({"--http.allowed_hosts=plex.example, localhost:5173"});
  auto asked = [&](const std::vector<std::string>& fields) {
    HttpClient client(port_);
    client.send(bytes_of("GET " + std::string(kCounter), fields));
    return client.receive().status;
  };
  EXPECT_EQ(asked({"Host: plex.example"}), 200);
  EXPECT_EQ(asked({"Host: plex.example:" + port(), "Origin: https://plex.example"}), 200);
  EXPECT_EQ(asked({"Host: localhost:" + port(), "Origin: http://localhost:5173", "Sec-Fetch-Site: same-origin"}), 200);
  EXPECT_EQ(asked({"Host: [::1]"}), 200);
  EXPECT_EQ(asked({"Host: localhost:" + port(), "Origin: http://localhost:5174"}), 403);
  EXPECT_EQ(asked({"Host: www.plex.example"}), 421);
  stop();
  Process wrong({PLX_TEST_NODE, "dev", "--http.port=0", "--data.directory=" + directory_ + "/data",
                 "--http.allowed_hosts=http://plex.example"});
  EXPECT_EQ(wrong.wait(), 1);
  EXPECT_THAT(wrong.errors(), AllOf(HasSubstr("http://plex.example"), HasSubstr("--http.allowed_hosts")));
}

TEST_F(HostileRequestTest, ARequestThatHidesInAnotherIsNotCarriedOut) {
  const std::string typed = "Content-Type: application/json\r\n";
  const std::string post = "POST " + kAdd + " HTTP/1.1\r\nHost: localhost\r\n" + typed;
  const std::string hidden =
      bytes_of("POST " + kAdd, {"Host: localhost", "Content-Type: application/json"}, R"({"by": 1000})");
  const std::string length = "Content-Length: " + std::to_string(hidden.size());
  struct Row {
    std::string bytes;
    int status;
  };
  const std::vector<Row> rows{
      {post + "Transfer-Encoding: identity\r\n\r\n", 501},
      {post + "Transfer-Encoding: gzip\r\n\r\n", 501},
      {post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
      {post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501},
      {post + "Transfer-Encoding: \x0b"
              "chunked\r\n\r\n0\r\n\r\n",
       400},
      {post + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: identity\r\n" + length + "\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n" + length + "\r\n\r\n0\r\n\r\n", 400},
      {post + length + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding : chunked\r\n" + length + "\r\n\r\n0\r\n\r\n", 400},
      {post + "X: y\r\n Transfer-Encoding: chunked\r\n\r\n", 400},
      {post + "X: y\r\n\tContent-Length: 0\r\n" + length + "\r\n\r\n", 400},
      {post + "X: y\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {post + "X: y\rTransfer-Encoding: chunked\r\n\r\n", 400},
      {post + "Content-Length: 0\r\n" + length + "\r\n\r\n", 400},
      {post + length + "\r\n" + length + "\r\n\r\n", 400},
      {post + "Content-Length: 0, 0\r\n\r\n", 400},
      {post + "Content-Length: +0\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n1;a=\"\n\"\r\nx\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Type: application/json\r\n\r\n", 400},
      {"POST " + kAdd + " HTTP/1.0\r\n" + typed +
           "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       400},
      {"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: localhost\n\n", 400},
      {"GET /\r\n\r\n", 400},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
  };
  ASSERT_EQ(add(7).body, "7");
  for (const Row& row : rows) {
    HttpClient client(port_);
    client.send(row.bytes + hidden);
    HttpAnswer first = client.receive();
    EXPECT_EQ(first.status, row.status) << row.bytes << "\n" << first.body;
    EXPECT_THAT(first.header, HasSubstr("Connection: close")) << row.bytes;
    EXPECT_EQ(client.receive().status, 0) << row.bytes;
    EXPECT_EQ(value(), "7") << row.bytes;
  }
  stop();
}

// With one byte at a time each place where a read may end is met.
TEST_F(HostileRequestTest, AChunkedBodyThatComesByteByByteIsOneRequest) {
  const std::string request = "POST " + kAdd +
                              " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"by\"\r\n4\r\n: 2}\r\n0\r\n\r\n";
  HttpClient client(port_);
  for (char byte : request) client.send({byte});
  EXPECT_EQ(client.receive().body, "2");
  const std::string empty = "POST " + kClear +
                            " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  for (char byte : empty) client.send({byte});
  EXPECT_EQ(client.receive().status, 204);
  stop();
}

TEST_F(HostileRequestTest, AnErrorDoesNotSendBackWhatWasSent) {
  const std::string text((1 << 20) - 100, 'x');
  HttpClient client(port_);
  for (const std::string& body :
       {R"({")" + text + R"(": 1})", R"({"by": ")" + text + R"("})", R"({"by": )" + std::string(text.size(), '7') + "}",
        R"({"by": 0.)" + std::string(text.size(), '7') + "}"}) {
    HttpAnswer answer = client.ask("POST", kAdd, body);
    EXPECT_EQ(answer.status, 422);
    EXPECT_LT(answer.body.size(), 500u) << answer.body.substr(0, 500);
  }
  const std::string header(12 << 10, 'x'), target(7 << 10, 'y');
  for (const std::string& bytes :
       {bytes_of("GET /" + target, {"Host: localhost"}), bytes_of("GET " + kAdd + "?" + target, {"Host: localhost"}),
        bytes_of(header + " " + kAdd, {"Host: localhost"}), bytes_of("GET " + kAdd, {"Host: " + header}),
        bytes_of("GET " + kAdd, {"Host: localhost", "Origin: " + header}),
        bytes_of("GET " + kAdd, {"Host: localhost", "Sec-Fetch-Site: " + header}),
        bytes_of("GET " + kAdd, {"Host: localhost", "Request-Timeout: " + header}),
        bytes_of("GET " + kAdd, {"Host: localhost", "Transfer-Encoding: " + header}),
        bytes_of("POST " + kAdd, {"Host: localhost", "Content-Type: " + header}, "{}"),
        bytes_of("POST " + kAdd, {"Host: localhost", "Content-Type: application/json", "Idempotency-Key: " + header},
                 "{}")}) {
    HttpClient other(port_);
    other.send(bytes);
    HttpAnswer answer = other.receive();
    EXPECT_GE(answer.status, 400);
    EXPECT_LT(answer.body.size(), 600u) << answer.body.substr(0, 600);
  }
  EXPECT_EQ(value(), "0");
}

TEST_F(HostileRequestTest, AnIntegerIsStoredAsItWasSent) {
  HttpClient client(port_);
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 9007199254740993.0})").body, R"("9007199254740993")");
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 1e1})").body, R"("9007199254741003")");
}

TEST_F(HostileRequestTest, AnEmptyIdempotencyKeyProtectsNothingAndIsRefused) {
  HttpClient client(port_);
  for (const char* key : {"Idempotency-Key:", "Idempotency-Key: ", "Idempotency-Key: \t"}) {
    HttpAnswer answer = client.ask("POST", kAdd, R"({"by": 1})", {key});
    EXPECT_EQ(answer.status, 400);
    EXPECT_THAT(answer.body, AllOf(HasSubstr("PLX-HTT-0012"), HasSubstr("empty")));
  }
  EXPECT_EQ(value(), "0");
}

TEST_F(HostileRequestTest, ARepeatedErrorIsTheFirstOne) {
  const std::vector<std::string> key{"Idempotency-Key: k"}, long_key{"Idempotency-Key: l"};
  HttpAnswer first = HttpClient(port_).ask("POST", kAdd, R"({"by": -1})", key);
  EXPECT_EQ(first.status, 400);
  EXPECT_THAT(first.body, AllOf(HasSubstr("only grows"), HasSubstr("because")));
  HttpAnswer long_first = HttpClient(port_).ask("POST", kAdd, R"({"by": -2})", long_key);
  EXPECT_THAT(long_first.body, HasSubstr("...\", "));
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(HttpClient(port_).ask("POST", kAdd, R"({"by": -1})", key).body, first.body);
    EXPECT_EQ(HttpClient(port_).ask("POST", kAdd, R"({"by": -2})", long_key).body, long_first.body);
    node_->send_signal(SIGKILL);
    node_->wait();
    start();
  }
}

TEST_F(HostileRequestTest, ActorAskSendsNoKeyThatIsNone) {
  for (const std::string& key :
       {std::string("k\r\nHost: evil.example.com"), std::string("k\n"), std::string(), std::string(300, 'k')}) {
    Process ask({PLX_TEST_NODE, "actor", "ask", "test/counter/a", "Add", R"({"by": 4})", "--idempotency-key", key,
                 "--http.port=" + port()});
    EXPECT_EQ(ask.wait(), kExitUsage);
    EXPECT_THAT(ask.errors(),
                AllOf(HasSubstr("--idempotency-key"), HasSubstr(key.empty() ? "PLX-CLI-0001" : "PLX-HTT-0012")));
  }
  EXPECT_EQ(value(), "0");
  Process clear({PLX_TEST_NODE, "actor", "ask", "test/counter/a", "Clear", "--http.port=" + port()});
  EXPECT_EQ(clear.wait(), 0) << clear.errors();  // without a body it sends the type that a POST needs
}

}  // namespace
}  // namespace plexspaces::test
