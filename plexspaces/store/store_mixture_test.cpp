// Files of one store from different moments: refused by name, or nothing that was acknowledged is missing.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "plexspaces/sim/disk.hpp"
#include "plexspaces/store/sqlite_store.hpp"
#include "plexspaces/store/store_fixture.hpp"

namespace plexspaces::store {
namespace {

using namespace testing_support;
using enum Outcome;

const std::string kDatabase = "data/plexspaces.db";
const std::vector<std::string> kActors{"a", "b", "c"};

// A SimDisk that tells after each change of a file.
class WatchedDisk final : public env::Disk {
 public:
  WatchedDisk(sim::SimDisk& disk, std::function<void(const std::string& path)> changed)
      : disk_(disk), changed_(std::move(changed)) {}

  Result<std::unique_ptr<env::File>> open(const std::string& path, Open how) override {
    PLX_TRY(file, disk_.open(path, how));
    return std::make_unique<WatchedFile>(*this, path, std::move(file));
  }
  Status remove(const std::string& path) override { return tell(path, disk_.remove(path)); }
  Result<bool> exists(const std::string& path) override { return disk_.exists(path); }
  Status create_directory(const std::string& path) override { return disk_.create_directory(path); }
  Status sync_directory(const std::string& path) override { return disk_.sync_directory(path); }
  Result<std::unique_ptr<env::DirectoryLock>> lock_directory(const std::string& path) override {
    return disk_.lock_directory(path);
  }

 private:
  class WatchedFile final : public env::File {
   public:
    WatchedFile(WatchedDisk& disk, std::string path, std::unique_ptr<env::File> file)
        : disk_(disk), path_(std::move(path)), file_(std::move(file)) {}
    Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> into) override {
      return file_->read(offset, into);
    }
    Status write(std::uint64_t offset, std::span<const std::byte> bytes) override {
      return disk_.tell(path_, file_->write(offset, bytes));
    }
    Status truncate(std::uint64_t size) override { return disk_.tell(path_, file_->truncate(size)); }
    Result<std::uint64_t> size() override { return file_->size(); }
    Status sync() override { return file_->sync(); }

   private:
    WatchedDisk& disk_;
    std::string path_;
    std::unique_ptr<env::File> file_;
  };

  Status tell(const std::string& path, Status done) {
    changed_(path);
    return done;
  }

  sim::SimDisk& disk_;
  std::function<void(const std::string&)> changed_;
};

// A file at one moment, and how many commits were acknowledged when it was last written: these it has, or another file
// that lies beside it has them.
struct Copy {
  std::string bytes;
  std::size_t covers = 0;
};
using Folder = std::map<std::string, Copy>;

// The life of one store, with copies of its folder at many moments, also in the middle of a checkpoint or an opening.
class Life {
 public:
  explicit Life(std::uint64_t seed) : world_(seed), disk_(world_), draw_(seed) {
    options_ = any_options([&](std::size_t bound) { return static_cast<std::size_t>(draw_.below(bound)); });
    WatchedDisk watched(disk_, [&](const std::string& path) {
      if (!path.starts_with(kDatabase)) return;
      covers_[path] = acked_;
      if (draw_.one_in(25)) take_copy();
    });
    std::map<std::string, std::uint64_t> sequences;
    for (int opening = 0; opening < 4; ++opening) {
      auto store = open_sqlite(watched, world_.random, world_.clock, "data", options_);
      EXPECT_TRUE(store.has_value()) << store.error().to_string();
      if (stages_.empty()) stages_.push_back(read_all(**store, kActors).value());
      for (int i = 0; i < 40; ++i) {
        const std::string& key = kActors[draw_.below(kActors.size())];
        std::string number = std::to_string(stages_.size());
        Commit commit = set_state(**store, key, sequences[key]++, "state " + number + std::string(200, 's'));
        with(commit, Table::kOutcome, row_key(key, number), "answer " + number);
        EXPECT_EQ((*store)->commit(std::span(&commit, 1)).front(), kDone);
        acked_ = stages_.size();
        stages_.push_back(read_all(**store, kActors).value());
        if (draw_.one_in(8)) take_copy();
      }
      if (opening % 2 == 0) disk_.kill();  // the destructor that follows writes nothing
      store->reset();
      take_copy();
    }
  }

  const std::vector<Folder>& copies() const { return copies_; }
  std::string text() const { return testing_support::text(options_); }

  enum class Verdict { kRefused, kServed, kWrong };
  // Opens `folder` and reads everything. What is served must be what some number of commits made, `least` or more.
  Verdict judge(const Folder& folder, std::size_t least, std::string& why) {
    sim::World world(9);
    sim::SimDisk disk(world);
    for (const auto& [path, copy] : folder) disk.set_contents(path, copy.bytes);
    auto store = open_sqlite(disk, world.random, world.clock, "data", options_);
    if (!store) {
      why = store.error().to_string();
      return store.error().code() == Code::kDataLoss ? Verdict::kRefused : Verdict::kWrong;
    }
    auto contents = read_all(**store, kActors);
    if (!contents) {
      why = contents.error().to_string();
      return contents.error().code() == Code::kDataLoss ? Verdict::kRefused : Verdict::kWrong;
    }
    auto found = std::ranges::find(stages_, *contents);
    auto shown = static_cast<std::size_t>(found - stages_.begin());
    why = found == stages_.end() ? "shows what never was" : fmt::format("shows {} commits of {}", shown, least);
    return found != stages_.end() && shown >= least ? Verdict::kServed : Verdict::kWrong;
  }

 private:
  void take_copy() {
    Folder folder;
    for (const std::string& path : disk_.files())
      if (path.starts_with(kDatabase)) folder[path] = {*disk_.contents(path), covers_[path]};
    copies_.push_back(std::move(folder));
  }

  sim::World world_;
  sim::SimDisk disk_;
  sim::SimRandom draw_;
  SqliteOptions options_;
  std::map<std::string, std::size_t> covers_;
  std::size_t acked_ = 0;
  std::vector<Contents> stages_;  // [i]: after i commits
  std::vector<Folder> copies_;
};

std::size_t covered(const Folder& folder) {
  std::size_t most = 0;
  for (const auto& [path, copy] : folder) most = std::max(most, copy.covers);
  return most;
}

TEST(StoreMixtureTest, ACopyOfOneMomentOpensWithAllThatWasAcknowledged_INV_J1) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Life life(seed);
    ASSERT_GT(life.copies().size(), 20u);
    for (const Folder& folder : life.copies()) {
      std::string why;
      ASSERT_EQ(life.judge(folder, covered(folder), why), Life::Verdict::kServed) << why << ", seed " << seed;
    }
  }
}

TEST(StoreMixtureTest, AFileOfAnotherMomentIsRefusedByNameOrNothingAcknowledgedIsMissing_INV_J2) {
  std::size_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    Life life(seed);
    sim::SimRandom draw(seed);
    for (int run = 0; run < 150; ++run) {
      std::size_t here = draw.below(life.copies().size());
      std::size_t there = draw.below(life.copies().size());
      for (const auto& [path, other] : life.copies()[there]) {
        Folder folder = life.copies()[here];
        folder[path] = other;
        std::string why;
        auto verdict = life.judge(folder, covered(folder), why);
        ASSERT_NE(verdict, Life::Verdict::kWrong) << why << ": '" << path << "' of copy " << there << " in copy "
                                                  << here << ", seed " << seed << ", " << life.text();
        if (verdict != Life::Verdict::kRefused) continue;
        ++refused;
        ASSERT_NE(why.find("older"), std::string::npos) << why;
        ASSERT_NE(why.find("plexspaces.db"), std::string::npos) << why;
      }
    }
  }
  EXPECT_GT(refused, 1'000u);
}

TEST(StoreMixtureTest, ASlowCopyOfALiveFolderIsRefusedOrNothingAcknowledgedBeforeItIsMissing_INV_J2) {
  std::size_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    Life life(seed);
    sim::SimRandom draw(seed);
    for (int run = 0; run < 400; ++run) {
      // Each file is read from its beginning to its end, while the store goes on from copy to copy; the files in any
      // order, as tools that copy have it.
      std::size_t at = draw.below(life.copies().size());
      auto goes_on = [&] { at = std::min(at + draw.below(3), life.copies().size() - 1); };
      Folder folder;
      std::vector<std::string> paths;
      for (const auto& [path, copy] : life.copies()[at]) paths.push_back(path);
      if (draw.one_in(2)) std::ranges::reverse(paths);
      std::size_t least = covered(life.copies()[at]);
      for (const std::string& path : paths) {
        Copy& copied = folder[path];
        std::size_t part = std::size_t{4096} << draw.below(4);
        for (;; goes_on()) {
          const Folder& now = life.copies()[at];
          if (!now.contains(path) || now.at(path).bytes.size() <= copied.bytes.size()) break;
          copied.bytes += now.at(path).bytes.substr(copied.bytes.size(), part);
        }
        goes_on();
      }
      std::string why;
      auto verdict = life.judge(folder, least, why);
      ASSERT_NE(verdict, Life::Verdict::kWrong) << why << ", run " << run << ", seed " << seed << ", " << life.text();
      if (verdict == Life::Verdict::kRefused) ++refused;
    }
  }
  EXPECT_GT(refused, 500u);
}

TEST(StoreMixtureTest, ACopyWhoseBeginningIsOlderThanItsEndIsRefusedOrNothingIsMissing_INV_J2) {
  std::size_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    Life life(seed);
    for (std::size_t here = 0; here + 1 < life.copies().size(); ++here) {
      for (std::size_t there = here + 1; there < std::min(here + 4, life.copies().size()); ++there) {
        const std::string& before = life.copies()[here].at(kDatabase).bytes;
        const std::string& after = life.copies()[there].at(kDatabase).bytes;
        if (before.size() <= 4096 || before == after) continue;
        Folder folder = life.copies()[here];
        folder[kDatabase].bytes = before.substr(0, 4096) + after.substr(4096);
        std::string why;
        auto verdict = life.judge(folder, covered(folder), why);
        ASSERT_NE(verdict, Life::Verdict::kWrong)
            << why << ": copies " << here << " and " << there << ", seed " << seed;
        if (verdict != Life::Verdict::kRefused) continue;
        ++refused;
        ASSERT_NE(why.find("older"), std::string::npos) << why;
      }
    }
  }
  EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace plexspaces::store
