// A node as a process: how it starts, refuses, answers and ends.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node_fixture.hpp"
#include "process.hpp"

namespace plexspaces::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

class NodeProcessTest : public NodeFixture {};

TEST_F(NodeProcessTest, ItSaysWhatListensWhereAndServes) {
  auto node = start();
  EXPECT_THAT(node->wait_for_line("ready in"), MatchesRegex("PlexSpaces [0-9.]+  node1 ready in [0-9]+ ms"));
  std::uint16_t port = port_of(*node);
  ASSERT_NE(port, 0);
  EXPECT_THAT(node->wait_for_line("data"), HasSubstr(data()));
  HttpClient client(port);
  EXPECT_EQ(client.ask("GET", "/healthz/live").body, R"({"status": "live"})");
  EXPECT_EQ(client.ask("GET", "/healthz/ready").status, 200);
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 5})").body, "5");
  EXPECT_EQ(client.ask("PUT", kAdd, R"({"by": 2})").body, "7");
  EXPECT_EQ(client.ask("GET", kCounter).body, "7");  // its only read
  EXPECT_EQ(client.ask("GET", "/api/v1/actors/test/counter?key=a").body, "7");
  EXPECT_EQ(client.ask("GET", "/api/v1/outbox").body, R"({"pending": 0})");
}

TEST_F(NodeProcessTest, SigtermEndsItAndTheStateIsThereAfterwards) {
  for (int round = 1; round <= 3; ++round) {
    auto node = start();
    HttpClient client(port_of(*node));
    EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 1})").body, std::to_string(round));
    node->send_signal(SIGTERM);
    EXPECT_EQ(node->wait(), 0) << node->errors();
    EXPECT_THAT(node->errors(), HasSubstr("SIGTERM"));
  }
}

TEST_F(NodeProcessTest, SigtermStopsApplicationsInOrder) {
  auto node = start({}, {"PLX_TEST_APPLICATION=runs"});
  ASSERT_NE(port_of(*node), 0);
  node->send_signal(SIGTERM);
  EXPECT_EQ(node->wait(), 0) << node->errors();
  EXPECT_THAT(node->errors(),
              MatchesRegex("the service is up\n.*SIGTERM: stopping\nthe service has ended\n.*stopped\n"));
}

TEST_F(NodeProcessTest, APermanentApplicationThatEndsTakesTheNodeWithIt) {
  auto node = start({}, {"PLX_TEST_APPLICATION=fails"});
  EXPECT_EQ(node->wait(), kExitFailed) << node->errors();
  EXPECT_THAT(node->errors(), HasSubstr("the application 'service' has ended, and the node ends with it"));
  EXPECT_THAT(node->errors(), HasSubstr("a request: stopping"));
}

TEST_F(NodeProcessTest, ClosedStandardStreamsTouchNoFile) {
  std::int64_t sum = 0;
  for (const std::string closed : {"<&- >&- 2>&-", "<&-", ">&-", "2>&-", "<&- 2>&-", ">&- 2>&-"}) {
    HeldPort port;
    Process node(in_shell("exec \"$@\" " + closed, {PLX_TEST_NODE, "dev", "--data.directory=" + data(),
                                                    "--http.port=" + std::to_string(port.number())}));
    ASSERT_TRUE(port.wait_until_served(node)) << closed << "\n" << node.errors();
    EXPECT_EQ(HttpClient(port.number()).ask("POST", kAdd, R"({"by": 1})").body, std::to_string(++sum)) << closed;
    node.send_signal(SIGTERM);
    EXPECT_EQ(node.wait(), 0) << closed;
  }
  auto again = start();
  EXPECT_EQ(HttpClient(port_of(*again)).ask("GET", kCounter).body, std::to_string(sum));
}

TEST_F(NodeProcessTest, AResultThatCannotBeWrittenIsAnError) {
  for (const std::string target : {">&-", ">/dev/full"}) {
    Process types(in_shell("exec \"$@\" " + target, {PLX_TEST_NODE, "types", "--record"}));
    EXPECT_EQ(types.wait(), kExitFailed) << target;
    EXPECT_THAT(types.errors(), HasSubstr("cannot write to standard output"));
  }
}

TEST_F(NodeProcessTest, SignalsThatMeanNothingDoNothing) {
  auto node = start();
  HttpClient client(port_of(*node));
  for (int number : {SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ, SIGWINCH, SIGURG, SIGCHLD}) {
    node->send_signal(number);
    EXPECT_EQ(client.ask("GET", "/healthz/live").status, 200) << number;
  }
  node->send_signal(SIGTERM);
  EXPECT_EQ(node->wait(), 0);
  EXPECT_THAT(node->errors(), AllOf(HasSubstr("SIGTERM: stopping"), testing::Not(HasSubstr("request"))));
}

TEST_F(NodeProcessTest, AHangUpStopsItUnlessItWasStartedToOutliveTheTerminal) {
  auto node = start();
  ASSERT_NE(port_of(*node), 0);
  node->send_signal(SIGHUP);
  EXPECT_EQ(node->wait(), 0);
  EXPECT_THAT(node->errors(), HasSubstr("SIGHUP: stopping"));

  Process kept(
      in_shell("trap '' HUP; exec \"$@\"", {PLX_TEST_NODE, "dev", "--http.port=0", "--data.directory=" + data()}));
  HttpClient client(port_of(kept));
  kept.send_signal(SIGHUP);
  EXPECT_EQ(client.ask("GET", "/healthz/live").status, 200);
  kept.send_signal(SIGINT);
  EXPECT_EQ(kept.wait(), 0);
  EXPECT_THAT(kept.errors(), HasSubstr("SIGINT: stopping"));
}

TEST_F(NodeProcessTest, SigtermThatTheParentHasBlockedStillStopsIt) {
  Process node(
      {"/usr/bin/env", "--block-signal=TERM", PLX_TEST_NODE, "dev", "--http.port=0", "--data.directory=" + data()});
  ASSERT_NE(port_of(node), 0);
  node.send_signal(SIGTERM);
  EXPECT_EQ(node.wait(), 0);
}

TEST_F(NodeProcessTest, AStopWithoutTimeIsRefused) {
  auto node = start({"--node.stop_timeout=0"});
  EXPECT_EQ(node->wait(), kExitUsage);
  EXPECT_THAT(node->errors(), AllOf(HasSubstr("node.stop_timeout"), HasSubstr("1ms")));
}

TEST_F(NodeProcessTest, NamesThatNobodyCouldAddressAreRefusedWhereverTheyComeFrom) {
  const std::string long_name(100'000, 'n');
  for (const std::string& name : {std::string("a@b"), long_name}) {
    for (auto& node : {start({"--node.name=" + name}), start({}, {"PLEXSPACES_NODE__NAME=" + name})}) {
      EXPECT_EQ(node->wait(), kExitUsage);
      EXPECT_THAT(node->errors(), HasSubstr("node.name"));
      EXPECT_LT(node->errors().size(), 1'000u);
    }
  }
  auto node = start();
  std::uint16_t port = port_of(*node);
  for (const std::string& actor : {"test/counter/" + long_name, "test/" + long_name + "/a", long_name + "/counter/a"}) {
    Process ask({PLX_TEST_NODE, "actor", "ask", actor, "Add", R"({"by": 1})", "--http.port=" + std::to_string(port)});
    EXPECT_NE(ask.wait(), 0);
    EXPECT_LT(ask.errors().size(), 2'000u);
  }
  // A key is any text: what has an @ is another actor than what has none.
  const std::string at = "/api/v1/actors/default/test/counter/a@node1";
  HttpClient client(port);
  EXPECT_EQ(client.ask("POST", at + "/Add", R"({"by": 4})").body, "4");
  EXPECT_EQ(client.ask("GET", at).body, "4");
  EXPECT_EQ(client.ask("GET", "/api/v1/actors/default/test/counter/a%40node1").body, "4");
  EXPECT_EQ(client.ask("GET", kCounter).body, "0");
}

TEST_F(NodeProcessTest, AHandlerMayForkStartProgramsAndEndTheProcess) {
  {
    auto node = start();
    std::string port = std::to_string(port_of(*node));
    HttpClient client(static_cast<std::uint16_t>(std::stoi(port)));
    EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 1})").body, "1");
    EXPECT_EQ(client.ask("POST", kHost + "Fork", "{}").body, "7");
    // The program has neither the node's signal handling, nor its files and connections; it outlives the node.
    EXPECT_EQ(client
                  .ask("POST", kHost + "Execute",
                       R"({"command": "sleep 1000 >&- 2>&- <&- & echo $! >)" + directory_ + R"(/pid"})")
                  .body,
              "0");
    EXPECT_EQ(client.ask("POST", kHost + "Exit", R"({"code": 3})").status, 0);
    EXPECT_EQ(node->wait(), 3);
    pid_t left = 0;
    std::ifstream(directory_ + "/pid") >> left;
    ASSERT_GT(left, 1);
    std::string open;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(left) + "/fd"))
      open += std::filesystem::read_symlink(entry.path()).string() + " ";
    EXPECT_THAT(open, testing::Not(testing::AnyOf(HasSubstr("socket"), HasSubstr(data()))));
    std::uint64_t ours = 0;
    for (int number : {SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2}) ours |= std::uint64_t{1} << (number - 1);
    std::ifstream status("/proc/" + std::to_string(left) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("SigBlk:") || line.starts_with("SigIgn:"))
        EXPECT_EQ(std::stoull(line.substr(8), nullptr, 16) & ours, 0u) << line;
    auto again = std::make_unique<Process>(
        std::vector<std::string>{PLX_TEST_NODE, "dev", "--http.port=" + port, "--data.directory=" + data()});
    EXPECT_EQ(HttpClient(port_of(*again)).ask("GET", kCounter).body, "1");
    ::kill(left, SIGKILL);
  }
}

TEST_F(NodeProcessTest, SigkillLosesNothingThatWasAnswered) {
  std::int64_t sum = 0;
  for (int round = 0; round < 3; ++round) {
    auto node = start();
    HttpClient client(port_of(*node));
    for (int i = 0; i < 20; ++i) sum = std::stoll(client.ask("POST", kAdd, R"({"by": 1})").body);
    EXPECT_EQ(sum, 20 * (round + 1));
    node->send_signal(SIGKILL);
    EXPECT_EQ(node->wait(), -SIGKILL);
  }
}

TEST_F(NodeProcessTest, WhatIsCutOffTheLogAfterACrashIsNamedAndKept) {
  auto node = start();
  HttpClient(port_of(*node)).ask("POST", kAdd, R"({"by": 1})");
  node->send_signal(SIGKILL);
  node->wait();
  // As if the machine had lost power while the last page was written.
  std::filesystem::path wal = data() + "/plexspaces.db-wal";
  std::fstream file(wal, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x7f');
  file.close();
  node = start();
  port_of(*node);
  node->send_signal(SIGTERM);
  EXPECT_EQ(node->wait(), 0);
  EXPECT_NE(node->errors().find("plexspaces.db-torn-1"), std::string::npos) << node->errors();
  EXPECT_TRUE(std::filesystem::exists(data() + "/plexspaces.db-torn-1"));
}

TEST_F(NodeProcessTest, SigtermUnderLoadKeepsWhatWasAcknowledged) {
  auto node = start();
  std::uint16_t port = port_of(*node);
  std::atomic<std::int64_t> acknowledged{0}, sent{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c)
    clients.emplace_back([&] {
      HttpClient client(port);
      while (true) {
        ++sent;
        HttpAnswer answer = client.ask("POST", kAdd, R"({"by": 1})");
        if (answer.status != 200) return;
        ++acknowledged;
      }
    });
  while (acknowledged < 200) std::this_thread::yield();
  node->send_signal(SIGTERM);
  EXPECT_EQ(node->wait(), 0) << node->errors();
  for (std::thread& client : clients) client.join();
  auto again = start();
  std::int64_t stored = std::stoll(HttpClient(port_of(*again)).ask("GET", kCounter).body);
  EXPECT_GE(stored, acknowledged);
  EXPECT_LE(stored, sent);
}

TEST_F(NodeProcessTest, AClientThatNeverFinishesDoesNotHoldUpTheEnd) {
  auto node = start({"--node.stop_timeout=500ms"});
  std::uint16_t port = port_of(*node);
  HttpClient half(port), idle(port);
  EXPECT_EQ(idle.ask("GET", "/healthz/live").status, 200);
  half.send("POST " + kAdd +
            " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{");
  EXPECT_EQ(idle.ask("GET", "/healthz/live").status, 200);
  node->send_signal(SIGTERM);
  EXPECT_EQ(node->wait(), 0) << node->errors();
  EXPECT_EQ(half.receive().status, 0);
}

TEST_F(NodeProcessTest, AnIdempotencyKeyMakesARetrySafeAcrossARestart) {
  const std::vector<std::string> key{"Idempotency-Key: row-17"};
  {
    auto node = start();
    HttpClient client(port_of(*node));
    EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 3})", key).body, "3");
    EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 3})", key).body, "3");
    EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 3})").body, "6");
    node->send_signal(SIGKILL);
    node->wait();
  }
  auto node = start();
  HttpClient client(port_of(*node));
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 3})", key).body, "3");
  EXPECT_EQ(client.ask("GET", kCounter).body, "6");
}

TEST_F(NodeProcessTest, DeleteForgetsTheStateButNotTheRetry) {
  auto node = start();
  HttpClient client(port_of(*node));
  const std::vector<std::string> key{"Idempotency-Key: k"};
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 3})", key).body, "3");
  EXPECT_EQ(client.ask("DELETE", kCounter).status, 204);
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 3})", key).body, "3");  // a late retry
  EXPECT_EQ(client.ask("GET", kCounter).body, "0");
}

TEST_F(NodeProcessTest, BadInputIsToldWhatIsWrongAndChangesNothing) {
  struct Row {
    std::string method;
    std::string target;
    std::string body;
    int status;
    std::string named;
  };
  const std::string actors = "/api/v1/actors/default/test/";
  const std::vector<Row> rows{
      {"POST", kAdd, R"({"by": )", 400, "JSON"},
      {"POST", kAdd, R"({"small": 1})", 422, "by"},
      {"POST", kAdd, R"({"by": "many"})", 422, "by"},
      {"POST", kAdd, R"({"by": 1, "small": 99999999999})", 422, "small"},
      {"POST", kAdd, R"({"by": 1, "smal": 1})", 422, "smal"},
      {"POST", kAdd, R"([1])", 422, "Add"},
      {"POST", kAdd, R"({"by": -1})", 400, "only grows"},
      {"POST", actors + "counetr/a/Add", R"({"by": 1})", 404, "counetr"},
      {"POST", std::string(kCounter) + "/Addd", R"({"by": 1})", 404, "Addd"},
      {"POST", kCounter, R"({"by": 1})", 400, "Clear"},  // Add or Clear: not the only one
      {"GET", kAdd, "", 405, "Add"},
      {"PATCH", kAdd, R"({"by": 1})", 405, "PATCH"},
      {"POST", actors + "counter/" + std::string(257, 'k') + "/Add", R"({"by": 1})", 400, "257"},
      {"POST", kAdd, R"({"by": 1, "x": ")" + std::string((1 << 20) + 1, 'x') + "\"}", 413, "bytes"},
      {"GET", "/api/v2/actors", "", 404, "/api/v2/actors"},
  };
  auto node = start();
  std::uint16_t port = port_of(*node);
  EXPECT_EQ(HttpClient(port).ask("POST", kAdd, R"({"by": 1})").body, "1");
  for (const Row& row : rows) {
    HttpAnswer answer = HttpClient(port).ask(row.method, row.target, row.body);
    EXPECT_EQ(answer.status, row.status) << row.method << " " << row.target.substr(0, 80) << " "
                                         << row.body.substr(0, 80) << "\n"
                                         << answer.body;
    EXPECT_THAT(answer.header, HasSubstr("application/problem+json"));
    EXPECT_THAT(answer.body, HasSubstr(row.named));
    if (row.status == 405) EXPECT_THAT(answer.header, HasSubstr("Allow: "));
  }
  EXPECT_EQ(HttpClient(port).ask("GET", kCounter).body, "1");
  node->send_signal(SIGTERM);
  EXPECT_EQ(node->wait(), 0);
}

// A node whose disk can be held: a sync waits from hold() to release().
class HeldNodeProcessTest : public NodeProcessTest {
 protected:
  HeldNodeProcessTest() {
    ::mkfifo((fault_ + ".fifo").c_str(), 0600);
    node_ = start({}, {"PLX_TEST_FAULT=" + fault_});
    port_ = port_of(*node_);
  }

  void hold() const { std::ofstream(fault_) << "hold"; }
  // Waits for the sync that waits, then lets it and all further ones go.
  void release() const {
    int fifo = ::open((fault_ + ".fifo").c_str(), O_WRONLY | O_CLOEXEC);
    std::filesystem::remove(fault_);
    ::close(fifo);
  }

  const std::string fault_ = directory_ + "/fault";
  std::unique_ptr<Process> node_;
  std::uint16_t port_ = 0;
};

TEST_F(HeldNodeProcessTest, ARequestWithoutAnAnswerInTimeIsToldThatItsOutcomeIsUnknownAndItsRetryIsSafe) {
  HttpClient client(port_);
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 1})").body, "1");
  hold();
  HttpAnswer late = client.ask("POST", kAdd, R"({"by": 1})", {"Idempotency-Key: k", "Request-Timeout: 0.02"});
  EXPECT_EQ(late.status, 504) << late.body;
  EXPECT_THAT(late.body, AllOf(HasSubstr("DEADLINE_EXCEEDED"), HasSubstr("not known")));
  release();
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 1})", {"Idempotency-Key: k"}).body, "2");
  EXPECT_EQ(client.ask("GET", kCounter).body, "2");
}

TEST_F(HeldNodeProcessTest, AReadWaitsForTheCommitOfWhatItSees) {
  HttpClient writer(port_), reader(port_);
  EXPECT_EQ(writer.ask("POST", kAdd, R"({"by": 1})").body, "1");
  hold();
  HttpAnswer late = writer.ask("POST", kAdd, R"({"by": 1})", {"Request-Timeout: 0.02"});  // handled, not committed
  EXPECT_EQ(late.status, 504);
  HttpAnswer read = reader.ask("GET", kCounter, "", {"Request-Timeout: 0.02"});
  EXPECT_EQ(read.status, 504) << "a read must not show what a crash could still undo: " << read.body;
  release();
  EXPECT_EQ(reader.ask("GET", kCounter).body, "2");
}

TEST_F(HeldNodeProcessTest, SigtermLetsARequestInFlightBeAnswered) {
  auto client = std::make_unique<HttpClient>(port_);
  hold();
  client->send(
      "POST " + kAdd +
      " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"by\": 5}");
  HttpClient other(port_);
  while (other.ask("GET", kCounter, "", {"Request-Timeout: 0.01"}).status != 504) {
  }  // the actor has taken the request, and waits for the disk
  node_->send_signal(SIGTERM);
  EXPECT_NE(node_->wait_for_error_line("SIGTERM"), "");
  release();
  HttpAnswer answer = client->receive();
  EXPECT_EQ(answer.body, "5");
  EXPECT_THAT(answer.header, HasSubstr("Connection: close"));
  client.reset();
  EXPECT_EQ(node_->wait(), 0) << node_->errors();
}

TEST_F(HeldNodeProcessTest, ASecondSignalDoesNotWaitForTheDiskAndLosesNothingThatWasAcknowledged) {
  HttpClient client(port_);
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 9})").body, "9");
  hold();
  client.send("POST " + kAdd +
              " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"by\": 5}");
  HttpClient other(port_);
  while (other.ask("GET", kCounter, "", {"Request-Timeout: 0.01"}).status != 504) {
  }
  node_->send_signal(SIGTERM);
  EXPECT_NE(node_->wait_for_error_line("SIGTERM"), "");
  node_->send_signal(SIGTERM);
  EXPECT_EQ(node_->wait(), kExitFailed);
  EXPECT_THAT(node_->errors(), HasSubstr("second signal"));
  EXPECT_EQ(client.receive().status, 0);
  auto again = start();
  EXPECT_THAT(HttpClient(port_of(*again)).ask("GET", kCounter).body, testing::AnyOf("9", "14"));
}

TEST_F(NodeProcessTest, AFailedSyncEndsTheProcessAndNothingIsAcknowledgedAfterIt) {
  const std::string fault = directory_ + "/fault";
  auto node = start({}, {"PLX_TEST_FAULT=" + fault});
  std::uint16_t port = port_of(*node);
  EXPECT_EQ(HttpClient(port).ask("POST", kAdd, R"({"by": 1})").body, "1");
  std::ofstream(fault) << "sync";
  HttpAnswer answer = HttpClient(port).ask("POST", kAdd, R"({"by": 1})");
  EXPECT_THAT(answer.status, testing::AnyOf(0, 500)) << answer.body;
  EXPECT_EQ(node->wait(), kExitStoreFailed);
  EXPECT_THAT(node->errors(), AllOf(HasSubstr("store failed"), HasSubstr("cannot sync"), HasSubstr(data())));
  std::filesystem::remove(fault);
  auto again = start();
  // The second one was written, if not synced: after a failed sync both outcomes are possible, and the client was told
  // so.
  EXPECT_THAT(HttpClient(port_of(*again)).ask("GET", kCounter).body, testing::AnyOf("1", "2"));
}

TEST_F(NodeProcessTest, AFullDiskRefusesWhatItCannotKeepAndTheNodeGoesOn) {
  const std::string fault = directory_ + "/fault";
  auto node = start({}, {"PLX_TEST_FAULT=" + fault});
  std::uint16_t port = port_of(*node);
  HttpClient client(port);
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 1})").body, "1");
  std::ofstream(fault) << "full";
  for (int i = 0; i < 3; ++i) {
    HttpAnswer refused = client.ask("POST", kAdd, R"({"by": 1})");
    EXPECT_EQ(refused.status, 507) << refused.body;
    EXPECT_THAT(refused.body, HasSubstr("free space"));
    HttpAnswer ready = client.ask("GET", "/healthz/ready");
    EXPECT_EQ(ready.status, 503);
    EXPECT_THAT(ready.body, AllOf(HasSubstr("PLX-DUR-0017"), HasSubstr("free space")));
    EXPECT_EQ(client.ask("GET", kCounter).body, "1");
  }
  std::filesystem::remove(fault);
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 1})").body, "2");
  EXPECT_EQ(client.ask("GET", "/healthz/ready").status, 200);
  node->send_signal(SIGTERM);
  EXPECT_EQ(node->wait(), 0);
}

TEST_F(NodeProcessTest, ANodeWhoseDataIsTakenAwayEndsAndSaysSo) {
  namespace fs = std::filesystem;
  const std::string moved = directory_ + "/moved";
  struct Row {
    std::string what;
    std::function<void()> happens;
  };
  for (const Row& row :
       {Row{"deleted", [&] { fs::remove_all(data()); }}, Row{"moved", [&] { fs::rename(data(), moved); }},
        Row{"only the database", [&] { fs::remove(data() + "/plexspaces.db"); }},
        Row{"only the log", [&] { fs::rename(data() + "/plexspaces.db-wal", data() + "/old"); }},
        Row{"replaced", [&] {
              fs::rename(data(), moved);
              fs::copy(moved, data());
            }}}) {
    fs::remove_all(data());
    fs::remove_all(moved);
    auto node = start();
    HttpClient client(port_of(*node));
    EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 1})").body, "1") << row.what;
    row.happens();
    EXPECT_EQ(node->wait(), kExitStoreFailed) << row.what;
    EXPECT_THAT(node->errors(), AllOf(HasSubstr(data()), HasSubstr("PLX-ENV-0009"))) << row.what;
    EXPECT_EQ(client.ask("GET", kCounter).status, 0) << row.what;
  }
}

TEST_F(NodeProcessTest, AProgramMayChangeItsDirectory) {
  auto node = std::make_unique<Process>(in_shell("cd '" + directory_ + "' && exec \"$@\"",
                                                 {PLX_TEST_NODE, "dev", "--http.port=0", "--data.directory=data"}));
  HttpClient client(port_of(*node));
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 1})").body, "1");
  EXPECT_EQ(client.ask("POST", "/api/v1/actors/default/test/host/a/GoTo", R"({"directory": "/"})").status, 204);
  EXPECT_EQ(client.ask("POST", kAdd, R"({"by": 1})").body, "2");
  node->send_signal(SIGTERM);
  EXPECT_EQ(node->wait(), 0) << node->errors();
  auto again = start();
  EXPECT_EQ(HttpClient(port_of(*again)).ask("GET", kCounter).body, "2");
}

TEST_F(NodeProcessTest, ASecondProcessOnTheSameDirectoryIsRefused) {
  auto first = start();
  std::uint16_t port = port_of(*first);
  auto second = start();
  EXPECT_EQ(second->wait(), kExitFailed);
  EXPECT_THAT(second->errors(), AllOf(HasSubstr(data()), HasSubstr("another process"), HasSubstr("--data.directory")));
  EXPECT_EQ(second->output(), "");
  EXPECT_EQ(HttpClient(port).ask("GET", "/healthz/live").status, 200);
}

TEST_F(NodeProcessTest, APortInUseIsRefused) {
  auto first = start();
  std::string port = std::to_string(port_of(*first));
  auto second = std::make_unique<Process>(std::vector<std::string>{PLX_TEST_NODE, "dev", "--http.port=" + port,
                                                                   "--data.directory=" + directory_ + "/other"});
  EXPECT_EQ(second->wait(), kExitFailed);
  EXPECT_THAT(second->errors(), AllOf(HasSubstr("port " + port), HasSubstr("--http.port")));
}

TEST_F(NodeProcessTest, ADirectoryThatCannotBeWrittenIsRefused) {
  std::ofstream(directory_ + "/file") << "not a directory";
  Process node({PLX_TEST_NODE, "dev", "--http.port=0", "--data.directory=" + directory_ + "/file/data"});
  EXPECT_EQ(node.wait(), kExitFailed);
  EXPECT_THAT(node.errors(), AllOf(HasSubstr(directory_ + "/file"), HasSubstr("--data.directory")));
}

TEST_F(NodeProcessTest, AWrongConfigurationIsRefusedWithItsSource) {
  const std::string file = directory_ + "/plexspaces.yaml";
  std::ofstream(file) << "http:\n  prot: 8080\n";
  struct Row {
    std::vector<std::string> flags;
    std::vector<std::string> environment;
    std::vector<std::string> named;
  };
  for (const Row& row : {Row{{"--config", file}, {}, {file + ":2", "'http.prot'", "'http.port'"}},
                         Row{{}, {"PLEXSPACES_HTTP__PROT=1"}, {"PLEXSPACES_HTTP__PROT", "PLEXSPACES_HTTP__PORT"}},
                         Row{{"--http.prot=1"}, {}, {"--http.prot", "--http.port"}},
                         Row{{"--runtime.workers=many"}, {}, {"runtime.workers", "many", "whole number"}},
                         Row{{"--config", directory_ + "/none.yaml"}, {}, {"none.yaml"}}}) {
    auto node = start(row.flags, row.environment);
    EXPECT_EQ(node->wait(), kExitUsage);
    EXPECT_EQ(node->output(), "");
    for (const std::string& name : row.named) EXPECT_THAT(node->errors(), HasSubstr(name));
  }
  EXPECT_FALSE(std::filesystem::exists(data())) << "a refused configuration touches nothing";
}

TEST_F(NodeProcessTest, ConfigShowPrintsEachValueWithItsSource) {
  const std::string file = directory_ + "/plexspaces.yaml";
  std::ofstream(file) << "http:\n  port: 1\n";
  Process show({PLX_TEST_NODE, "config", "show", "--config", file, "--node.name=n7"},
               {"PLEXSPACES_RUNTIME__WORKERS=3"});
  EXPECT_EQ(show.wait(), 0);
  EXPECT_THAT(show.output(), testing::ContainsRegex("http.port +1 +" + file + ":2\n"));
  EXPECT_THAT(show.output(), testing::ContainsRegex("node.name +n7 +--node.name\n"));
  EXPECT_THAT(show.output(), testing::ContainsRegex("runtime.workers +3 +PLEXSPACES_RUNTIME__WORKERS\n"));
  EXPECT_THAT(show.output(), testing::ContainsRegex("http.address +127.0.0.1 +default\n"));
}

TEST_F(NodeProcessTest, AConfigurationIsOnlyRead) {
  const std::string file = directory_ + "/plexspaces.yaml";
  const std::string record = directory_ + "/record";
  std::ofstream(file) << "http:\n  port: 1\n";
  Process types({PLX_TEST_NODE, "types", "--record"});
  EXPECT_EQ(types.wait(), 0);
  std::ofstream(record) << types.output();
  for (const std::string& read_only : {file, record})
    std::filesystem::permissions(read_only, std::filesystem::perms(0444));
  std::filesystem::permissions(directory_, std::filesystem::perms(0755));
  // root may write everything
  std::vector<std::string> as_another;
  if (::geteuid() == 0) as_another = {"/usr/bin/setpriv", "--reuid=65534", "--clear-groups"};
  auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), as_another.begin(), as_another.end());
    return arguments;
  };
  Process show(run({PLX_TEST_NODE, "config", "show", "--config", file}));
  EXPECT_EQ(show.wait(), 0) << show.errors();
  EXPECT_THAT(show.output(), HasSubstr(file + ":2"));
  Process check(run({PLX_TEST_NODE, "types", "--check", record}));
  EXPECT_EQ(check.wait(), 0) << check.errors();
  Process folder({PLX_TEST_NODE, "config", "show", "--config", directory_});
  EXPECT_EQ(folder.wait(), kExitUsage);
  EXPECT_THAT(folder.errors(), HasSubstr("directory"));
}

TEST_F(NodeProcessTest, WhatComesThroughAPipeIsReadToItsEnd) {
  struct Row {
    std::string text;  // for printf
    std::vector<std::string> arguments;
    int exit_code;
    std::string named;
  };
  const std::string long_comment(70'000, '#');  // more than a pipe holds
  for (const Row& row :
       {Row{"http:\\n  port: 1234\\n", {"config", "show", "--config", "/dev/stdin"}, 0, "1234"},
        Row{long_comment + "\\nhttp:\\n  port: 1234\\n", {"config", "show", "--config", "/dev/stdin"}, 0, "1234"},
        Row{"http:\\n  prot: 1\\n", {"config", "show", "--config", "/dev/stdin"}, kExitUsage, "'http.prot'"},
        Row{"node:\\n  name: a\\n---\\nhttp:\\n  port: 1\\n",
            {"config", "show", "--config", "/dev/stdin"},
            kExitUsage,
            "second"},
        Row{"message Add\\n  1 by string\\n", {"types", "--check", "/dev/stdin"}, kExitFailed, "message Add"},
        Row{"", {"types", "--check", "/dev/stdin"}, kExitFailed, "empty"}}) {
    std::vector<std::string> arguments{row.text, PLX_TEST_NODE};
    arguments.insert(arguments.end(), row.arguments.begin(), row.arguments.end());
    Process process(in_shell("text=$1; shift; printf \"$text\" | \"$@\"", arguments));
    EXPECT_EQ(process.wait(), row.exit_code) << row.text.substr(0, 80);
    EXPECT_THAT(process.output() + process.errors(), HasSubstr(row.named));
  }
  Process endless({PLX_TEST_NODE, "config", "show", "--config", "/dev/zero"});
  EXPECT_EQ(endless.wait(), kExitUsage);
  EXPECT_THAT(endless.errors(), HasSubstr("more than 1048576 bytes"));
}

TEST_F(NodeProcessTest, AnEmptyValueDoesNotTakeTheNextArgument) {
  Process show({PLX_TEST_NODE, "config", "show", "--data.directory=", "--node.name=n7"});
  EXPECT_EQ(show.wait(), kExitUsage);
  EXPECT_EQ(show.output(), "");
  EXPECT_THAT(show.errors(), AllOf(HasSubstr("--data.directory"), HasSubstr("empty value")));
}

TEST_F(NodeProcessTest, ActorAskPrintsTheReplyOrSaysWhyThereIsNone) {
  auto node = start();
  const std::string port = "--http.port=" + std::to_string(port_of(*node));
  Process add({PLX_TEST_NODE, "actor", "ask", "test/counter/a", "Add", R"({"by": 4})", "--idempotency-key=k", port});
  EXPECT_EQ(add.wait(), 0) << add.errors();
  EXPECT_EQ(add.output(), "4\n");
  Process again({PLX_TEST_NODE, "actor", "ask", "test/counter/a", "Add", R"({"by": 4})", "--idempotency-key=k", port});
  EXPECT_EQ(again.wait(), 0);
  EXPECT_EQ(again.output(), "4\n");
  Process read({PLX_TEST_NODE, "actor", "ask", "default/test/counter/a", port});
  EXPECT_EQ(read.wait(), 0);
  EXPECT_EQ(read.output(), "4\n");
  Process wrong({PLX_TEST_NODE, "actor", "ask", "test/counter/a", "Add", "{}", port});
  EXPECT_EQ(wrong.wait(), kExitFailed);
  EXPECT_EQ(wrong.output(), "");
  EXPECT_THAT(wrong.errors(), AllOf(HasSubstr("422"), HasSubstr("by")));
  node->send_signal(SIGTERM);
  EXPECT_EQ(node->wait(), 0);
  Process nobody({PLX_TEST_NODE, "actor", "ask", "test/counter/a", port});
  EXPECT_EQ(nobody.wait(), kExitFailed);
  EXPECT_THAT(nobody.errors(), HasSubstr("nobody answers"));
}

TEST_F(NodeProcessTest, TypesListsWhatIsRegistered) {
  Process types({PLX_TEST_NODE, "types"});
  EXPECT_EQ(types.wait(), 0);
  EXPECT_THAT(types.output(), testing::ContainsRegex("counter +durability,virtual_actor +Get +Add,Clear\n"));
}

}  // namespace
}  // namespace plexspaces::test
