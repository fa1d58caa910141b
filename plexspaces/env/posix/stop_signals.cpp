#include "plexspaces/env/posix/stop_signals.hpp"

#include <algorithm>
#include <atomic>
#include <string_view>

#include <semaphore.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "plexspaces/base/check.hpp"
#include "plexspaces/base/standard_error.hpp"

namespace plexspaces::env {

namespace {

constexpr int kStops[] = {SIGTERM, SIGINT, SIGHUP};
constexpr int kDoNothing[] = {SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2};
constexpr int kRequest = -1;  // no signal has this number

// What a handler of a signal may touch, for as long as the process lives.
std::atomic<int> exit_code_at_next{1};
std::atomic<int> arrived{0};
sem_t some_arrived;

// Async-signal-safe, and leaves errno as it was.
void note_arrival(int number) {
  arrived.store(number);
  ::sem_post(&some_arrived);
}

void do_nothing(int) {}

// Async-signal-safe.
void end_now(int number) {
  constexpr std::string_view kSecond = "plexspaces: a second signal: ending at once\n";
  constexpr std::string_view kLate = "plexspaces: not stopped in time: ending at once\n";
  std::string_view text = number == SIGALRM ? kLate : kSecond;
  write_without_waiting(STDERR_FILENO, text);
  ::_exit(exit_code_at_next.load());
}

void handle(int number, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(number, &action, nullptr);
}

bool is_ignored(int number) {
  struct sigaction action = {};
  ::sigaction(number, nullptr, &action);
  return action.sa_handler == SIG_IGN;
}

// A parent may have left any of them blocked.
void unblock(int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace

StopSignals::StopSignals() {
  PLX_CHECK(::sem_init(&some_arrived, 0, 0) == 0, "a semaphore that begins at 0");
  for (int number : kDoNothing) handle(number, do_nothing);
  for (int number : kStops) {
    if (number == SIGHUP && is_ignored(number)) continue;
    handle(number, note_arrival);
    unblock(number);
  }
}

std::string_view StopSignals::wait() {
  while (::sem_wait(&some_arrived) != 0) {
  }
  int number = arrived.exchange(0);
  while (::sem_trywait(&some_arrived) == 0) {
  }
  switch (number) {
    case SIGTERM:
      return "SIGTERM";
    case SIGINT:
      return "SIGINT";
    case SIGHUP:
      return "SIGHUP";
    default:
      return "a request";
  }
}

void StopSignals::request_stop() {
  int none = 0;
  if (arrived.compare_exchange_strong(none, kRequest)) ::sem_post(&some_arrived);
}

void StopSignals::end_at_next(Duration within, int exit_code) {
  exit_code_at_next.store(exit_code);
  for (int number : kStops)
    if (!is_ignored(number)) handle(number, end_now);
  handle(SIGALRM, end_now);
  unblock(SIGALRM);
  if (int number = arrived.load(); number > 0) end_now(number);                                         // since wait()
  auto microseconds = std::max<long>(1, std::chrono::ceil<std::chrono::microseconds>(within).count());  // 0 is never
  itimerval timer = {};
  timer.it_value.tv_sec = static_cast<time_t>(microseconds / 1'000'000);
  timer.it_value.tv_usec = static_cast<suseconds_t>(microseconds % 1'000'000);
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

}  // namespace plexspaces::env
