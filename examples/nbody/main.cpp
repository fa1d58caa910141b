// Sun, Earth and Moon for a year, each an actor: `nbody [HOURS]` (README.md).
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <latch>
#include <limits>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/node/local/local_runtime.hpp"

namespace {

using namespace plexspaces;

constexpr double kGravity = 6.674'30e-11;  // m^3 / (kg s^2)
constexpr double kStepSeconds = 3600;
constexpr std::uint32_t kYearHours = 8766;
constexpr std::size_t kBodies = 3;
constexpr std::size_t kSun = 0, kEarth = 1, kMoon = 2;

struct Vector {
  double x = 0, y = 0, z = 0;

  Vector& operator+=(Vector b) { return *this = {x + b.x, y + b.y, z + b.z}; }
  friend Vector operator-(Vector a, Vector b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
  friend Vector operator*(Vector a, double b) { return {a.x * b, a.y * b, a.z * b}; }
  double length() const { return std::hypot(x, y, z); }
};
PLX_MESSAGE(Vector, (1, x), (2, y), (3, z));

struct BodyState {
  double mass = 0;  // kg
  Vector position;  // m
  Vector velocity;  // m/s
};
PLX_MESSAGE(BodyState, (1, mass), (2, position), (3, velocity));

class Body;

/// All bodies, the receiver included; then it begins.
struct Meet {
  std::vector<ActorRef<Body>> bodies;
};
PLX_MESSAGE(Meet, (1, bodies));

/// Where body `from` is after `step` steps.
struct Position {
  std::uint32_t step = 0;
  std::uint32_t from = 0;
  double mass = 0;
  Vector at;
};
PLX_MESSAGE(Position, (1, step), (2, from), (3, mass), (4, at));

struct BodyReport {
  BodyState state;
  std::uint32_t steps = 0;
  std::vector<double> nearest, farthest;  // distances to each body, m
};
PLX_MESSAGE(BodyReport, (1, state), (2, steps), (3, nearest), (4, farthest));

struct GetReport {
  using Reply = BodyReport;
};
PLX_MESSAGE(GetReport);

/// Moves one body by the leapfrog: half a kick, a drift, the positions of the others, half a kick.
class Body : public GenServer<Body, Meet, Position, GetReport> {
 public:
  Body(std::uint32_t number, BodyState state, std::uint32_t steps, std::latch* finished)
      : number_(number), steps_(steps), finished_(finished) {
    report_.state = state;
    report_.nearest.assign(kBodies, std::numeric_limits<double>::infinity());
    report_.farthest.assign(kBodies, 0);
  }

  Status handle(const Meet& meet, Context&) {
    for (std::size_t i = 0; i < kBodies; ++i)
      if (i != number_) others_.push_back(meet.bodies[i]);
    PLX_TRY_STATUS(tell_position());
    return go_on();
  }

  // The sender may be a step ahead, never two: for the second it needs this body's next position.
  Status handle(const Position& position, Context&) {
    Positions& known = known_[position.step % 2];
    known.of[position.from] = position;
    ++known.count;
    return go_on();
  }

  BodyReport handle(const GetReport&, Context&) const { return report_; }

 private:
  struct Positions {
    std::array<Position, kBodies> of;
    std::size_t count = 0;
  };

  Status go_on() {
    while (!others_.empty() && known_[report_.steps % 2].count == others_.size()) {
      Vector half_kick = acceleration(known_[report_.steps % 2]) * (kStepSeconds / 2);
      known_[report_.steps % 2].count = 0;
      if (report_.steps > 0) report_.state.velocity += half_kick;
      if (report_.steps == steps_) {
        finished_->count_down();
        return {};
      }
      report_.state.velocity += half_kick;
      report_.state.position += report_.state.velocity * kStepSeconds;
      ++report_.steps;
      PLX_TRY_STATUS(tell_position());
    }
    return {};
  }

  Status tell_position() {
    for (ActorRef<Body> other : others_)
      PLX_TRY_STATUS(other.tell(Position{report_.steps, number_, report_.state.mass, report_.state.position}));
    return {};
  }

  Vector acceleration(const Positions& positions) {
    Vector sum;
    for (std::size_t i = 0; i < kBodies; ++i) {
      if (i == number_) continue;
      Vector way = positions.of[i].at - report_.state.position;
      double distance = way.length();
      report_.nearest[i] = std::min(report_.nearest[i], distance);
      report_.farthest[i] = std::max(report_.farthest[i], distance);
      sum += way * (kGravity * positions.of[i].mass / (distance * distance * distance));
    }
    return sum;
  }

  std::uint32_t number_;
  std::uint32_t steps_;  // to be done
  std::latch* finished_;
  std::vector<ActorRef<Body>> others_;
  std::array<Positions, 2> known_;  // of this step and of the next
  BodyReport report_;
};

/// Earth and Moon go round their common centre, which is in perihelion. The Moon is full and in perigee, its orbit
/// inclined by 5.1 degrees.
std::array<BodyState, kBodies> perihelion() {
  constexpr double kCentreDistance = 147.095e9, kCentreSpeed = 30.287e3;
  constexpr double kMoonDistance = 357.0e6, kMoonSpeed = 1.103e3, kInclination = 0.0898;
  BodyState sun{.mass = 1.988'41e30, .position = {}, .velocity = {}};
  BodyState earth{.mass = 5.972'17e24, .position = {kCentreDistance, 0, 0}, .velocity = {0, kCentreSpeed, 0}};
  BodyState moon{.mass = 7.346e22, .position = earth.position, .velocity = earth.velocity};
  Vector way{kMoonDistance, 0, 0};
  Vector speed{0, kMoonSpeed * std::cos(kInclination), kMoonSpeed * std::sin(kInclination)};
  double share = moon.mass / (earth.mass + moon.mass);
  earth.position += way * -share;
  earth.velocity += speed * -share;
  moon.position += way * (1 - share);
  moon.velocity += speed * (1 - share);
  return {sun, earth, moon};
}

double energy(const std::array<BodyState, kBodies>& bodies) {
  double sum = 0;
  for (std::size_t i = 0; i < kBodies; ++i) {
    double speed = bodies[i].velocity.length();
    sum += bodies[i].mass * speed * speed / 2;
    for (std::size_t j = 0; j < i; ++j)
      sum -= kGravity * bodies[i].mass * bodies[j].mass / (bodies[i].position - bodies[j].position).length();
  }
  return sum;
}

bool check(std::string_view what, double value, double low, double high) {
  bool right = value >= low && value <= high;  // not a number is wrong too
  fmt::print("{:<38} {:>14.6g}   {} [{:g}, {:g}]\n", what, value, right ? "in" : "NOT IN", low, high);
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  auto hours = static_cast<std::uint32_t>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : kYearHours);
  std::array<BodyState, kBodies> start = perihelion();

  std::latch finished(kBodies);
  LocalRuntime runtime;

  Meet meet;
  for (std::uint32_t i = 0; i < kBodies; ++i) {
    meet.bodies.push_back(runtime.spawn<Body>("", i, start[i], hours, &finished).value());
  }
  for (ActorRef<Body> body : meet.bodies) body.tell(meet).value();
  finished.wait();

  std::array<BodyReport, kBodies> reports;
  for (std::size_t i = 0; i < kBodies; ++i) reports[i] = meet.bodies[i].ask(GetReport{}, 1min).value();
  runtime.stop();

  std::array<BodyState, kBodies> end{reports[kSun].state, reports[kEarth].state, reports[kMoon].state};
  double drift = std::abs(energy(end) / energy(start) - 1);
  double year_gap = ((end[kEarth].position - end[kSun].position) - start[kEarth].position).length();
  bool right = true;
  for (const BodyReport& report : reports) right &= check("steps of a body", report.steps, hours, hours);
  right &= check("energy drift, of the whole", drift, 0, 1e-9);  // with kicks at the wrong time: 6e-9
  if (hours == kYearHours) {
    // The real Moon comes as near as 356,400 km and goes as far as 406,700 km.
    right &= check("nearest Moon, km", reports[kMoon].nearest[kEarth] / 1e3, 356'400, 357'100);
    right &= check("farthest Moon, km", reports[kMoon].farthest[kEarth] / 1e3, 404'000, 406'700);
    right &= check("Earth from its place of last year, km", year_gap / 1e3, 0, 100'000);  // it makes that in an hour
  }
  return right ? 0 : 1;
}
