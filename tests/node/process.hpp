// A child process with its output, and an HTTP client, for tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <sys/types.h>

namespace plexspaces::test {

/// A child process. Killed by its destructor when it still runs.
class Process {
 public:
  /// `environment`: "NAME=value" in addition to this process's.
  explicit Process(std::vector<std::string> arguments, std::vector<std::string> environment = {});
  ~Process();
  Process(const Process&) = delete;

  /// Reads standard output up to and including a line that contains `text`.
  /// @returns that line, or an empty text when the output ended before.
  std::string wait_for_line(const std::string& text);
  /// Waits for the end of standard error and a line with `text` in it. @returns the line or an empty text.
  std::string wait_for_error_line(const std::string& text);

  void send_signal(int number);
  /// Closes this side of its output: nobody reads it any more.
  void hang_up();
  pid_t pid() const { return pid_; }
  /// Whether it has ended; does not wait.
  bool has_ended();
  /// Waits for the end. @returns the exit code, or minus the signal that ended it.
  int wait();

  /// What was read, and after wait() all.
  const std::string& output() const { return out_.text; }
  const std::string& errors() const { return err_.text; }

 private:
  struct Pipe {
    int fd = -1;
    std::string text;
    std::size_t seen = 0;
    bool read_more();
  };
  static std::string find_line(Pipe& pipe, const std::string& text);

  pid_t pid_ = -1;
  bool ended_ = false;
  int status_ = 0;
  Pipe out_, err_;
};

/// The command line of a shell that sets up what `script` says and becomes the program: "ulimit -f 1; exec \"$@\"".
std::vector<std::string> in_shell(const std::string& script, std::vector<std::string> arguments);

/// A port for a process that cannot tell which one it has taken. Bound and not listening, so that the process can
/// take it, and no other can.
class HeldPort {
 public:
  HeldPort();
  ~HeldPort();
  HeldPort(const HeldPort&) = delete;
  std::uint16_t number() const { return number_; }
  /// Waits until `process` listens there. @returns false when it has ended instead.
  bool wait_until_served(Process& process) const;

 private:
  int socket_;
  std::uint16_t number_ = 0;
};

struct HttpAnswer {
  int status = 0;  // 0: no answer, the connection ended
  std::string header;
  std::string body;
};

/// One blocking connection. A POST, and every body, is application/json.
class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port, const std::string& address = "127.0.0.1");
  HttpAnswer ask(const std::string& method, const std::string& target, const std::string& body = {},
                 const std::vector<std::string>& headers = {});
  void send(const std::string& bytes);
  HttpAnswer receive();

 private:
  boost::asio::io_context io_;
  boost::asio::ip::tcp::socket socket_;
  std::string buffer_;
};

}  // namespace plexspaces::test
