#include "plexspaces/http/server.hpp"

#include <atomic>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/http/problem.hpp"

namespace plexspaces::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using testing::HasSubstr;
using testing::StartsWith;

struct IdleWorker final : env::Worker {
  TimePoint run_batch(TimePoint) override { return kNever; }
  bool has_cross_worker_work() const override { return false; }
};

class ManualClock final : public env::Clock {
 public:
  TimePoint now() const override { return TimePoint(Duration(nanoseconds_.load())); }
  WallTime wall_now() const override {
    return WallTime(std::chrono::milliseconds(784111777000));
  }  // RFC 9110's example
  void advance(Duration by) { nanoseconds_ += by.count(); }

 private:
  std::atomic<std::int64_t> nanoseconds_{1};
};

/// A blocking connection that sees the bytes.
class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(io_) {
    socket_.connect(tcp::endpoint(asio::ip::address_v4::loopback(), port));
  }

  void send(std::string_view bytes) {
    boost::system::error_code ignored;  // a refused client may be cut while it sends
    asio::write(socket_, asio::buffer(bytes), ignored);
  }

  /// Header and body of the next answer; empty at the end of the connection.
  std::string receive(bool head = false) {
    boost::system::error_code error;
    std::size_t header = asio::read_until(socket_, asio::dynamic_buffer(buffer_), "\r\n\r\n", error);
    if (error) return {};
    std::size_t body = 0;
    if (auto at = buffer_.find("Content-Length: "); at < header && !head) body = std::stoul(buffer_.substr(at + 16));
    if (buffer_.size() < header + body)
      asio::read(socket_, asio::dynamic_buffer(buffer_), asio::transfer_exactly(header + body - buffer_.size()), error);
    if (error) return {};
    std::string answer = buffer_.substr(0, header + body);
    buffer_.erase(0, header + body);
    return answer;
  }

  void close() { socket_.close(); }

  std::string ask(std::string_view request) {
    send(request);
    return receive();
  }

 private:
  asio::io_context io_;
  tcp::socket socket_;
  std::string buffer_;
};

std::string get(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

std::string post(std::string_view target, std::string_view body) {
  return "POST " + std::string(target) +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

class ServerTest : public testing::Test {
 protected:
  ServerTest() : executor_({.workers = 2, .spin = 0us}) {
    env::Worker* workers[] = {&workers_[0], &workers_[1]};
    executor_.start(workers);
  }
  ~ServerTest() override {
    if (server_) server_->stop(0s);
    executor_.stop();
  }

  void serve(Handler handler, ServerOptions options = {}) {
    options.port = 0;
    auto server = Server::start(executor_, clock_, options, std::move(handler));
    ASSERT_TRUE(server) << server.error().to_string();
    server_ = std::move(*server);
  }

  Client connect() { return Client(server_->port()); }

  IdleWorker workers_[2];
  env::PosixExecutor executor_;
  ManualClock clock_;
  std::unique_ptr<Server> server_;
};

void echo(Request request, Respond respond) {
  respond(Response{.body = std::string(request.method) + " " + std::string(request.target) + " " + request.body});
}

TEST_F(ServerTest, AConnectionServesManyRequests) {
  serve(echo);
  Client client = connect();
  for (int i = 0; i < 50; ++i)
    EXPECT_THAT(client.ask(post("/a/" + std::to_string(i), "body")),
                HasSubstr("\r\n\r\nPOST /a/" + std::to_string(i) + " body"));
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(ServerTest, AnAnswerHasTheFieldsThatHttpWants) {
  serve(echo);
  EXPECT_EQ(connect().ask(get("/")),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 6\r\n"
            "Content-Type: application/json\r\n\r\nGET / ");
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  serve(echo);
  Client client = connect();
  std::string requests;
  for (int i = 0; i < 200; ++i)
    requests += i % 2 == 0 ? get("/" + std::to_string(i)) : post("/" + std::to_string(i), "x");
  client.send(requests);
  for (int i = 0; i < 200; ++i) EXPECT_THAT(client.receive(), HasSubstr(" /" + std::to_string(i) + " "));
}

TEST_F(ServerTest, ARequestMayComeByteByByte) {
  serve(echo);
  Client client = connect();
  for (char c : post("/slow", "body")) client.send({&c, 1});
  EXPECT_THAT(client.receive(), HasSubstr("POST /slow body"));
}

TEST_F(ServerTest, AChunkedBodyIsPutTogether) {
  serve(echo);
  EXPECT_THAT(connect().ask("POST /c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
                            "chunked\r\n\r\n4\r\nplex\r\n6\r\nspaces\r\n0\r\n\r\n"),
              HasSubstr("POST /c plexspaces"));
}

TEST_F(ServerTest, ABodyThatWaitsForTheServersConsentIsAskedFor) {
  serve(echo);
  Client client = connect();
  client.send("POST /e HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(client.receive(), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_THAT(client.ask("body"), HasSubstr("POST /e body"));
}

TEST_F(ServerTest, HeadIsAnsweredWithoutABody) {
  serve(echo);
  Client client = connect();
  client.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  std::string head = client.receive(/*head=*/true);
  EXPECT_THAT(head, HasSubstr("Content-Length: 7\r\n"));
  EXPECT_THAT(head, testing::EndsWith("\r\n\r\n"));
  EXPECT_THAT(client.ask(get("/next")), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, AnHttp10ClientIsClosedUnlessItAsksToStay) {
  serve(echo);
  Client closed = connect();
  EXPECT_THAT(closed.ask("GET / HTTP/1.0\r\n\r\n"), HasSubstr("Connection: close\r\n"));
  EXPECT_EQ(closed.receive(), "");
  Client stays = connect();
  EXPECT_THAT(stays.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), HasSubstr("Connection: keep-alive\r\n"));
  EXPECT_THAT(stays.ask(get("/")), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, SixtyFourConnectionsAreServedAtOnce) {
  // Each request is held until all 64 are with the handler.
  std::mutex mutex;
  std::vector<Respond> held;
  serve([&](Request, Respond respond) {
    std::vector<Respond> all;
    {
      std::scoped_lock lock(mutex);
      held.push_back(std::move(respond));
      if (held.size() == 64) all.swap(held);
    }
    for (Respond& one : all) one(Response{.body = "together"});
  });
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<Client>(server_->port()));
    clients.back()->send(get("/"));
  }
  for (auto& client : clients) EXPECT_THAT(client->receive(), HasSubstr("together"));
}

TEST_F(ServerTest, AnswersComeFromAnyThread) {
  std::mutex mutex;
  std::vector<std::thread> threads;
  serve([&](Request request, Respond respond) {
    std::scoped_lock lock(mutex);
    threads.emplace_back([target = std::string(request.target), respond = std::move(respond)]() mutable {
      respond(Response{.body = "from afar " + target});
    });
  });
  std::vector<std::thread> clients;
  std::atomic<int> right{0};
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&] {
      Client client = connect();
      for (int i = 0; i < 20; ++i)
        if (client.ask(get("/" + std::to_string(i))).contains("from afar /" + std::to_string(i))) ++right;
    });
  }
  for (auto& client : clients) client.join();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 160);
}

TEST_F(ServerTest, ADroppedRequestIsAnsweredWith500) {
  serve([](Request, Respond) {});
  Client client = connect();
  EXPECT_THAT(client.ask(get("/")), testing::AllOf(StartsWith("HTTP/1.1 500"), HasSubstr("PLX-HTT-0016")));
  EXPECT_THAT(client.ask(get("/")), StartsWith("HTTP/1.1 500"));
}

struct BadRequest {
  std::string what;
  std::string bytes;
  std::string status;
  std::string domain;
};

class ServerBadRequestTest : public ServerTest, public testing::WithParamInterface<BadRequest> {};

TEST_P(ServerBadRequestTest, IsToldWhatIsWrongAndTheServerGoesOn) {
  serve(echo);
  Client client = connect();
  client.send(GetParam().bytes);
  std::string answer = client.receive();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + GetParam().status + " "));
  EXPECT_THAT(answer, HasSubstr("application/problem+json"));
  EXPECT_THAT(answer, HasSubstr(GetParam().domain));
  EXPECT_EQ(client.receive(), "");  // nothing behind it is taken for a request
  EXPECT_THAT(connect().ask(get("/alive")), HasSubstr("GET /alive"));
}

INSTANTIATE_TEST_SUITE_P(
    All, ServerBadRequestTest,
    testing::Values(
        BadRequest{"MalformedLine", "this is not http\r\n\r\n", "400", "PLX-HTT-0007"},
        BadRequest{"NoVersion", "GET /\r\n\r\n", "400", "PLX-HTT-0007"},
        BadRequest{"BinaryNoise", std::string("\x16\x03\x01\x02\x00\x01\x00\x01", 8) + "\r\n\r\n", "400",
                   "PLX-HTT-0007"},
        BadRequest{"NoHost", "GET / HTTP/1.1\r\n\r\n", "400", "PLX-HTT-0007"},
        BadRequest{"TwoHosts", "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "400", "PLX-HTT-0007"},
        BadRequest{"LengthIsNotANumber", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ten\r\n\r\n", "400",
                   "PLX-HTT-0007"},
        BadRequest{"TwoLengths",
                   "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400",
                   "PLX-HTT-0007"},
        BadRequest{
            "LengthAndChunks",
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400", "PLX-HTT-0007"},
        BadRequest{"BadChunk", "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400",
                   "PLX-HTT-0007"},
        BadRequest{"HeaderTooLarge",
                   "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20 << 10, 'x') + "\r\n\r\n", "431",
                   "PLX-HTT-0011"},
        BadRequest{"EndlessHeader", "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(64 << 10, 'x'), "431",
                   "PLX-HTT-0011"},
        BadRequest{"TargetTooLong", get("/" + std::string(9 << 10, 'x')), "414", "PLX-HTT-0009"},
        BadRequest{"BodyTooLarge", post("/", std::string((1 << 20) + 1, 'x')), "413", "PLX-HTT-0010"},
        BadRequest{"BodyAnnouncedTooLarge", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
                   "413", "PLX-HTT-0010"},
        BadRequest{"ChunksTooLarge",
                   "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n" +
                       std::string(0x200000, 'x'),
                   "413", "PLX-HTT-0010"},
        BadRequest{"UnknownCoding",
                   "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n" + get("/hidden"), "501",
                   "PLX-HTT-0020"},
        BadRequest{"AnotherHost", "POST / HTTP/1.1\r\nHost: evil.com\r\nContent-Length: 100\r\n\r\n", "421",
                   "PLX-HTT-0021"},
        BadRequest{"AnotherOrigin",
                   "POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.com\r\nContent-Length: 100\r\n\r\n",
                   "403", "PLX-HTT-0022"},
        BadRequest{"AnotherSite", "GET / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n", "403",
                   "PLX-HTT-0022"},
        BadRequest{
            "EndlessChunkLine",
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(64 << 10, 'x'),
            "431", "PLX-HTT-0011"},
        BadRequest{"TimeoutIsEmpty", "GET / HTTP/1.1\r\nHost: localhost\r\nRequest-Timeout:\r\n\r\n", "400",
                   "PLX-HTT-0008"},
        BadRequest{"TimeoutIsNotANumber", "GET / HTTP/1.1\r\nHost: localhost\r\nRequest-Timeout: soon\r\n\r\n", "400",
                   "PLX-HTT-0008"},
        BadRequest{"TimeoutIsNegative", "GET / HTTP/1.1\r\nHost: localhost\r\nRequest-Timeout: -1\r\n\r\n", "400",
                   "PLX-HTT-0008"}),
    [](const auto& row) { return row.param.what; });

TEST_F(ServerTest, WhatIsRefusedByItsHeaderIsNotAskedForItsBody) {
  serve(echo);
  EXPECT_THAT(connect().ask("POST / HTTP/1.1\r\nHost: evil.com\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
              StartsWith("HTTP/1.1 421"));
}

TEST_F(ServerTest, AHostThatIsAllowedIsServed) {
  serve(echo, {.allowed_hosts = {"plex.example"}});
  EXPECT_THAT(connect().ask("GET / HTTP/1.1\r\nHost: plex.example\r\nOrigin: https://plex.example\r\n\r\n"),
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(connect().ask("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n"), StartsWith("HTTP/1.1 421"));
}

TEST_F(ServerTest, ABodyAtTheLimitIsTaken) {
  serve([](Request request, Respond respond) { respond(Response{.body = std::to_string(request.body.size())}); });
  EXPECT_THAT(connect().ask(post("/", std::string(1 << 20, 'x'))), HasSubstr("\r\n\r\n1048576"));
}

TEST_F(ServerTest, ARequestMayShortenItsTimeoutOnly) {
  serve([](Request request, Respond respond) { respond(Response{.body = std::to_string(request.timeout.count())}); },
        {.request_timeout = 30s});
  Client client = connect();
  EXPECT_THAT(client.ask("GET / HTTP/1.1\r\nHost: localhost\r\nRequest-Timeout: 2.5\r\n\r\n"),
              HasSubstr("\r\n\r\n2500000000"));
  EXPECT_THAT(client.ask("GET / HTTP/1.1\r\nHost: localhost\r\nRequest-Timeout: 1e300\r\n\r\n"),
              HasSubstr("\r\n\r\n30000000000"));
  EXPECT_THAT(client.ask(get("/")), HasSubstr("\r\n\r\n30000000000"));
}

// Waits until `connections` are open, by their count and not by time.
void wait_for_connections(const Server& server, std::size_t connections) {
  while (server.connections() != connections) std::this_thread::yield();
}

TEST_F(ServerTest, AConnectionOverTheLimitIsToldSo) {
  serve(echo, {.connections_max = 2});
  Client first = connect(), second = connect();
  EXPECT_THAT(first.ask(get("/")), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(second.ask(get("/")), StartsWith("HTTP/1.1 200"));
  {
    Client third = connect();
    EXPECT_THAT(third.receive(),
                testing::AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("PLX-HTT-0014"), HasSubstr("Retry-After: ")));
    EXPECT_EQ(third.receive(), "");
  }
  wait_for_connections(*server_, 2);
  EXPECT_THAT(first.ask(get("/")), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, ASlowHeaderIsCut) {
  serve(echo);
  Client slow = connect();
  Client quick = connect();
  EXPECT_THAT(quick.ask(get("/")), StartsWith("HTTP/1.1 200"));
  slow.send("GET / HTTP/1.1\r\nHost: ");
  // Swept until the server has seen the first bytes and their time is up.
  std::future<std::string> answer = std::async(std::launch::async, [&] { return slow.receive() + slow.receive(); });
  while (answer.wait_for(0s) != std::future_status::ready) {
    clock_.advance(11s);  // over header_timeout, under idle_timeout: the quick one stays as long as it speaks
    server_->sweep();
    EXPECT_THAT(quick.ask(get("/")), StartsWith("HTTP/1.1 200"));
  }
  std::string said = answer.get();
  EXPECT_THAT(said, testing::AllOf(StartsWith("HTTP/1.1 408"), HasSubstr("PLX-HTT-0018")));
}

TEST_F(ServerTest, ASilentConnectionIsClosed) {
  serve(echo);
  Client silent = connect();
  wait_for_connections(*server_, 1);
  while (server_->connections() != 0) {
    clock_.advance(61s);
    server_->sweep();
    std::this_thread::yield();
  }
  EXPECT_EQ(silent.receive(), "");
}

TEST_F(ServerTest, ARequestThatIsNotAnsweredEndsWith504AndItsLateAnswerIsDropped) {
  std::promise<Respond> promised;
  std::atomic<bool> first{true};
  serve([&](Request request, Respond respond) {
    if (first.exchange(false)) return promised.set_value(std::move(respond));
    echo(std::move(request), std::move(respond));
  });
  Client client = connect();
  client.send(get("/late"));
  Respond late = promised.get_future().get();
  clock_.advance(32s);
  server_->sweep();
  EXPECT_THAT(client.receive(), testing::AllOf(StartsWith("HTTP/1.1 504"), HasSubstr("outcome is not known")));
  late(Response{.body = "too late"});
  EXPECT_THAT(client.ask(get("/next")), HasSubstr("GET /next"));
}

TEST_F(ServerTest, StoppingAnswersWhatIsInFlight) {
  std::promise<Respond> promised;
  serve([&](Request, Respond respond) { promised.set_value(std::move(respond)); });
  Client idle = connect();
  Client busy = connect();
  busy.send(get("/"));
  Respond respond = promised.get_future().get();
  std::future<void> stopped = std::async(std::launch::async, [&] { server_->stop(Duration::max()); });
  EXPECT_EQ(idle.receive(), "");  // the idle one is closed: the stop has begun
  respond(Response{.body = "done"});
  EXPECT_THAT(busy.receive(), testing::AllOf(HasSubstr("Connection: close"), HasSubstr("\r\n\r\ndone")));
  EXPECT_EQ(busy.receive(), "");
  busy.close();
  stopped.get();
  EXPECT_EQ(server_->connections(), 0u);
  EXPECT_ANY_THROW(connect());
}

TEST_F(ServerTest, StoppingWithoutGraceCutsWhatIsInFlight) {
  std::promise<Respond> promised;
  serve([&](Request, Respond respond) { promised.set_value(std::move(respond)); });
  Client busy = connect();
  busy.send(get("/"));
  Respond respond = promised.get_future().get();
  server_->stop(0s);
  EXPECT_EQ(busy.receive(), "");
  respond(Response{});  // goes nowhere, harms nothing
  server_.reset();
}

TEST_F(ServerTest, APortInUseIsRefused) {
  serve(echo);
  auto second = Server::start(executor_, clock_, {.port = server_->port()}, echo);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kAlreadyExists);
  EXPECT_THAT(second.error().message(), HasSubstr(std::to_string(server_->port())));
}

TEST_F(ServerTest, AnAddressIsAnAddressOfThisMachine) {
  EXPECT_EQ(Server::start(executor_, clock_, {.address = "localhost"}, echo).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Server::start(executor_, clock_, {.address = "192.0.2.1"}, echo).error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace plexspaces::http
