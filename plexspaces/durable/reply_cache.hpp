// The answers that an actor remembers by idempotency key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plexspaces/durable/records.hpp"

namespace plexspaces::durability {

/// Decides what a request with an idempotency key is: new, a duplicate of a turn whose commit is in flight (open), or
/// one that has its answer. Pure: the caller says what time it is, reads rows before and writes them after.
///
///     check_new -> open -> committed -> [ found until retention has passed ] -> forget_expired -> take_forgotten
///
/// Threads: one at a time.
class ReplyCache {
 public:
  struct Limits {
    Duration retention;
    std::size_t answers_max;
  };
  struct Answer {
    bool open = true;
    StoredOutcome outcome;
    std::string reply;  // encoded; empty when the outcome is an error
  };

  explicit ReplyCache(Limits limits) : limits_(limits) {}

  /// Takes the rows of an actor. Once, first.
  void load(std::vector<std::pair<std::string, Value<StoredOutcome>>> rows);

  /// @returns what is known of `key`, or null.
  const Answer* find(const std::string& key) const;

  /// Whether a request with the unknown `key` may run.
  /// @error kFailedPrecondition: the key tells its age and is older than answers are remembered. kResourceExhausted: as
  /// many answers are remembered as may be.
  Status check_new(std::string_view key, WallTime now) const;

  /// @error kInvalidArgument: `answer` is that of another request.
  static Status check_same(const Answer& answer, std::uint64_t request_hash);

  /// The turn of `key` has run and waits for its commit.
  void open(const std::string& key, StoredOutcome outcome, std::string reply);
  /// Its commit is done. @returns the answer; null when the key is not open.
  const Answer* committed(const std::string& key);

  /// Answers past their time are from now on as if they had never been, but for their rows.
  void forget_expired(WallTime now);
  /// Keys of forgotten answers, whose rows are to be erased: at most `count_max`, each once.
  std::vector<std::string> take_forgotten(std::size_t count_max);

  std::size_t size() const { return answers_.size(); }

 private:
  Limits limits_;
  std::unordered_map<std::string, Answer> answers_;
  std::deque<std::pair<std::int64_t, std::string>> by_age_;
  std::vector<std::string> forgotten_;
};

}  // namespace plexspaces::durability
