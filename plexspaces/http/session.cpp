#include "plexspaces/http/session.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include "plexspaces/base/utf8.hpp"
#include "plexspaces/http/problem.hpp"
#include "plexspaces/http/same_origin.hpp"

namespace plexspaces::http {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

using UseAwaitable = asio::use_awaitable_t<asio::io_context::executor_type>;

constexpr std::size_t kReadBytes = std::size_t{4} << 10;        // what a read asks for, in a header
constexpr std::size_t kIdleBufferBytes = std::size_t{8} << 10;  // what a waiting connection keeps
constexpr std::size_t kLingerBytesMax = std::size_t{8}
                                        << 20;  // read and dropped after an answer that ends a connection

// "Request-Timeout: 2.5", in seconds. It can only shorten.
Result<Duration> timeout_of(std::optional<std::string_view> field, Duration longest) {
  if (!field) return longest;
  std::string_view text = *field;
  double seconds = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || end != text.data() + text.size() || !(seconds > 0))
    return fail(Code::kInvalidArgument,
                fmt::format("the header Request-Timeout is '{}': write seconds above 0, such as 2.5", excerpt(text)),
                "PLX-HTT-0008");
  if (seconds >= std::chrono::duration<double>(longest).count()) return longest;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

void reply(std::unique_ptr<Answer>& answer, Response response) {
  answer->response = std::move(response);
  Lane& lane = answer->session->lane();
  lane.deliver(answer.release());
}

// What the handler answers through. A handler that drops it has a bug; its client must not wait for the timeout.
class Reply {
 public:
  explicit Reply(std::unique_ptr<Answer> answer) : answer_(std::move(answer)) {}
  Reply(Reply&&) noexcept = default;
  Reply& operator=(Reply&&) = delete;
  ~Reply() {
    if (answer_)
      reply(answer_,
            problem(Error(Code::kInternal, "the request was dropped without an answer: its outcome is not known",
                          "PLX-HTT-0016", Error::Retry::kSame)));
  }
  void operator()(Response response) {
    if (answer_) reply(answer_, std::move(response));
  }

 private:
  std::unique_ptr<Answer> answer_;
};

}  // namespace

Awaitable<void> Session::run() {
  if (refused_) {
    co_await refuse(Error(
        Code::kUnavailable,
        fmt::format("the server has {} connections (http.connections_max): try again later", options().connections_max),
        "PLX-HTT-0014", Error::Retry::kBackoff));
    co_return;
  }
  bool goes_on = true;
  while (goes_on && !cut_) {
    Read read = co_await read_request();
    if (read == Read::kEnd) co_return;
    if (read == Read::kRefused) {
      co_await refuse(std::move(*refusal_));
      co_return;
    }
    goes_on = co_await serve();
  }
  if (!cut_) co_await linger();
}

Awaitable<Session::Read> Session::read_request() {
  parser_.next();
  enter(buffer_.size() == 0 ? Phase::kIdle : Phase::kHeader);
  if (buffer_.size() == 0 && buffer_.capacity() > kIdleBufferBytes) buffer_.shrink_to_fit();
  bool admitted = false, continued = false;
  while (true) {
    while (buffer_.size() > 0) {
      std::size_t used = parser_.feed({static_cast<const char*>(buffer_.data().data()), buffer_.size()});
      buffer_.consume(used);
      if (parser_.state() == RequestParser::State::kRefused) {
        refusal_ = parser_.refusal();
        co_return Read::kRefused;
      }
      if (parser_.has_header() && !admitted) {
        if (Status status = admit(); !status) {
          refusal_ = std::move(status).error();
          co_return Read::kRefused;
        }
        admitted = true;
      }
      if (parser_.state() == RequestParser::State::kDone) co_return Read::kRequest;
      if (admitted && phase_ == Phase::kHeader) enter(Phase::kBody);
      if (used == 0) break;
    }
    if (phase_ == Phase::kBody && !continued && parser_.expects_continue()) {
      continued = true;
      error_code error;
      co_await asio::async_write(socket_, asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25),
                                 asio::redirect_error(UseAwaitable{}, error));
      if (error) co_return Read::kEnd;
    }
    if (phase_ == Phase::kIdle && lane_->server().draining.load(std::memory_order_relaxed)) co_return Read::kEnd;
    error_code error;
    auto room = buffer_.prepare(phase_ == Phase::kBody ? kReadBodyBytes : kReadBytes);
    std::size_t count = co_await socket_.async_read_some(room, asio::redirect_error(UseAwaitable{}, error));
    buffer_.commit(count);
    if (timed_out_) {
      refusal_ =
          Error(Code::kDeadlineExceeded, "the request did not arrive in time", "PLX-HTT-0018", Error::Retry::kSame);
      co_return Read::kRefused;
    }
    if (error || cut_) co_return Read::kEnd;
    if (phase_ == Phase::kIdle) enter(Phase::kHeader);
  }
}

Status Session::admit() {
  PLX_TRY_STATUS(check_same_origin(parser_.target(), parser_.headers(), options().allowed_hosts));
  PLX_TRY(timeout, timeout_of(parser_.headers().request_timeout, options().request_timeout));
  request_timeout_ = timeout;
  return {};
}

Awaitable<bool> Session::serve() {
  response_.reset();
  ++request_;
  enter(Phase::kAnswer);
  since_ = lane_->server().clock.now();  // exact: a request with a short timeout must not end early
  call_handler();
  if (!response_) co_await wait_for_answer();
  if (cut_) co_return false;
  bool keep_alive = parser_.keep_alive() && !lane_->server().draining.load(std::memory_order_relaxed);
  if (keep_alive && parser_.version() == 10) response_->headers.emplace_back("Connection", "keep-alive");
  bool written = co_await write(std::move(*response_), keep_alive, parser_.method() == "HEAD");
  if (!written) cut_ = true;
  co_return written&& keep_alive;
}

void Session::call_handler() {
  auto answer = std::make_unique<Answer>(Answer{.session = shared_from_this(), .request = request_});
  lane_->server().handler(Request{.method = parser_.method(),
                                  .target = parser_.target(),
                                  .headers = parser_.headers(),
                                  .body = parser_.take_body(),
                                  .timeout = request_timeout_},
                          Respond(Reply(std::move(answer))));
}

Awaitable<void> Session::wait_for_answer() {
  UseAwaitable token;
  co_await asio::async_initiate<UseAwaitable, void()>([this](auto handler) { resume_ = std::move(handler); }, token);
}

void Session::take(Answer& answer, bool inside) {
  if (answer.request != request_ || response_ || phase_ != Phase::kAnswer) return;
  response_ = std::move(answer.response);
  if (!resume_) return;
  if (inside)
    resume_soon();
  else
    std::exchange(resume_, nullptr)();
}

void Session::resume_soon() { asio::post(lane_->io(), std::exchange(resume_, nullptr)); }

Awaitable<bool> Session::write(Response response, bool keep_alive, bool head) {
  enter(Phase::kWrite);
  head_.clear();
  auto out = std::back_inserter(head_);
  fmt::format_to(out, "HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status, reason_phrase(response.status), lane_->date());
  if (response.status != 204) fmt::format_to(out, "Content-Length: {}\r\n", response.body.size());
  if (!response.body.empty()) fmt::format_to(out, "Content-Type: {}\r\n", response.content_type);
  for (const auto& [name, value] : response.headers) fmt::format_to(out, "{}: {}\r\n", name, value);
  head_ += keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
  bool bodiless = head || response.status == 204;
  std::array<asio::const_buffer, 2> buffers{
      asio::buffer(head_),
      bodiless ? asio::const_buffer() : asio::const_buffer(response.body.data(), response.body.size())};
  error_code error;
  co_await asio::async_write(socket_, buffers, asio::redirect_error(UseAwaitable{}, error));
  co_return !error && !cut_;
}

Awaitable<void> Session::refuse(Error error) {
  timed_out_ = false;
  bool written = co_await write(problem(error), /*keep_alive=*/false, /*head=*/false);
  if (written) co_await linger();
}

// Closing while the client still sends would reset the connection, and the answer could be lost before it is read.
Awaitable<void> Session::linger() {
  enter(Phase::kLinger);
  error_code error;
  socket_.shutdown(asio::socket_base::shutdown_send, error);
  buffer_.clear();
  std::size_t dropped = 0;
  while (!error && !cut_ && dropped < kLingerBytesMax) {
    auto room = buffer_.prepare(kReadBytes);
    dropped += co_await socket_.async_read_some(room, asio::redirect_error(UseAwaitable{}, error));
  }
}

void Session::check(TimePoint now) {
  switch (judge(phase_, since_, now, options().deadlines, request_timeout_)) {
    case Verdict::kKeep:
      return;
    case Verdict::kClose:
      return cut();
    case Verdict::kRequestTimeout: {
      timed_out_ = true;
      error_code ignored;
      socket_.cancel(ignored);
      return;
    }
    case Verdict::kNoAnswer: {
      Answer late{.session = nullptr,
                  .request = request_,
                  .response = problem(Error(Code::kDeadlineExceeded,
                                            "no answer in time: the outcome is not known, and the request may still be "
                                            "carried out; with an Idempotency-Key it is safe to send it again",
                                            "PLX-HTT-0015", Error::Retry::kSame))};
      take(late, /*inside=*/true);
    }
  }
}

void Session::drain() {
  if (phase_ == Phase::kIdle) cut();
}

void Session::cut() {
  cut_ = true;
  error_code ignored;
  socket_.close(ignored);
  if (resume_) resume_soon();
}

}  // namespace plexspaces::http
