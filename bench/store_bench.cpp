// The store's speed beside a raw append and sync of the same bytes, in one run.
//
//   store_bench [--dir DIR] [--seconds S] [--actors N]
//
// Each line: RESULT <name> group=<commits> commits_per_s=<n> p50_us=<n> p99_us=<n>. Each commit has a state of 200
// bytes and an outcome of 100; a raw group is one append of as many bytes, and fdatasync.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/env/posix/clock.hpp"
#include "plexspaces/env/posix/disk.hpp"
#include "plexspaces/env/posix/random.hpp"
#include "plexspaces/store/sqlite_store.hpp"

namespace {

using namespace plexspaces;

constexpr std::size_t kStateBytes = 200;
constexpr std::size_t kOutcomeBytes = 100;

struct Options {
  std::string directory = "store_bench_data";
  int seconds = 3;
  std::size_t actors = 10'000;
};

class Meter {
 public:
  explicit Meter(const env::Clock& clock) : clock_(clock), begin_(clock.now()), last_(begin_) {}
  void lap() {
    TimePoint now = clock_.now();
    laps_.push_back(now - last_);
    last_ = now;
  }
  // Work between laps that is not measured.
  void skip() {
    TimePoint now = clock_.now();
    skipped_ += now - last_;
    last_ = now;
  }
  Duration elapsed() const { return last_ - begin_ - skipped_; }
  void report(std::string_view name, std::size_t group) {
    std::ranges::sort(laps_);
    auto at = [&](double share) {
      return std::chrono::duration<double, std::micro>(
                 laps_[static_cast<std::size_t>(share * static_cast<double>(laps_.size() - 1))])
          .count();
    };
    double seconds = std::chrono::duration<double>(elapsed()).count();
    fmt::print("RESULT {} group={} commits_per_s={:.0f} p50_us={:.1f} p99_us={:.1f}\n", name, group,
               static_cast<double>(laps_.size() * group) / seconds, at(0.5), at(0.99));
  }

 private:
  const env::Clock& clock_;
  TimePoint begin_;
  TimePoint last_;
  Duration skipped_{};
  std::vector<Duration> laps_;
};

Status raw(const Options& options, std::size_t group, env::PosixClock& clock) {
  env::PosixDisk disk;
  std::string path = options.directory + "/raw";
  PLX_TRY_STATUS(disk.remove(path));
  PLX_TRY(file, disk.open(path, env::Disk::Open::kCreate));
  std::string bytes(group * (kStateBytes + kOutcomeBytes), 'r');
  std::uint64_t offset = 0;
  Meter meter(clock);
  while (meter.elapsed() < std::chrono::seconds(options.seconds)) {
    PLX_TRY_STATUS(file->write(offset, std::as_bytes(std::span(bytes))));
    PLX_TRY_STATUS(file->sync());
    offset += bytes.size();
    meter.lap();
  }
  meter.report("raw", group);
  return disk.remove(path);
}

Status sqlite(const Options& options, std::size_t group, bool unique_outcomes, env::PosixClock& clock) {
  env::PosixDisk disk;
  env::PosixRandom random;
  std::string directory = fmt::format("{}/store", options.directory);
  std::filesystem::remove_all(directory);
  PLX_TRY(store, store::open_sqlite(disk, random, clock, directory));
  std::vector<std::uint64_t> sequences(options.actors);
  std::vector<store::Commit> commits(group);
  std::uint64_t request = 0;
  Meter meter(clock);
  while (meter.elapsed() < std::chrono::seconds(options.seconds)) {
    for (store::Commit& commit : commits) {
      std::size_t index = random.below(options.actors);
      commit = {};
      commit.actor = {"default", "bench", "counter", fmt::format("actor-{}", index)};
      commit.epoch = store->epoch(0);
      commit.expected_sequence = sequences[index]++;
      std::string row = store::actor_row(commit.actor);
      commit.mutations.push_back({store::Table::kActor, row, std::string(kStateBytes, 's')});
      ++request;
      // Unique: each request leaves its answer. Else each actor keeps 8, the newest over the oldest.
      std::string id = unique_outcomes ? fmt::format("{:016x}", request) : fmt::format("{:016x}", sequences[index] % 8);
      commit.mutations.push_back(
          {store::Table::kOutcome, row + std::string(1, '\0') + id, std::string(kOutcomeBytes, 'o')});
    }
    meter.skip();
    auto outcomes = store->commit(commits);
    meter.lap();
    if (std::ranges::count(outcomes, store::Outcome::kDone) != static_cast<std::ptrdiff_t>(group))
      return fail(Code::kInternal,
                  store->failure() != nullptr ? store->failure()->to_string() : "a commit was not done");
  }
  meter.report(unique_outcomes ? "sqlite_unique_outcomes" : "sqlite", group);
  store.reset();
  TimePoint before = clock.now();
  PLX_TRY(again, store::open_sqlite(disk, random, clock, directory));
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) bytes += entry.file_size();
  fmt::print("RESULT reopen group={} ms={:.1f} mebibytes={:.1f}\n", group,
             std::chrono::duration<double, std::milli>(clock.now() - before).count(),
             static_cast<double>(bytes) / (1 << 20));
  again.reset();
  std::filesystem::remove_all(directory);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string_view name = argv[i];
    std::string_view value = argv[i + 1];
    bool known = true;
    auto number = [&](auto& into) {
      known = std::from_chars(value.data(), value.data() + value.size(), into).ec == std::errc();
    };
    if (name == "--dir")
      options.directory = value;
    else if (name == "--seconds")
      number(options.seconds);
    else if (name == "--actors")
      number(options.actors);
    else
      known = false;
    if (!known) {
      fmt::print(stderr, "store_bench: '{} {}' is not known; --dir DIR, --seconds S, --actors N\n", name, value);
      return 2;
    }
  }
  env::PosixClock clock;
  env::PosixDisk disk;
  auto run = [&]() -> Status {
    PLX_TRY_STATUS(disk.create_directory(options.directory));
    for (std::size_t group : {1, 64, 1024}) {
      PLX_TRY_STATUS(raw(options, group, clock));
      PLX_TRY_STATUS(sqlite(options, group, false, clock));
      PLX_TRY_STATUS(sqlite(options, group, true, clock));
    }
    return {};
  };
  auto done = run();
  if (done) return 0;
  fmt::print(stderr, "store_bench: {}\n", done.error().to_string());
  return 1;
}
