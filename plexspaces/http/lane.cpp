#include "plexspaces/http/lane.hpp"

#include <exception>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "plexspaces/http/session.hpp"

namespace plexspaces::http {

namespace asio = boost::asio;
using boost::system::error_code;

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
  server_.connection_ended();
}

void Lane::read_clocks() {
  now_ = server_.clock.now();
  auto second = std::chrono::floor<std::chrono::seconds>(server_.clock.wall_now());
  if (second == date_second_ && !date_.empty()) return;
  date_second_ = second;
  date_ = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(std::chrono::system_clock::to_time_t(second)));
}

void Lane::arm() {
  if (armed_ || sessions_.empty()) return;
  armed_ = true;
  timer_.expires_after(server_.options.sweep_interval);
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
  std::scoped_lock lock(server_.mutex);
  ++server_.lanes_closed;
  server_.changed.notify_all();
}

}  // namespace plexspaces::http
