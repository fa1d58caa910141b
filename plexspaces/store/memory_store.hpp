// The model of the Store port, in memory.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plexspaces/env/random.hpp"
#include "plexspaces/store/store.hpp"

namespace plexspaces::store {

/// What a MemoryStore keeps between its openings: its "disk".
struct MemoryContents {
  explicit MemoryContents(env::Random& random);

  std::string id;
  std::uint64_t epoch = 0;
  std::map<std::string, ActorRow> actors;                      // by actor_row(), without their values
  std::map<Table, std::map<std::string, std::string>> tables;  // std::string compares bytes unsigned, as the port says
};

/// The Store that is right by inspection: other backends are tested against it. For tests and for actors without a
/// disk.
class MemoryStore final : public Store {
 public:
  /// Opens `contents`, whose epoch rises by one.
  explicit MemoryStore(std::shared_ptr<MemoryContents> contents);

  std::string id() const override { return contents_->id; }
  std::uint64_t epoch(std::uint16_t shard) const override;
  std::vector<Outcome> commit(std::span<const Commit> commits) override;
  Result<ActorRow> load(const ActorKey& actor) override;
  Result<ActorRow> load_rows(
      const ActorKey& actor,
      const std::function<Status(Table table, std::string_view suffix, std::string_view value)>& visit) override;
  Result<std::optional<std::string>> get(Table table, std::string_view key) override;
  Status scan(Table table, std::string_view prefix,
              const std::function<bool(std::string_view key, std::string_view value)>& visit) override;
  const Error* refusal() const override { return refusal_ ? &*refusal_ : nullptr; }
  const Error* failure() const override { return failure_ ? &*failure_ : nullptr; }

  /// From here on the store behaves as after a failed sync. `error` becomes failure().
  void fail_with(Error error) { failure_ = std::move(error); }

 private:
  Outcome decide(const Commit& commit);

  std::shared_ptr<MemoryContents> contents_;  // shared with the test that reopens it
  std::uint64_t epoch_;
  std::optional<Error> refusal_;
  std::optional<Error> failure_;
};

}  // namespace plexspaces::store
