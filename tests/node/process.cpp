#include "process.hpp"

#include <array>
#include <stdexcept>
#include <thread>
#include <utility>

#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace plexspaces::test {

namespace asio = boost::asio;

namespace {

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  return ends;
}

}  // namespace

Process::Process(std::vector<std::string> arguments, std::vector<std::string> environment) {
  auto out = make_pipe(), err = make_pipe();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  std::vector<char*> argv, envp;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  for (char** variable = environ; *variable != nullptr; ++variable) envp.push_back(*variable);
  for (std::string& variable : environment) envp.push_back(variable.data());
  envp.push_back(nullptr);
  int error = ::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  ::close(err[1]);
  out_.fd = out[0];
  err_.fd = err[0];
  if (error != 0) throw std::runtime_error("cannot start " + arguments[0]);
}

Process::~Process() {
  if (!ended_) {
    ::kill(pid_, SIGKILL);
    wait();
  }
  hang_up();
}

bool Process::Pipe::read_more() {
  std::array<char, 4096> bytes;
  ssize_t count = ::read(fd, bytes.data(), bytes.size());
  if (count > 0) text.append(bytes.data(), static_cast<std::size_t>(count));
  return count > 0;
}

std::string Process::find_line(Pipe& pipe, const std::string& text) {
  while (true) {
    for (std::size_t end; (end = pipe.text.find('\n', pipe.seen)) != std::string::npos;) {
      std::string line = pipe.text.substr(pipe.seen, end - pipe.seen);
      pipe.seen = end + 1;
      if (line.contains(text)) return line;
    }
    if (!pipe.read_more()) return {};
  }
}

std::string Process::wait_for_line(const std::string& text) { return find_line(out_, text); }
std::string Process::wait_for_error_line(const std::string& text) { return find_line(err_, text); }

void Process::send_signal(int number) { ::kill(pid_, number); }

void Process::hang_up() {
  for (Pipe* pipe : {&out_, &err_}) {
    if (pipe->fd >= 0) ::close(std::exchange(pipe->fd, -1));
  }
}

bool Process::has_ended() {
  if (!ended_) ended_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
  return ended_;
}

int Process::wait() {
  while (out_.read_more()) {
  }
  while (err_.read_more()) {
  }
  if (!ended_) ::waitpid(pid_, &status_, 0);
  ended_ = true;
  return WIFSIGNALED(status_) ? -WTERMSIG(status_) : WEXITSTATUS(status_);
}

std::vector<std::string> in_shell(const std::string& script, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"/bin/sh", "-c", script, "sh"});
  return arguments;
}

HeldPort::HeldPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  int yes = 1;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(socket_, any, size) != 0 || ::getsockname(socket_, any, &size) != 0) throw std::runtime_error("bind");
  number_ = ntohs(address.sin_port);
}

HeldPort::~HeldPort() { ::close(socket_); }

bool HeldPort::wait_until_served(Process& process) const {
  while (!process.has_ended()) {
    try {
      HttpClient client(number_);
      return true;
    } catch (const boost::system::system_error&) {  // nobody listens yet
      std::this_thread::yield();
    }
  }
  return false;
}

HttpClient::HttpClient(std::uint16_t port, const std::string& address) : socket_(io_) {
  socket_.connect(asio::ip::tcp::endpoint(asio::ip::make_address(address), port));
}

HttpAnswer HttpClient::ask(const std::string& method, const std::string& target, const std::string& body,
                           const std::vector<std::string>& headers) {
  std::string request = method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n";
  for (const std::string& header : headers) request += header + "\r\n";
  if (!body.empty() || method == "POST") request += "Content-Type: application/json\r\n";
  if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  send(request + "\r\n" + body);
  return receive();
}

void HttpClient::send(const std::string& bytes) {
  boost::system::error_code ignored;
  asio::write(socket_, asio::buffer(bytes), ignored);
}

HttpAnswer HttpClient::receive() {
  boost::system::error_code error;
  std::size_t header = asio::read_until(socket_, asio::dynamic_buffer(buffer_), "\r\n\r\n", error);
  if (error) return {};
  std::size_t body = 0;
  if (auto at = buffer_.find("Content-Length: "); at < header) body = std::stoul(buffer_.substr(at + 16));
  if (buffer_.size() < header + body)
    asio::read(socket_, asio::dynamic_buffer(buffer_), asio::transfer_exactly(header + body - buffer_.size()), error);
  if (error) return {};
  HttpAnswer answer{.status = std::stoi(buffer_.substr(9, 3)),
                    .header = buffer_.substr(0, header),
                    .body = buffer_.substr(header, body)};
  buffer_.erase(0, header + body);
  return answer;
}

}  // namespace plexspaces::test
