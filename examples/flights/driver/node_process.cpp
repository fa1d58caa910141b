#include "node_process.hpp"

#include <array>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http_client.hpp"

namespace flights {

using plexspaces::Code;
using plexspaces::fail;
using plexspaces::Result;
using plexspaces::Status;
using std::chrono::steady_clock;

namespace {

constexpr auto kReadyTimeout = std::chrono::seconds(30);
constexpr auto kStopTimeout = std::chrono::seconds(30);
constexpr auto kPollInterval = std::chrono::milliseconds(1);
constexpr std::size_t kOutputBytesMax = 64 << 10;
constexpr std::size_t kLastLines = 10;

int code_of(int status) { return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status); }

}  // namespace

NodeProcess::NodeProcess(std::string program, std::string data_directory, std::string log)
    : program_(std::move(program)), data_directory_(std::move(data_directory)), log_(std::move(log)) {}

NodeProcess::~NodeProcess() { kill(); }

Status NodeProcess::start() {
  PLX_TRY_STATUS(spawn());
  PLX_TRY_STATUS(read_port());
  return wait_until_ready();
}

Status NodeProcess::spawn() {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return fail(Code::kResourceExhausted, "no pipe for the node's output");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  std::vector<std::string> arguments{program_, "dev", "--http.port=0", "--data.directory=" + data_directory_};
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int error = ::posix_spawn(&pid_, program_.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[1]);
  output_ = pipe[0];
  if (error == 0) return {};
  pid_ = -1;
  return fail(Code::kNotFound, fmt::format("cannot start '{}': {}", program_, std::generic_category().message(error)));
}

// The node says where it listens: "  http       http://127.0.0.1:8080".
Status NodeProcess::read_port() {
  std::string said;
  auto deadline = steady_clock::now() + kReadyTimeout;
  for (;;) {
    std::size_t url = said.find("http://");
    std::size_t end = url == std::string::npos ? url : said.find('\n', url);
    if (end != std::string::npos) {
      port_ = static_cast<std::uint16_t>(std::stoul(said.substr(said.rfind(':', end) + 1)));
      return {};
    }
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
    pollfd readable{output_, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&readable, 1, static_cast<int>(left.count())) <= 0) return not_ready("in time");
    std::array<char, 512> bytes;
    ssize_t count = ::read(output_, bytes.data(), bytes.size());
    if (count <= 0 || said.size() > kOutputBytesMax) return not_ready("but ended");
    said.append(bytes.data(), static_cast<std::size_t>(count));
  }
}

Status NodeProcess::wait_until_ready() {
  auto deadline = steady_clock::now() + kReadyTimeout;
  while (steady_clock::now() < deadline) {
    HttpClient client(port_);
    auto answer = client.get("/healthz/ready");
    if (answer && answer->status == 200) return {};
    std::this_thread::sleep_for(kPollInterval);
  }
  return not_ready("in time");
}

Status NodeProcess::not_ready(const std::string& why) {
  kill();
  return fail(Code::kUnavailable, fmt::format("'{}' did not become ready {}\n{}", program_, why, last_words()));
}

void NodeProcess::kill() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  if (output_ >= 0) ::close(output_);
  output_ = -1;
}

Result<int> NodeProcess::stop() {
  ::kill(pid_, SIGTERM);
  auto deadline = steady_clock::now() + kStopTimeout;
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (steady_clock::now() > deadline) return fail(Code::kDeadlineExceeded, "the node did not stop after SIGTERM");
    std::this_thread::sleep_for(kPollInterval);
  }
  pid_ = -1;
  return code_of(status);
}

std::optional<int> NodeProcess::ended() {
  int status = 0;
  if (pid_ < 0 || ::waitpid(pid_, &status, WNOHANG) <= 0) return std::nullopt;
  pid_ = -1;
  return code_of(status);
}

std::size_t NodeProcess::resident_bytes() const {
  std::ifstream file(fmt::format("/proc/{}/status", pid_));
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6)) << 10;
  return 0;
}

std::string NodeProcess::last_words() const {
  std::ifstream file(log_);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(std::move(line));
  std::string text;
  for (std::size_t i = lines.size() > kLastLines ? lines.size() - kLastLines : 0; i < lines.size(); ++i)
    text += "  " + lines[i] + "\n";
  return text;
}

}  // namespace flights
