#include "plexspaces/env/posix/stop_signals.hpp"

#include <atomic>
#include <string_view>

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

namespace plexspaces::env {

namespace {

std::atomic<int> exit_code_at_next{1};

constexpr int kRequest = SIGUSR1;  // blocked for ever, so that a late one is harmless

sigset_t stop_set() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

// Async-signal-safe: write and _exit only.
void end_now(int number) {
  constexpr std::string_view kSecond = "plexspaces: a second signal: ending at once\n";
  constexpr std::string_view kLate = "plexspaces: not stopped in time: ending at once\n";
  std::string_view text = number == SIGALRM ? kLate : kSecond;
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
  ::_exit(exit_code_at_next.load());
}

}  // namespace

StopSignals::StopSignals() {
  sigset_t set = stop_set();
  sigaddset(&set, kRequest);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

std::string_view StopSignals::wait() {
  sigset_t set = stop_set();
  sigaddset(&set, kRequest);
  int number = 0;
  while (::sigwait(&set, &number) != 0) {
  }
  if (number == kRequest) return "a request";
  return number == SIGINT ? "SIGINT" : "SIGTERM";
}

void StopSignals::request_stop() { ::kill(::getpid(), kRequest); }

void StopSignals::end_at_next(Duration within, int exit_code) {
  exit_code_at_next.store(exit_code);
  struct sigaction action = {};
  action.sa_handler = end_now;
  for (int number : {SIGTERM, SIGINT, SIGALRM}) ::sigaction(number, &action, nullptr);
  auto microseconds = std::chrono::ceil<std::chrono::microseconds>(within).count();
  itimerval timer = {};
  timer.it_value.tv_sec = static_cast<time_t>(microseconds / 1'000'000);
  timer.it_value.tv_usec = static_cast<suseconds_t>(microseconds % 1'000'000);
  ::setitimer(ITIMER_REAL, &timer, nullptr);
  sigset_t set = stop_set();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace plexspaces::env
