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

struct HttpAnswer {
  int status = 0;  // 0: no answer, the connection ended
  std::string header;
  std::string body;
};

/// One blocking connection. A POST, and every body, is application/json.
class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port);
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
