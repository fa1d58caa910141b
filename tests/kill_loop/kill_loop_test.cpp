// Kills a node with SIGKILL again and again, and compares it with a ledger that was kept outside.
//
//     kill_loop_test [--cycles N] [--seed S]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "../node/process.hpp"
#include "ledger.hpp"

namespace plexspaces::test {

std::size_t cycles = 100;
std::uint64_t seed = 0;

namespace {

using namespace std::chrono_literals;
using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr std::size_t kConnections = 8;
constexpr std::size_t kStrictCounters = 3;     // each unknown request is sent again until it is known
constexpr std::size_t kForgottenCounters = 2;  // one unknown request in two stays unknown
constexpr std::size_t kBankAccounts = 6;
constexpr std::int64_t kOpeningBalance = 1'000;
constexpr std::size_t kTransferMax = 400;  // so that some are refused
constexpr std::size_t kResendOneIn = 5;
constexpr std::size_t kKillInStartOneIn = 5;  // cycles: killed while it recovers
constexpr std::size_t kRecentChecked = 64;    // acknowledged requests sent again after each restart
constexpr std::size_t kRandomChecked = 32;
constexpr std::size_t kCheckedAtEnd = 4'000;
constexpr auto kWorkMin = 50ms;
constexpr auto kWorkMax = 150ms;
constexpr auto kStartMax = 40ms;
constexpr auto kOutboxTimeout = 60s;

constexpr int kSuccess = 200;
constexpr int kRefusedByHandler = 400;

std::string strict(std::size_t i) { return fmt::format("strict{}", i); }
std::string forgotten(std::size_t i) { return fmt::format("forgotten{}", i); }
std::string bank(std::size_t i) { return fmt::format("bank{}", i); }

class KillLoopTest : public testing::Test {
 public:
  KillLoopTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "plx-kill-loop-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~KillLoopTest() override {
    node_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

 protected:
  void spawn() {
    node_ = std::make_unique<Process>(
        std::vector<std::string>{PLX_LEDGER_NODE, "dev", "--http.port=0", "--data.directory=" + directory_ + "/data"});
  }
  bool start() {
    spawn();
    std::string line = node_->wait_for_line("http://");
    std::size_t colon = line.rfind(':');
    if (colon == std::string::npos) {
      node_->wait();
      complain("the node did not start: " + node_->errors());
      return false;
    }
    port_ = static_cast<std::uint16_t>(std::stoi(line.substr(colon + 1)));
    return true;
  }
  void kill() {
    node_->send_signal(SIGKILL);
    node_->wait();
  }

  LedgerRequest new_request();
  /// Sends a request of the ledger. @returns false when the connection is lost.
  bool send(HttpClient& client, Ledger::Id id);
  void work(const std::atomic<bool>& stop);
  void send_all_unknown_again();
  void check_samples(std::size_t recent, std::size_t random);
  void wait_until_outbox_is_empty();
  std::int64_t balance(const std::string& account);
  void check_books();

  void complain(std::string mistake) {
    std::lock_guard lock(mutex_);
    mistakes_.push_back(std::move(mistake));
  }
  void node_ended() {
    int code = node_->wait();
    complain(fmt::format("the node ended by itself with {}: {}", code, node_->errors()));
  }
  std::string mistakes() {
    std::lock_guard lock(mutex_);
    std::string text;
    for (std::size_t i = 0; i < std::min<std::size_t>(mistakes_.size(), 10); ++i) text += "\n  " + mistakes_[i];
    return text;
  }

  std::string directory_;
  std::unique_ptr<Process> node_;
  std::uint16_t port_ = 0;
  Ledger ledger_{seed};
  std::mutex mutex_;
  std::vector<std::string> mistakes_;
};

LedgerRequest KillLoopTest::new_request() {
  std::size_t kind = ledger_.below(kStrictCounters + kForgottenCounters + kBankAccounts);
  if (kind < kStrictCounters) return {.account = strict(kind), .amount = 1};
  kind -= kStrictCounters;
  if (kind < kForgottenCounters) return {.account = forgotten(kind), .amount = 1};
  kind -= kForgottenCounters;
  std::size_t to = (kind + 1 + ledger_.below(kBankAccounts - 1)) % kBankAccounts;
  return {.account = bank(kind), .to = bank(to), .amount = static_cast<std::int64_t>(1 + ledger_.below(kTransferMax))};
}

bool KillLoopTest::send(HttpClient& client, Ledger::Id id) {
  LedgerRequest request = ledger_.request(id);
  bool adds = request.to.empty();
  HttpAnswer answer = client.ask(
      "POST", fmt::format("/api/v1/actors/default/bank/account/{}/{}", request.account, adds ? "Add" : "Transfer"),
      adds ? fmt::format(R"({{"amount": {}}})", request.amount)
           : fmt::format(R"({{"to": "{}", "amount": {}}})", request.to, request.amount),
      {fmt::format("Idempotency-Key: {}", id)});
  if (answer.status != kSuccess && answer.status != kRefusedByHandler) {
    bool may_abandon = answer.status == 0 && request.account.starts_with("forgotten");
    ledger_.lost(id, may_abandon && ledger_.below(2) == 0);
    return answer.status != 0;
  }
  if (auto first = ledger_.answered(id, {answer.status, answer.body}))
    complain(fmt::format("request {} to {} was answered {} '{}', and sent again {} '{}'", id, request.account,
                         first->status, first->body, answer.status, answer.body));
  return true;
}

void KillLoopTest::work(const std::atomic<bool>& stop) {
  try {
    HttpClient client(port_);
    bool good = true;
    while (good && !stop) {
      auto again = ledger_.below(kResendOneIn) == 0 ? ledger_.sample(0, 1) : std::vector<Ledger::Id>();
      if (auto unknown = ledger_.retry())
        good = send(client, *unknown);
      else if (!again.empty())
        good = send(client, again.front());
      else
        good = send(client, ledger_.open(new_request()));
    }
  } catch (const std::exception&) {
    return;  // killed before it could be connected to
  }
}

void KillLoopTest::send_all_unknown_again() {
  HttpClient client(port_);
  while (auto unknown = ledger_.retry())
    if (!send(client, *unknown)) return node_ended();
}

void KillLoopTest::check_samples(std::size_t recent, std::size_t random) {
  HttpClient client(port_);
  for (Ledger::Id id : ledger_.sample(recent, random))
    if (!send(client, id)) return node_ended();
}

void KillLoopTest::wait_until_outbox_is_empty() {
  HttpClient client(port_);
  auto deadline = steady_clock::now() + kOutboxTimeout;
  HttpAnswer answer;
  while ((answer = client.ask("GET", "/api/v1/outbox")).body != R"({"pending": 0})") {
    if (answer.status != kSuccess || steady_clock::now() > deadline)
      return complain("the outbox is not empty: " + answer.body);
    std::this_thread::sleep_for(1ms);
  }
}

std::int64_t KillLoopTest::balance(const std::string& account) {
  HttpClient client(port_);
  HttpAnswer answer = client.ask("GET", "/api/v1/actors/default/bank/account/" + account);
  EXPECT_EQ(answer.status, kSuccess) << account << ": " << answer.body;
  return answer.status == kSuccess ? std::stoll(answer.body) : 0;
}

void KillLoopTest::check_books() {
  auto books = ledger_.books();
  for (std::size_t i = 0; i < kStrictCounters; ++i) {
    auto& answers = books[strict(i)].answers;
    std::ranges::sort(answers);
    std::vector<std::int64_t> numbers(answers.size());
    for (std::size_t n = 0; n < numbers.size(); ++n) numbers[n] = static_cast<std::int64_t>(n) + 1;
    EXPECT_TRUE(answers == numbers) << strict(i) << ": the answers are not 1 to " << answers.size() << ", each once";
    EXPECT_EQ(balance(strict(i)), static_cast<std::int64_t>(answers.size())) << strict(i);
  }
  for (std::size_t i = 0; i < kForgottenCounters; ++i) {
    Ledger::Book& book = books[forgotten(i)];
    std::ranges::sort(book.answers);
    EXPECT_TRUE(std::ranges::adjacent_find(book.answers) == book.answers.end()) << forgotten(i) << ": an answer twice";
    std::int64_t found = balance(forgotten(i));
    EXPECT_GE(found, book.added) << forgotten(i) << ": acknowledged additions are gone";
    EXPECT_LE(found, book.added + static_cast<std::int64_t>(book.abandoned)) << forgotten(i) << ": added twice";
  }
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < kBankAccounts; ++i) {
    const Ledger::Book& book = books[bank(i)];
    std::int64_t found = balance(bank(i));
    EXPECT_EQ(found, book.added + book.moved_in - book.moved_out) << bank(i);
    sum += found;
  }
  EXPECT_EQ(sum, kOpeningBalance * static_cast<std::int64_t>(kBankAccounts)) << "money was made or lost";
}

TEST_F(KillLoopTest, EveryAnswerIsKeptAndNothingIsDoneTwice_INV_J1_INV_J5) {
  std::mt19937_64 chance(seed);
  auto between = [&](microseconds low, microseconds high) {
    return microseconds(std::uniform_int_distribution<std::int64_t>(low.count(), high.count())(chance));
  };
  fmt::print("cycles {}, seed {}\n", cycles, seed);

  ASSERT_TRUE(start()) << mistakes();
  for (std::size_t i = 0; i < kBankAccounts; ++i) ledger_.open({.account = bank(i), .amount = kOpeningBalance});
  for (Ledger::Id id = 0; id < kBankAccounts; ++id) ledger_.lost(id, /*abandon=*/false);
  send_all_unknown_again();
  kill();

  std::size_t starts_killed = 0;
  for (std::size_t cycle = 0; cycle < cycles && mistakes().empty(); ++cycle) {
    SCOPED_TRACE(fmt::format("cycle {}", cycle));
    if (chance() % kKillInStartOneIn == 0) {
      spawn();
      std::this_thread::sleep_for(between(0us, kStartMax));
      kill();
      ++starts_killed;
      continue;
    }
    if (!start()) break;
    check_samples(kRecentChecked, kRandomChecked);
    std::atomic<bool> stop{false};
    std::vector<std::thread> clients;
    for (std::size_t i = 0; i < kConnections; ++i) clients.emplace_back([&] { work(stop); });
    std::this_thread::sleep_for(between(kWorkMin, kWorkMax));
    kill();
    stop = true;
    for (std::thread& client : clients) client.join();
  }
  ASSERT_EQ(mistakes(), "");

  ASSERT_TRUE(start()) << mistakes();
  send_all_unknown_again();
  wait_until_outbox_is_empty();
  check_samples(0, kCheckedAtEnd);
  EXPECT_EQ(mistakes(), "");
  check_books();
  node_->send_signal(SIGTERM);
  EXPECT_EQ(node_->wait(), 0) << node_->errors();
  ASSERT_TRUE(start()) << mistakes();
  check_books();
  kill();

  fmt::print("{} kills ({} of them while it started), {} requests acknowledged ({} with an error), {} lost\n", cycles,
             starts_killed, ledger_.acknowledged(), ledger_.refused_count(), ledger_.lost_count());
  // The loop tested something.
  EXPECT_GE(ledger_.lost_count(), cycles);
  EXPECT_GT(ledger_.refused_count(), 0U);
}

}  // namespace
}  // namespace plexspaces::test

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  plexspaces::test::seed = std::random_device()();
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    bool has_value = i + 1 < arguments.size();
    if (has_value && arguments[i] == "--cycles") {
      plexspaces::test::cycles = std::stoul(arguments[i + 1]);
    } else if (has_value && arguments[i] == "--seed") {
      plexspaces::test::seed = std::stoull(arguments[i + 1]);
    } else {
      fmt::print(stderr, "kill_loop_test: '{}' is not --cycles N or --seed S\n", arguments[i]);
      return 2;
    }
  }
  return RUN_ALL_TESTS();
}
