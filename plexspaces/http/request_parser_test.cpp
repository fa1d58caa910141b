#include "plexspaces/http/request_parser.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace plexspaces::http {
namespace {

using testing::HasSubstr;
using State = RequestParser::State;
using namespace std::string_literals;

// What a connection sees of its bytes: each request in one line, then how it ended.
std::string requests_in(const std::vector<std::string>& pieces, RequestLimits limits = {}) {
  RequestParser parser(limits);
  std::string seen, left;
  for (const std::string& piece : pieces) {
    left += piece;
    while (!left.empty()) {
      std::size_t used = parser.feed(left);
      left.erase(0, used);
      if (parser.state() == State::kRefused)
        return seen + "refused: " + parser.refusal().domain() + " " + parser.refusal().message();
      if (parser.state() == State::kDone) {
        seen += std::string(parser.method()) + " " + std::string(parser.target()) + " [" + parser.take_body() + "]\n";
        parser.next();
        continue;
      }
      if (used == 0) break;
    }
  }
  return seen + (left.empty() ? "" : "waits");
}

std::string requests_in(const std::string& bytes, RequestLimits limits = {}) {
  return requests_in(std::vector<std::string>{bytes}, limits);
}

const std::string kPost = "POST /a HTTP/1.1\r\nHost: h\r\n";
const std::string kHidden = "POST /hidden HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";

TEST(RequestParserTest, RequestsFollowOneAnother) {
  EXPECT_EQ(requests_in("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n" + kPost + "Content-Length: 4\r\n\r\nbody" + kPost +
                        "Transfer-Encoding: Chunked\r\n\r\n4\r\nplex\r\n06;a=b;c=\"d e\"\r\nspaces\r\n0\r\n\r\n" +
                        "GET /4 HTTP/1.0\r\n\r\n"),
            "GET /1 []\nPOST /a [body]\nPOST /a [plexspaces]\nGET /4 []\n");
}

// Each would let one of two readers see another request in the body of the first.
TEST(RequestParserTest, ARequestWhoseEndCanBeReadInTwoWaysIsRefused) {
  struct Row {
    std::string fields;
    std::string domain;
    std::string named;
  };
  for (const Row& row : std::vector<Row>{
           {"Transfer-Encoding: identity", "PLX-HTT-0020", "'identity'"},
           {"Transfer-Encoding: gzip", "PLX-HTT-0020", "'gzip'"},
           {"Transfer-Encoding: gzip, chunked", "PLX-HTT-0020", "'gzip, chunked'"},
           {"Transfer-Encoding: chunked, identity", "PLX-HTT-0020", "chunked, identity"},
           {"Transfer-Encoding: chunked, chunked", "PLX-HTT-0020", "chunked, chunked"},
           {"Transfer-Encoding: xchunked", "PLX-HTT-0020", "xchunked"},
           {"Transfer-Encoding: \"chunked\"", "PLX-HTT-0020", "chunked"},
           {"Transfer-Encoding: chunked;q=1", "PLX-HTT-0020", "chunked;q=1"},
           {"Transfer-Encoding:", "PLX-HTT-0020", "''"},
           {"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "PLX-HTT-0007", "more than once"},
           {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "PLX-HTT-0007", ""},
           {"Transfer-Encoding: identity\r\nContent-Length: 3", "PLX-HTT-0007", "exclude"},
           {"Content-Length: 3\r\nTransfer-Encoding: identity", "PLX-HTT-0007", ""},
           {"Content-Length: 3\r\nTransfer-Encoding: chunked", "PLX-HTT-0007", ""},
           {"Transfer-Encoding: chunked\r\nContent-Length: 3", "PLX-HTT-0007", ""},
           {"Content-Length: 3\r\nContent-Length: 3", "PLX-HTT-0007", "more than once"},
           {"Content-Length: 3\r\nContent-Length: 4", "PLX-HTT-0007", ""},
           {"Content-Length: 3, 3", "PLX-HTT-0007", "'3, 3'"},
           {"Content-Length: +3", "PLX-HTT-0007", ""},
           {"Content-Length: 0x3", "PLX-HTT-0007", ""},
           {"Content-Length: -3", "PLX-HTT-0007", ""},
           {"Content-Length: 3 4", "PLX-HTT-0007", ""},
           {"Content-Length:", "PLX-HTT-0007", ""},
           {"Content-Length: 18446744073709551619", "PLX-HTT-0007", ""},
           {"Content-Length : 3", "PLX-HTT-0007", ""},
           {"Content-Length\t: 3", "PLX-HTT-0007", ""},
           {"Transfer-Encoding : chunked", "PLX-HTT-0007", ""},
           {"X: y\r\n Content-Length: 3", "PLX-HTT-0007", "white space"},
           {"Content-Length: 3\r\n\t4", "PLX-HTT-0007", ""},
           {"X:\r\n Transfer-Encoding: chunked", "PLX-HTT-0007", "white space"},
           {"X: y\rContent-Length: 3", "PLX-HTT-0007", ""},
           {"X: y\nContent-Length: 3", "PLX-HTT-0007", ""},
           {"X: y\r\r\nContent-Length: 3", "PLX-HTT-0007", ""},
           {"X: y\0z"s, "PLX-HTT-0007", ""},
           {"X\0: y"s, "PLX-HTT-0007", ""},
           {": y", "PLX-HTT-0007", ""},
           {"no colon", "PLX-HTT-0007", ""},
           {" Content-Length: 3", "PLX-HTT-0007", ""},
           {"Host: other", "PLX-HTT-0007", "Host"},
           {"Content-Type: a\r\ncontent-type: b", "PLX-HTT-0007", "Content-Type"},
           {"Origin: http://a\r\nOrigin: http://b", "PLX-HTT-0007", "Origin"},
           {"Idempotency-Key: a\r\nidempotency-key: b", "PLX-HTT-0007", "Idempotency-Key"},
           {"Request-Timeout: 1\r\nRequest-Timeout: 2", "PLX-HTT-0007", "Request-Timeout"},
           {"traceparent: a\r\ntraceparent: b", "PLX-HTT-0007", "traceparent"},
           {"Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site", "PLX-HTT-0007", "Sec-Fetch-Site"},
       }) {
    std::string seen = requests_in(kPost + row.fields + "\r\n\r\n" + kHidden);
    EXPECT_THAT(seen, testing::StartsWith("refused: " + row.domain)) << row.fields;
    EXPECT_THAT(seen, HasSubstr(row.named)) << row.fields;
  }
}

TEST(RequestParserTest, ARequestLineHasOneForm) {
  for (const std::string& line :
       {"GET / HTTP/1.1\n"s, "GET / HTTP/1.1\r"s, "GET  / HTTP/1.1\r\n"s, "GET\t/ HTTP/1.1\r\n"s,
        "GET / HTTP/1.1 \r\n"s, " GET / HTTP/1.1\r\n"s, "\r\nGET / HTTP/1.1\r\n"s, "GET / HTTP/1.2\r\n"s,
        "GET / HTTP/2.0\r\n"s, "GET / http/1.1\r\n"s, "GET / HTTP/1.10\r\n"s, "GET /a\0b HTTP/1.1\r\n"s,
        "GET /a\rb HTTP/1.1\r\n"s, "G(T / HTTP/1.1\r\n"s, "GET /a b HTTP/1.1\r\n"s, "GET HTTP/1.1\r\n"s,
        "PRI * HTTP/2.0\r\n"s, "GET /\r\n"s})
    EXPECT_THAT(requests_in(line + "Host: h\r\n\r\n"), testing::StartsWith("refused: PLX-HTT-0007")) << line;
}

TEST(RequestParserTest, AChunkedBodyHasOneForm) {
  const std::string chunked = kPost + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(requests_in(chunked + "a\r\n0123456789\r\n0\r\n\r\n"), "POST /a [0123456789]\n");
  for (const std::string& body :
       {"zz\r\n"s, "-1\r\n"s, "0x1\r\nx\r\n\r\n"s, " 1\r\nx\r\n"s, "1 \r\nx\r\n"s, "1\nx\r\n0\r\n\r\n"s, "1\rx\r\n"s,
        "1\r\nxx\r\n0\r\n\r\n"s, "1\r\nx\n0\r\n\r\n"s, "1\r\nx0\r\n\r\n"s, "\r\n1\r\nx\r\n"s, "1;\r\nx\r\n"s,
        "1;a=\"b\nc\"\r\nx\r\n0\r\n\r\n"s, "1;a=\"\0\"\r\nx\r\n0\r\n\r\n"s, "ffffffffffffffffff\r\nx\r\n"s,
        "0;a=\"\n\"\r\n\r\n"s, "0\r\nX: y\nz: a\r\n\r\n"s})
    EXPECT_THAT(requests_in(chunked + body), testing::StartsWith("refused: PLX-HTT-0007")) << body;
  EXPECT_EQ(requests_in(chunked + "1;" + std::string(1000, 'x') + "\r\nx\r\n0\r\n\r\n"), "POST /a [x]\n");
}

// They would be taken for fields of the header, which decide who may send the request.
TEST(RequestParserTest, FieldsBehindABodyAreRefused) {
  for (const std::string& trailer : {"Idempotency-Key: k", "Content-Type: application/json", "X: y", "Host: h"})
    EXPECT_THAT(requests_in(kPost + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + trailer + "\r\n\r\n"),
                testing::StartsWith("refused: PLX-HTT-0007"))
        << trailer;
}

TEST(RequestParserTest, WhatIsBeyondALimitIsRefusedBeforeItIsThere) {
  const RequestLimits limits{.body_bytes_max = 1000, .header_bytes_max = 2000, .target_bytes_max = 100};
  const std::string chunked = kPost + "Transfer-Encoding: chunked\r\n\r\n";
  auto refusal = [&](const std::string& bytes) { return requests_in(bytes, limits).substr(0, 21); };
  EXPECT_EQ(refusal("GET /" + std::string(100, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n"), "refused: PLX-HTT-0009");
  EXPECT_EQ(refusal(kPost + "Content-Length: 1001\r\n\r\n"), "refused: PLX-HTT-0010");
  EXPECT_EQ(refusal(kPost + "Content-Length: 18446744073709551615\r\n\r\n"), "refused: PLX-HTT-0010");
  EXPECT_EQ(refusal(chunked + "3e9\r\n"), "refused: PLX-HTT-0010");
  EXPECT_EQ(refusal(chunked + "3e8\r\n" + std::string(1000, 'x') + "\r\n1\r\n"), "refused: PLX-HTT-0010");
  EXPECT_EQ(refusal("GET /" + std::string(5000, 'x')), "refused: PLX-HTT-0011");
  EXPECT_EQ(refusal(kPost + "X: " + std::string(5000, 'x')), "refused: PLX-HTT-0011");
  EXPECT_EQ(
      refusal("GET /" + std::string(90, 'x') + " HTTP/1.1\r\nHost: h\r\nX: " + std::string(1910, 'x') + "\r\n\r\n"),
      "refused: PLX-HTT-0011");  // together
  EXPECT_EQ(refusal(chunked + "1;" + std::string(5000, 'x')), "refused: PLX-HTT-0011");
  EXPECT_EQ(refusal(chunked + "0\r\nX: " + std::string(5000, 'x')), "refused: PLX-HTT-0011");
  std::string extensions;
  for (int i = 0; i < 300; ++i) extensions += "1;abcdefgh\r\nx\r\n";
  EXPECT_EQ(refusal(chunked + extensions), "refused: PLX-HTT-0011");
}

TEST(RequestParserTest, FieldsThatAreReadAreGivenAndAbsentOnesAreNotEmpty) {
  RequestParser parser({});
  parser.feed(
      "POST /a HTTP/1.1\r\nhost: localhost\r\nIdempotency-Key: \r\nORIGIN:http://a \r\nX: y\r\nContent-Type: a;b\r\n"
      "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
  ASSERT_EQ(parser.state(), State::kBody);
  EXPECT_EQ(parser.headers().host, "localhost");
  EXPECT_EQ(parser.headers().idempotency_key, "");
  EXPECT_EQ(parser.headers().origin, "http://a");
  EXPECT_EQ(parser.headers().content_type, "a;b");
  EXPECT_EQ(parser.headers().sec_fetch_site, std::nullopt);
  EXPECT_TRUE(parser.expects_continue());
  EXPECT_EQ(parser.feed("x"), 1u);
  EXPECT_EQ(parser.state(), State::kDone);
  EXPECT_EQ(parser.take_body(), "x");
  parser.next();
  EXPECT_EQ(parser.headers().host, std::nullopt);
}

RC_GTEST_PROP(RequestParserTest, HoweverTheBytesAreCutTheRequestsAreTheSame, ()) {
  auto part = rc::gen::element<std::string>(
      "GET /g HTTP/1.1\r\nHost: h\r\n\r\n", kPost + "Content-Length: 3\r\n\r\nabc",
      kPost + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      kPost + "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0;z\r\n\r\n",
      kPost + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n",
      kPost + "Content-Length: 3\r\n y\r\n\r\n", kPost + "Transfer-Encoding: gzip\r\n\r\n", "\r\n", "x");
  std::string bytes;
  for (const std::string& each : *rc::gen::container<std::vector<std::string>>(part)) bytes += each;
  std::vector<std::string> pieces;
  auto longest = *rc::gen::element<std::size_t>(1, 2, 3, 7, 40);
  for (std::size_t at = 0; at < bytes.size();) {
    auto count = *rc::gen::inRange<std::size_t>(1, longest + 1);
    pieces.push_back(bytes.substr(at, count));
    at += count;
  }
  RC_ASSERT(requests_in(pieces) == requests_in(bytes));
}

RC_GTEST_PROP(RequestParserTest, AnyChangedByteIsARequestOrAnErrorAndNeverTwoRequests, ()) {
  std::string bytes = kPost + "Transfer-Encoding: chunked\r\nX: y\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\n\r\n";
  auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
  bytes[at] = *rc::gen::arbitrary<char>();
  std::string seen = requests_in(bytes);
  RC_ASSERT(std::count(seen.begin(), seen.end(), '\n') <= 1);
}

}  // namespace
}  // namespace plexspaces::http
