// What a client knows of its requests, kept outside of the node that is killed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace plexspaces::test {

struct LedgerRequest {
  std::string account;
  std::string to;  // of a transfer; empty: the amount is added
  std::int64_t amount = 0;
};

/// A final answer, as it was on the wire.
struct LedgerAnswer {
  int status = 0;
  std::string body;
  friend bool operator==(const LedgerAnswer&, const LedgerAnswer&) = default;
};

/// Every request that was ever sent, with its answer once there is one.
///
///     open() -> answered()                          acknowledged: the same answer for ever (INV-J1)
///          `--> lost() -> retry() -> answered()     unknown: carried out at most once, however often it is sent
///          (INV-J5)
///                    `--> abandoned                 unknown for ever
///
/// Threads: any.
class Ledger {
 public:
  using Id = std::size_t;  // also its idempotency key

  explicit Ledger(std::uint64_t seed) : chance_(seed) {}

  Id open(LedgerRequest request);
  /// The first answer is kept; each later one must be the same. @returns the first one when it was another.
  std::optional<LedgerAnswer> answered(Id id, LedgerAnswer answer);
  /// The connection ended, or the answer was not final. `abandon`: it shall not be sent again.
  void lost(Id id, bool abandon);
  /// An unknown request to send again; none when all are known, abandoned or being sent.
  std::optional<Id> retry();

  LedgerRequest request(Id id) const;
  /// Up to `recent` of the last acknowledged requests and `random` of all.
  std::vector<Id> sample(std::size_t recent, std::size_t random);
  std::size_t below(std::size_t end);  // a random number less than `end`

  struct Book {
    std::vector<std::int64_t> answers;  // of successful Add{}, in the order of the requests
    std::int64_t added = 0;             // by acknowledged Add{}
    std::int64_t moved_in = 0;          // by acknowledged transfers
    std::int64_t moved_out = 0;
    std::size_t abandoned = 0;
  };
  /// What the acknowledged requests amount to, for each account.
  std::map<std::string, Book> books() const;

  std::size_t acknowledged() const;
  std::size_t lost_count() const;
  std::size_t refused_count() const;  // acknowledged with an error

 private:
  struct Entry {
    LedgerRequest request;
    std::optional<LedgerAnswer> answer;
    bool abandoned = false;
  };

  mutable std::mutex mutex_;
  std::mt19937_64 chance_;
  std::vector<Entry> entries_;
  std::vector<Id> acknowledged_;  // in this order
  std::vector<Id> unknown_;
  std::size_t lost_count_ = 0;
  std::size_t refused_count_ = 0;
};

}  // namespace plexspaces::test
