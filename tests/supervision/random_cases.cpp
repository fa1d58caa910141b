#include "random_cases.hpp"

#include <random>
#include <vector>

#include <fmt/format.h>

namespace plexspaces::test {

namespace {

constexpr std::size_t kChildrenMax = 5;
constexpr std::size_t kStepsMax = 8;

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  std::string make(const std::string& name) {
    text_ = fmt::format("case {}\n", name);
    workers_.clear();
    top_workers_.clear();
    supervisor("top", 1 + below(kChildrenMax), one_in(3), below(8));
    if (has_sub_) supervisor("sub", 1 + below(3), false, below(6));
    // Not with several ends at once: cases.txt has the difference in when a restart is tried again then.
    during_start_ = one_in(2);
    if (during_start_) during();
    for (std::size_t i = 1 + below(kStepsMax); i > 0; --i) step();
    return text_ + "\n";
  }

 private:
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool one_in(std::uint64_t chance) { return below(chance) == 0; }
  const char* one_of(std::initializer_list<const char*> words) { return words.begin()[below(words.size())]; }
  void line(const std::string& words) { text_ += words + "\n"; }

  const char* restart_type() { return one_of({"permanent", "permanent", "transient", "temporary"}); }
  const char* reason() { return one_of({"error", "error", "killed", "normal", "shutdown"}); }
  const std::string& worker() { return workers_[below(workers_.size())]; }
  std::string anybody() { return has_sub_ && one_in(4) ? "sub" : worker(); }

  std::string options(bool may_be_significant) {
    std::string options;
    std::string type = restart_type();
    if (may_be_significant && type != "permanent" && one_in(2)) options += " significant";
    if (one_in(4)) options += one_of({" traps", " stop_fails", " shutdown=brutal_kill", " shutdown=infinity"});
    if (one_in(4)) options += fmt::format(" fails={}-{}", 2 + below(2), 2 + below(3));
    if (one_in(30)) options += " fails=1";
    if (one_in(8)) options += " throws";
    return type + options;
  }

  void supervisor(const std::string& name, std::size_t children, bool has_sub, std::uint64_t intensity) {
    bool shuts_down = one_in(3);
    line(fmt::format("supervisor {} {} {}/3600{}", name, one_of({"one_for_one", "one_for_all", "rest_for_one"}),
                     intensity,
                     shuts_down ? one_of({" auto_shutdown=any_significant", " auto_shutdown=all_significant"}) : ""));
    std::size_t sub_at = has_sub ? below(children) : children;
    for (std::size_t i = 0; i < children; ++i) {
      if (i == sub_at) line(fmt::format("child sub {} supervisor", restart_type()));
      std::string id = fmt::format("{}{}", name == "top" ? "a" : "x", i + 1);
      line(fmt::format("child {} {}", id, options(shuts_down)));
      workers_.push_back(id);
      if (name == "top") top_workers_.push_back(id);
    }
    if (name == "top") has_sub_ = has_sub;
  }

  std::string request() {
    const char* verb = one_of({"terminate", "restart", "delete", "start"});
    if (std::string_view(verb) != "start") return fmt::format("{} top {}", verb, anybody());
    if (one_in(2)) return fmt::format("start top {} {}", worker(), restart_type());
    std::string id = fmt::format("n{}", 1 + below(3));
    return fmt::format("start top {} {}", id, options(false));
  }

  // While one starts that top starts: another supervisor would go on meanwhile. No ends: what else top starts in the
  // same turn comes before or after them, as it happens.
  void during() {
    line(fmt::format("during {} {} {}", top_workers_[below(top_workers_.size())], 2 + below(2), request()));
  }

  void step() {
    if (!during_start_ && one_in(4) && top_workers_.size() > 1) {
      std::size_t first = below(top_workers_.size());
      std::size_t second = (first + 1 + below(top_workers_.size() - 1)) % top_workers_.size();
      line(fmt::format("together top {}={} {}={}", top_workers_[first], reason(), top_workers_[second], reason()));
    } else if (one_in(2)) {
      line(request());
    } else {
      line(fmt::format("exit {} {}", worker(), reason()));
    }
  }

  std::mt19937_64 random_;
  std::string text_;
  std::vector<std::string> workers_;
  std::vector<std::string> top_workers_;
  bool has_sub_ = false;
  bool during_start_ = false;
};

}  // namespace

std::string random_cases(std::uint64_t seed, std::size_t count) {
  Generator generator(seed);
  std::string text;
  for (std::size_t i = 1; i <= count; ++i) text += generator.make(fmt::format("random {}", i));
  return text;
}

}  // namespace plexspaces::test
