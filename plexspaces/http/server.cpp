#include "plexspaces/http/server.hpp"

#include <array>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "plexspaces/base/check.hpp"
#include "plexspaces/env/posix/executor.hpp"
#include "plexspaces/env/posix/tcp_listener.hpp"
#include "plexspaces/env/posix/tcp_socket.hpp"
#include "plexspaces/http/problem.hpp"

namespace plexspaces::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;

namespace {

class Lane;
class Session;

// The context's own executor type everywhere: with the erased one every resumption costs virtual calls.
using IoExecutor = asio::io_context::executor_type;
template <class T>
using Awaitable = asio::awaitable<T, IoExecutor>;
using UseAwaitable = asio::use_awaitable_t<IoExecutor>;
using Parser = beast::http::request_parser<beast::http::string_body>;

constexpr std::size_t kReadBytes = std::size_t{4} << 10;        // what a read asks for, in a header
constexpr std::size_t kReadBodyBytes = std::size_t{32} << 10;   // ... in a body
constexpr std::size_t kIdleBufferBytes = std::size_t{8} << 10;  // what a waiting connection keeps
constexpr std::size_t kLingerBytesMax = std::size_t{8}
                                        << 20;  // read and dropped after an answer that ends a connection

// An answer on its way to its connection's worker. Made with its request, so that answering allocates nothing.
struct Answer {
  std::shared_ptr<Session> session;  // shared: the connection may be gone before the answer comes
  std::uint64_t request = 0;
  Response response = {};
  Answer* next = nullptr;
};

class BeastHeaders final : public Headers {
 public:
  explicit BeastHeaders(const beast::http::fields& fields) : fields_(fields) {}
  std::string_view find(std::string_view name) const override {
    auto value = fields_[beast::string_view(name.data(), name.size())];
    return {value.data(), value.size()};
  }
  bool repeated(std::string_view name) const override {
    auto [first, last] = fields_.equal_range(beast::string_view(name.data(), name.size()));
    return first != last && std::next(first) != last;
  }

 private:
  const beast::http::fields& fields_;
};

// "Request-Timeout: 2.5", in seconds. It can only shorten.
Result<Duration> timeout_of(std::string_view text, Duration longest) {
  if (text.empty()) return longest;
  double seconds = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || end != text.data() + text.size() || !(seconds > 0))
    return fail(
        Code::kInvalidArgument,
        fmt::format("the header Request-Timeout is '{}': write seconds above 0, such as 2.5", text.substr(0, 32)),
        "PLX-HTT-0008");
  if (seconds >= std::chrono::duration<double>(longest).count()) return longest;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

Error parse_error(const error_code& error, const ServerOptions& options) {
  namespace http = beast::http;
  if (error == http::error::body_limit)
    return Error(Code::kResourceExhausted,
                 fmt::format("the body has more than {} bytes (http.body_bytes_max)", options.body_bytes_max),
                 "PLX-HTT-0010");
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return Error(
        Code::kResourceExhausted,
        fmt::format("the request line and the header fields have more than {} bytes", options.header_bytes_max),
        "PLX-HTT-0011");
  return Error(Code::kInvalidArgument, fmt::format("not an HTTP/1.1 request: {}", error.message()), "PLX-HTT-0007");
}

}  // namespace

/// What all connections of a server share.
class ServerCore : public std::enable_shared_from_this<ServerCore> {
 public:
  ServerCore(const env::Clock& c, ServerOptions o, Handler h)
      : clock(c), options(std::move(o)), handler(std::move(h)) {}

  void accept(Lane& lane, env::TcpSocket socket);
  void connection_ended() {
    if (connections.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    std::scoped_lock lock(mutex);
    changed.notify_all();
  }

  const env::Clock& clock;
  const ServerOptions options;
  const Handler handler;
  std::optional<env::TcpListener> listener;
  std::vector<std::shared_ptr<Lane>> lanes;
  std::size_t next_lane = 0;  // the listener's thread only
  std::atomic<std::size_t> connections{0};
  std::atomic<bool> draining{false};
  std::mutex mutex;  // for the waits of stop()
  std::condition_variable changed;
  std::size_t lanes_closed = 0;  // under the mutex
};

namespace {

/// The connections of one worker. Threads: the worker's, except deliver().
class Lane : public std::enable_shared_from_this<Lane> {
 public:
  Lane(ServerCore& core, asio::io_context& io) : core_(core), io_(io), timer_(io.get_executor()) {}

  asio::io_context& io() { return io_; }
  ServerCore& core() { return core_; }
  /// The time of the last sweep: exact to the sweep interval, and free.
  TimePoint now() const { return now_; }
  std::string_view date() const { return date_; }

  void start_session(env::TcpSocket socket, bool refused);
  void end_session(Session& session);
  void sweep();
  void drain();
  void cut_all();
  void close();

  /// Takes the answer to its connection. Threads: any.
  void deliver(Answer* answer);

 private:
  void take_answers();
  void read_clocks();
  void arm();

  ServerCore& core_;
  asio::io_context& io_;
  env::IoTimer timer_;
  bool armed_ = false;
  TimePoint now_;
  std::string date_;
  std::chrono::sys_seconds date_second_{};
  std::list<Session*> sessions_;
  // A stack: pushed by any thread, taken whole by the worker, who is woken by the push onto an empty one only. After
  // close() it holds closed_, and answers are dropped.
  std::atomic<Answer*> answers_{nullptr};
  Answer closed_;
};

/// One connection: a coroutine that reads, calls the handler, waits for the answer, writes. Threads: the worker's.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Lane& lane, env::TcpSocket socket, bool refused)
      : lane_(lane.shared_from_this()),
        socket_(std::move(socket)),
        buffer_(lane.core().options.header_bytes_max + kReadBodyBytes),
        refused_(refused) {}

  Lane& lane() { return *lane_; }

  Awaitable<void> run();
  /// @param inside true when called from a handler of this thread's I/O context that is not the session's own: it must
  /// not run the session's coroutine, or answers would nest.
  void take(Answer& answer, bool inside);
  void check(TimePoint now);
  void drain();
  void cut();

  std::list<Session*>::iterator place;  // in the lane's list

 private:
  enum class Read { kRequest, kRefused, kEnd };

  void enter(Phase phase) {
    phase_ = phase;
    since_ = lane_->now();
  }
  const ServerOptions& options() const { return lane_->core().options; }

  Awaitable<Read> read_request(Parser& parser);
  Awaitable<bool> serve(Parser& parser);  // @returns whether the connection goes on
  Awaitable<bool> write(Response response, bool keep_alive, bool head);
  Awaitable<void> refuse(Error error);
  Awaitable<void> linger();
  Awaitable<void> wait_for_answer();
  void call_handler(Parser& parser);
  void resume_soon();

  std::shared_ptr<Lane> lane_;  // shared: an answer may come after the server is gone
  env::TcpSocket socket_;
  beast::flat_buffer buffer_;
  bool refused_;
  Phase phase_ = Phase::kIdle;
  TimePoint since_;
  bool timed_out_ = false;
  bool cut_ = false;
  Duration request_timeout_{};
  std::uint64_t request_ = 0;  // number of the request with the handler; a late answer to an earlier one is dropped
  std::optional<Response> response_;
  std::optional<Error> refusal_;
  std::move_only_function<void()> resume_;  // the coroutine, while it waits for an answer
  std::string head_;
};

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
                          "PLX-HTT-0016", Retry::kSame)));
  }
  void operator()(Response response) {
    if (answer_) reply(answer_, std::move(response));
  }

 private:
  std::unique_ptr<Answer> answer_;
};

// --- Session ---

Awaitable<void> Session::run() {
  if (refused_) {
    co_await refuse(Error(
        Code::kUnavailable,
        fmt::format("the server has {} connections (http.connections_max): try again later", options().connections_max),
        "PLX-HTT-0014", Retry::kBackoff));
    co_return;
  }
  bool goes_on = true;
  while (goes_on && !cut_) {
    Parser parser;
    parser.eager(true);
    parser.header_limit(static_cast<std::uint32_t>(options().header_bytes_max));
    parser.body_limit(options().body_bytes_max);
    Read read = co_await read_request(parser);
    if (read == Read::kEnd) co_return;
    if (read == Read::kRefused) {
      co_await refuse(std::move(*refusal_));
      co_return;
    }
    goes_on = co_await serve(parser);
  }
  if (!cut_) co_await linger();
}

Awaitable<Session::Read> Session::read_request(Parser& parser) {
  enter(buffer_.size() == 0 ? Phase::kIdle : Phase::kHeader);
  if (buffer_.size() == 0 && buffer_.capacity() > kIdleBufferBytes) buffer_.shrink_to_fit();
  bool continued = false;
  while (true) {
    if (buffer_.size() > 0) {
      error_code error;
      std::size_t used = parser.put(buffer_.data(), error);
      buffer_.consume(used);
      if (error && error != beast::http::error::need_more) {
        refusal_ = parse_error(error, options());
        co_return Read::kRefused;
      }
      if (parser.is_done()) co_return Read::kRequest;
      if (phase_ == Phase::kHeader && parser.is_header_done()) enter(Phase::kBody);
      if (!error && buffer_.size() > 0) continue;
    }
    if (phase_ == Phase::kBody && !continued &&
        beast::iequals(parser.get()[beast::http::field::expect], "100-continue")) {
      continued = true;
      error_code error;
      co_await asio::async_write(socket_, asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25),
                                 asio::redirect_error(UseAwaitable{}, error));
      if (error) co_return Read::kEnd;
    }
    if (phase_ == Phase::kIdle && lane_->core().draining.load(std::memory_order_relaxed)) co_return Read::kEnd;
    error_code error;
    auto room = buffer_.prepare(phase_ == Phase::kBody ? kReadBodyBytes : kReadBytes);
    std::size_t count = co_await socket_.async_read_some(room, asio::redirect_error(UseAwaitable{}, error));
    buffer_.commit(count);
    if (timed_out_) {
      refusal_ = Error(Code::kDeadlineExceeded, "the request did not arrive in time", "PLX-HTT-0018", Retry::kSame);
      co_return Read::kRefused;
    }
    if (error || cut_) co_return Read::kEnd;
    if (phase_ == Phase::kIdle) enter(Phase::kHeader);
  }
}

Awaitable<bool> Session::serve(Parser& parser) {
  const auto& request = parser.get();
  response_.reset();
  ++request_;
  enter(Phase::kAnswer);
  since_ = lane_->core().clock.now();  // exact: a request with a short timeout must not end early
  call_handler(parser);
  if (!response_) co_await wait_for_answer();
  if (cut_) co_return false;
  bool keep_alive = request.keep_alive() && !lane_->core().draining.load(std::memory_order_relaxed);
  if (keep_alive && request.version() == 10) response_->headers.emplace_back("Connection", "keep-alive");
  bool written = co_await write(std::move(*response_), keep_alive, request.method() == beast::http::verb::head);
  if (!written) cut_ = true;
  co_return written&& keep_alive;
}

void Session::call_handler(Parser& parser) {
  auto& message = parser.get();
  BeastHeaders headers(message);
  std::string_view target(message.target().data(), message.target().size());
  std::string_view method(message.method_string().data(), message.method_string().size());
  if (target.size() > options().target_bytes_max) {
    response_ = problem(
        Error(Code::kInvalidArgument,
              fmt::format("the target has {} bytes; the limit is {}", target.size(), options().target_bytes_max),
              "PLX-HTT-0009"));
    return;
  }
  if (message.version() == 11 && (headers.find("Host").empty() || headers.repeated("Host"))) {
    response_ = problem(Error(Code::kInvalidArgument, "an HTTP/1.1 request has the header Host once", "PLX-HTT-0007"));
    return;
  }
  auto timeout = timeout_of(headers.find("Request-Timeout"), options().request_timeout);
  if (!timeout) {
    response_ = problem(timeout.error());
    return;
  }
  request_timeout_ = *timeout;
  auto answer = std::make_unique<Answer>(Answer{.session = shared_from_this(), .request = request_});
  lane_->core().handler(Request{.method = method,
                                .target = target,
                                .headers = headers,
                                .body = std::move(message.body()),
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
                                            "PLX-HTT-0015", Retry::kSame))};
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

// --- Lane ---

void Lane::start_session(env::TcpSocket socket, bool refused) {
  read_clocks();
  auto session = std::make_shared<Session>(*this, std::move(socket), refused);
  session->place = sessions_.insert(sessions_.end(), session.get());
  arm();
  asio::co_spawn(io_.get_executor(), session->run(),
                 [session](const std::exception_ptr&) { session->lane().end_session(*session); });
}

void Lane::end_session(Session& session) {
  session.cut();
  sessions_.erase(session.place);
  core_.connection_ended();
}

void Lane::read_clocks() {
  now_ = core_.clock.now();
  auto second = std::chrono::floor<std::chrono::seconds>(core_.clock.wall_now());
  if (second == date_second_ && !date_.empty()) return;
  date_second_ = second;
  date_ = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(std::chrono::system_clock::to_time_t(second)));
}

void Lane::arm() {
  if (armed_ || sessions_.empty()) return;
  armed_ = true;
  timer_.expires_after(core_.options.sweep_interval);
  timer_.async_wait([self = shared_from_this()](error_code error) {
    self->armed_ = false;
    if (error) return;
    self->sweep();
    self->arm();
  });
}

void Lane::sweep() {
  read_clocks();
  for (Session* session : sessions_) session->check(now_);
}

void Lane::drain() {
  for (Session* session : sessions_) session->drain();
}

void Lane::cut_all() {
  for (Session* session : sessions_) session->cut();
}

void Lane::deliver(Answer* answer) {
  if (io_.get_executor().running_in_this_thread()) {
    std::unique_ptr<Answer> owned(answer);
    owned->session->take(*owned, /*inside=*/true);
    return;
  }
  auto self = shared_from_this();  // pushed, the answer and with it the lane may be gone at any time
  Answer* top = answers_.load(std::memory_order_relaxed);
  do {
    if (top == &closed_) {
      delete answer;
      return;
    }
    answer->next = top;
  } while (!answers_.compare_exchange_weak(top, answer, std::memory_order_release, std::memory_order_relaxed));
  if (top == nullptr) asio::post(io_, [self = std::move(self)] { self->take_answers(); });
}

void Lane::take_answers() {
  if (answers_.load(std::memory_order_relaxed) == &closed_) return;
  Answer* newest = answers_.exchange(nullptr, std::memory_order_acquire);
  Answer* oldest = nullptr;
  while (newest != nullptr) {
    Answer* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  while (oldest != nullptr) {
    std::unique_ptr<Answer> answer(oldest);
    oldest = answer->next;
    answer->session->take(*answer, /*inside=*/false);
  }
}

void Lane::close() {
  timer_.cancel();
  take_answers();
  Answer* left = answers_.exchange(&closed_, std::memory_order_acq_rel);
  while (left != nullptr) {
    std::unique_ptr<Answer> answer(left);
    left = answer->next;
  }
  std::scoped_lock lock(core_.mutex);
  ++core_.lanes_closed;
  core_.changed.notify_all();
}

}  // namespace

// --- Server ---

// On the listener's thread.
void ServerCore::accept(Lane& lane, env::TcpSocket socket) {
  std::size_t count = connections.fetch_add(1, std::memory_order_acq_rel);
  if (draining.load(std::memory_order_acquire) || count >= options.connections_max + options.refusals_max) {
    connection_ended();
    return;  // closes it
  }
  asio::post(lane.io(), [lane = lane.shared_from_this(), socket = std::move(socket),
                         refused = count >= options.connections_max]() mutable {
    lane->start_session(std::move(socket), refused);
  });
}

Server::Server(std::shared_ptr<ServerCore> core) : core_(std::move(core)) {}

Server::~Server() { stop(Duration::zero()); }

Result<std::unique_ptr<Server>> Server::start(env::PosixExecutor& executor, const env::Clock& clock,
                                              ServerOptions options, Handler handler) {
  PLX_TRY(listener, env::TcpListener::open(executor.io(0), options.address, options.port));
  auto core = std::make_shared<ServerCore>(clock, std::move(options), std::move(handler));
  core->listener = std::move(listener);
  for (std::size_t i = 0; i < executor.worker_count(); ++i)
    core->lanes.push_back(std::make_shared<Lane>(*core, executor.io(i)));
  // Weak: the listener belongs to the core. The lane that was chosen last is the one whose context accepts.
  core->listener->start(
      [core = core.get()]() -> asio::io_context& {
        core->next_lane = (core->next_lane + 1) % core->lanes.size();
        return core->lanes[core->next_lane]->io();
      },
      [weak = core->weak_from_this()](env::TcpSocket socket) {
        if (auto core = weak.lock()) core->accept(*core->lanes[core->next_lane], std::move(socket));
      });
  return std::unique_ptr<Server>(new Server(std::move(core)));
}

std::uint16_t Server::port() const { return core_->listener->port(); }

std::size_t Server::connections() const { return core_->connections.load(std::memory_order_relaxed); }

void Server::stop(Duration grace) {
  if (core_->draining.exchange(true)) return;
  core_->listener->stop();
  for (auto& lane : core_->lanes) asio::post(lane->io(), [lane] { lane->drain(); });
  auto none_left = [&] { return core_->connections.load(std::memory_order_acquire) == 0; };
  std::unique_lock lock(core_->mutex);
  core_->changed.wait_for(lock, grace, none_left);
  for (auto& lane : core_->lanes) asio::post(lane->io(), [lane] { lane->cut_all(); });
  core_->changed.wait(lock, none_left);
  for (auto& lane : core_->lanes) asio::post(lane->io(), [lane] { lane->close(); });
  core_->changed.wait(lock, [&] { return core_->lanes_closed == core_->lanes.size(); });
}

void Server::sweep() {
  for (auto& lane : core_->lanes) asio::post(lane->io(), [lane] { lane->sweep(); });
}

}  // namespace plexspaces::http
