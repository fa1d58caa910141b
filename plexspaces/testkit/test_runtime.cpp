#include "plexspaces/testkit/test_runtime.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/errors.hpp"
#include "plexspaces/actor/scheduler/timer_wheel.hpp"
#include "plexspaces/base/check.hpp"

namespace plexspaces::testkit {

TestRuntime::TestRuntime(TestOptions options)
    : options_(std::move(options)),
      world_(options_.seed),
      executor_(world_, {.workers = options_.workers, .step_time_max = options_.step_time_max}) {
  RuntimeOptions runtime_options = options_.runtime;
  if (!runtime_options.pick) {
    runtime_options.pick = [this](std::size_t count) {
      std::size_t picked = world_.random.below(count);
      world_.note(picked);
      return picked;
    };
  }
  if (options_.types) options_.types(types_);
  runtime_ = std::make_unique<Runtime>(executor_, types_, std::move(runtime_options));
  runtime_->set_log([this](const std::string& line) { log_.push_back(line); });
  if (options_.prepare) options_.prepare(*runtime_);
  Status started = runtime_->start();
  PLX_CHECK(started.has_value(), "the types are registered rightly and their facets offered");
}

TestRuntime::~TestRuntime() { executor_.crash(); }

bool TestRuntime::step() { return executor_.step_before(now()); }

// Until `done()`, which may be empty, or nothing more happens up to `limit`.
Status TestRuntime::drive(const std::function<bool()>& done, TimePoint limit) {
  for (std::size_t i = 0; i < options_.steps_max; ++i) {
    if (done && done()) return {};
    if (now() > limit || !executor_.step_before(limit)) return {};
  }
  return restless();
}

std::unexpected<Error> TestRuntime::restless() const {
  return failure(Code::kResourceExhausted,
                 fmt::format("the actors have not come to rest after {} steps: they keep each other busy, or "
                             "TestOptions::steps_max is too low",
                             options_.steps_max),
                 "PLX-TST-0001");
}

Status TestRuntime::run_until_idle() {
  for (std::size_t i = 0; i < options_.steps_max; ++i)
    if (!step()) return {};
  return restless();
}

Status TestRuntime::run_until(const std::function<bool()>& done, Duration within) {
  TimePoint limit = saturating_add(now(), within);
  PLX_TRY_STATUS(drive(done, limit));
  if (done()) return {};
  if (limit != kNever) jump_to(limit);
  return failure(Code::kDeadlineExceeded,
                 fmt::format("it has not come about within {} ms of virtual time",
                             std::chrono::duration_cast<std::chrono::milliseconds>(within).count()),
                 "PLX-TST-0002");
}

void TestRuntime::jump_to(TimePoint time) {
  world_.clock.advance_to(time);
  world_.note(static_cast<std::uint64_t>(now().time_since_epoch().count()));
}

Status TestRuntime::advance_to(TimePoint time) {
  TimePoint end = std::max(time, plexspaces::detail::TimerWheel::fire_time(time));
  PLX_TRY_STATUS(drive({}, end));
  jump_to(end);
  return run_until_idle();
}

std::shared_ptr<std::optional<Answer>> TestRuntime::send_ask(ActorId to, plexspaces::detail::Envelope* envelope,
                                                             Duration within) {
  PLX_CHECK(plexspaces::detail::Worker::current() == nullptr, "a test asks; an actor awaits ctx.ask()");
  using plexspaces::detail::Envelope;
  auto answer = std::make_shared<std::optional<Answer>>();
  envelope->ask_for(make_sink([answer](Answer given) { *answer = std::move(given); }));
  envelope->context = plexspaces::detail::new_context(nullptr);
  envelope->context->deadline = saturating_add(now(), within);
  static_cast<void>(runtime_->send(to, envelope));  // a refusal is the answer
  return answer;
}

Result<Answer> TestRuntime::ask_envelope(ActorId to, plexspaces::detail::Envelope* envelope, Duration within) {
  auto answer = send_ask(to, envelope, within);
  Status came = run_until([&] { return answer->has_value(); }, within);
  if (answer->has_value()) return std::move(**answer);
  if (came.error().domain() != "PLX-TST-0002") return std::unexpected(std::move(came).error());
  Error none = plexspaces::detail::no_answer_error();
  return failure(none.code(), none.message(), none.domain());
}

std::optional<std::string> TestRuntime::first_crash() const {
  auto crash =
      std::ranges::find_if(log_, [](const std::string& line) { return line.find(" crashed ") != std::string::npos; });
  if (crash == log_.end()) return std::nullopt;
  return *crash;
}

std::unexpected<Error> TestRuntime::failure(Code code, std::string message, std::string_view domain) const {
  message += "; " + seed_text(seed());
  if (auto crash = first_crash()) message += "; " + *crash;
  return fail(code, std::move(message), domain);
}

}  // namespace plexspaces::testkit
