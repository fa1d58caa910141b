#include "plexspaces/store/overlay.hpp"

#include <ranges>
#include <utility>

#include "plexspaces/env/probe.hpp"

namespace plexspaces::store {

const Overlay::Row* Overlay::find(Table table, std::string_view key) const {
  const Rows& rows = tables_[index(table)];
  auto found = rows.find(key);
  return found == rows.end() ? nullptr : &found->second;
}

// The row under `key`, made if there is none, with what is needed to undo its coming change.
Overlay::Row& Overlay::change(std::size_t table, std::string_view key, bool absent) {
  Rows& rows = tables_[table];
  auto at = rows.lower_bound(key);
  if (at != rows.end() && at->first == key) {
    Undo& undo = undo_.emplace_back();
    undo.table = table;
    undo.key = &at->first;
    undo.row = &at->second;
    bytes_ -= cost(at->first, at->second.value);
    undo.before = std::exchange(at->second, Row{.born = at->second.born, .sequence = at->second.sequence});
    return at->second;
  }
  at = rows.emplace_hint(at, std::string(key), Row{.born = absent});
  Undo& undo = undo_.emplace_back();
  undo.table = table;
  undo.inserted = true;
  undo.key = &at->first;
  undo.row = &at->second;
  return at->second;
}

void Overlay::put(Table table, std::string_view key, std::string_view value, bool absent) {
  Row& row = change(index(table), key, absent);
  row.held = Held::kValue;
  row.value = value;
  bytes_ += cost(key, row.value);
}

void Overlay::erase(Table table, std::string_view key, bool absent) {
  Rows& rows = tables_[index(table)];
  auto found = rows.find(key);
  if (found == rows.end() && absent) return;
  if (found != rows.end() && found->second.born) {
    bytes_ -= cost(found->first, found->second.value);
    Undo& undo = undo_.emplace_back();
    undo.table = index(table);
    undo.node = rows.extract(found);
    reached(Probe::kStoreRowVanished);
    return;
  }
  change(index(table), key, false).held = Held::kErased;
  bytes_ += cost(key, {});
}

void Overlay::put_actor(std::string_view key, std::uint64_t sequence, Held held, std::string_view value) {
  Row& row = change(index(Table::kActor), key, false);
  row.sequence = sequence;
  row.held = held;
  if (held == Held::kTableValue) {
    // Unchanged by this commit: what the overlay held goes on.
    const Undo& undo = undo_.back();
    if (undo.before) {
      row.held = undo.before->held;
      row.value = undo.before->value;
    }
  } else {
    row.value = value;
  }
  bytes_ += cost(key, row.value);
}

Result<bool> Overlay::sweep(std::size_t budget,
                            const std::function<Status(Table, const std::string& key, const Row&)>& write) {
  std::size_t done = 0;
  for (; cursor_table_ < kTables; ++cursor_table_, cursor_key_.clear()) {
    Rows& rows = tables_[cursor_table_];
    for (auto at = rows.upper_bound(cursor_key_); at != rows.end();) {
      if (done >= budget) return false;
      PLX_TRY_STATUS(write(static_cast<Table>(cursor_table_ + 1), at->first, at->second));
      std::size_t row_cost = cost(at->first, at->second.value);
      done += row_cost;
      bytes_ -= row_cost;
      cursor_key_ = at->first;
      Undo& undo = undo_.emplace_back();
      undo.table = cursor_table_;
      undo.swept = true;
      undo.node = rows.extract(at++);
    }
  }
  cursor_table_ = 0;
  cursor_key_.clear();
  return true;
}

void Overlay::settle(const std::function<void(Table, const std::string& key, const Row&)>& swept) {
  for (const Undo& undo : undo_)
    if (undo.swept) swept(static_cast<Table>(undo.table + 1), undo.node.key(), undo.node.mapped());
  undo_.clear();
  settled_cursor_table_ = cursor_table_;
  settled_cursor_key_ = cursor_key_;
}

void Overlay::revert() {
  // Backwards, so that each step finds the map as it was just after the change it undoes. Nodes keep their addresses.
  for (Undo& undo : std::views::reverse(undo_)) {
    Rows& rows = tables_[undo.table];
    if (undo.node) {
      bytes_ += cost(undo.node.key(), undo.node.mapped().value);
      rows.insert(std::move(undo.node));
    } else if (undo.inserted) {
      bytes_ -= cost(*undo.key, undo.row->value);
      rows.erase(rows.find(*undo.key));
    } else {
      bytes_ -= cost(*undo.key, undo.row->value);
      *undo.row = std::move(*undo.before);
      bytes_ += cost(*undo.key, undo.row->value);
    }
  }
  undo_.clear();
  cursor_table_ = settled_cursor_table_;
  cursor_key_ = settled_cursor_key_;
}

std::size_t Overlay::row_count() const {
  std::size_t count = 0;
  for (const Rows& rows : tables_) count += rows.size();
  return count;
}

}  // namespace plexspaces::store
