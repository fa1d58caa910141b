#include "plexspaces/store/overlay.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include "plexspaces/env/probe.hpp"

namespace plexspaces::store {

namespace {

struct SplitKey {
  std::string_view group;
  std::string_view rest;
};

// An ActorKey row has four parts with a NUL between them; another NUL ends it. A key of another form is a group of its
// own. Ordering by group and then by rest is ordering by key: no part holds a NUL, which sorts below all other bytes.
SplitKey split(std::string_view key) {
  std::size_t at = 0;
  for (int part = 0; part < 4; ++part) {
    at = key.find('\0', at);
    if (at == std::string_view::npos) return {key, {}};
    ++at;
  }
  return {key.substr(0, at - 1), key.substr(at - 1)};
}

}  // namespace

bool Overlay::Group::empty() const {
  for (const Rows& rows : tables)
    if (!rows.empty()) return false;
  return true;
}

Overlay::GroupEntry* Overlay::find_group(std::string_view name) const {
  if (last_ != nullptr && last_->first == name) return last_;
  auto found = groups_.find(name);
  if (found == groups_.end()) return nullptr;
  last_ = const_cast<GroupEntry*>(&*found);
  return last_;
}

Overlay::GroupEntry& Overlay::make_group(std::string_view name) {
  if (GroupEntry* group = find_group(name)) return *group;
  GroupEntry& group = *groups_.try_emplace(std::string(name)).first;
  order_.emplace(group.first, &group);
  last_ = &group;
  return group;
}

const Overlay::Row* Overlay::find(Table table, std::string_view key) const {
  SplitKey name = split(key);
  const GroupEntry* group = find_group(name.group);
  if (group == nullptr) return nullptr;
  const Rows& rows = group->second.tables[index(table)];
  auto found = rows.find(name.rest);
  return found == rows.end() ? nullptr : &found->second;
}

// The row under `key`, made if there is none, with what is needed to undo its coming change.
Overlay::Row& Overlay::change(std::size_t table, std::string_view key, bool absent) {
  SplitKey name = split(key);
  GroupEntry& group = make_group(name.group);
  Rows& rows = group.second.tables[table];
  auto at = rows.lower_bound(name.rest);
  Undo& undo = undo_.emplace_back();
  undo.group = &group;
  undo.table = table;
  if (at != rows.end() && at->first == name.rest) {
    bytes_ -= cost(key, at->second.value);
    undo.before = std::exchange(at->second, Row{.born = at->second.born, .sequence = at->second.sequence});
  } else {
    at = rows.emplace_hint(at, std::string(name.rest), Row{.born = absent});
    undo.inserted = true;
  }
  undo.rest = &at->first;
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
  SplitKey name = split(key);
  GroupEntry* group = find_group(name.group);
  if (group != nullptr) {
    Rows& rows = group->second.tables[index(table)];
    if (auto found = rows.find(name.rest); found != rows.end() && found->second.born) {
      bytes_ -= cost(key, found->second.value);
      Undo& undo = undo_.emplace_back();
      undo.group = group;
      undo.table = index(table);
      undo.node = rows.extract(found);
      reached(Probe::kStoreRowVanished);
      return;
    } else if (found == rows.end() && absent) {
      return;
    }
  } else if (absent) {
    return;
  }
  change(index(table), key, false).held = Held::kErased;
  bytes_ += cost(key, {});
}

void Overlay::put_actor(std::string_view key, std::uint64_t sequence, Held held, std::string_view value) {
  Row& row = change(index(Table::kActor), key, false);
  row.sequence = sequence;
  row.held = held;
  if (held != Held::kTableValue) {
    row.value = value;
  } else if (const Undo& undo = undo_.back(); undo.before) {
    // Unchanged by this commit: what the overlay held goes on.
    row.held = undo.before->held;
    row.value = undo.before->value;
  }
  bytes_ += cost(key, row.value);
}

Result<bool> Overlay::sweep(std::size_t budget,
                            const std::function<Status(Table, const std::string& key, const Row&)>& write) {
  std::size_t done = 0;
  std::string key;
  for (auto entry = order_.lower_bound(cursor_.group); entry != order_.end(); ++entry) {
    GroupEntry& group = *entry->second;
    if (cursor_.group != group.first) cursor_ = {.group = group.first};
    for (; cursor_.table < kTables; ++cursor_.table, cursor_.rest.reset()) {
      Rows& rows = group.second.tables[cursor_.table];
      for (auto at = cursor_.rest ? rows.upper_bound(*cursor_.rest) : rows.begin(); at != rows.end();) {
        if (done >= budget) return false;
        key.assign(group.first).append(at->first);
        PLX_TRY_STATUS(write(static_cast<Table>(cursor_.table + 1), key, at->second));
        std::size_t row_cost = cost(key, at->second.value);
        done += row_cost;
        bytes_ -= row_cost;
        cursor_.rest = at->first;
        Undo& undo = undo_.emplace_back();
        undo.group = &group;
        undo.table = cursor_.table;
        undo.swept = true;
        undo.node = rows.extract(at++);
      }
    }
  }
  cursor_ = {};
  return true;
}

// Ends the undo log, and with it the groups that have no row any more.
void Overlay::end_changes() {
  std::vector<GroupEntry*> empty;
  for (const Undo& undo : undo_)
    if (undo.group->second.empty()) empty.push_back(undo.group);
  undo_.clear();
  std::ranges::sort(empty);
  auto repeated = std::ranges::unique(empty);
  empty.erase(repeated.begin(), repeated.end());
  for (GroupEntry* group : empty) {
    order_.erase(group->first);
    groups_.erase(groups_.find(group->first));
  }
  if (!empty.empty()) last_ = nullptr;
}

void Overlay::settle(const std::function<void(Table, const std::string& key, const Row&)>& swept) {
  std::string key;
  for (const Undo& undo : undo_) {
    if (!undo.swept) continue;
    key.assign(undo.group->first).append(undo.node.key());
    swept(static_cast<Table>(undo.table + 1), key, undo.node.mapped());
  }
  settled_cursor_ = cursor_;
  end_changes();
}

void Overlay::revert() {
  // Backwards, so that each step finds the rows as they were just after the change it undoes. Nodes keep their
  // addresses.
  for (Undo& undo : std::views::reverse(undo_)) {
    Rows& rows = undo.group->second.tables[undo.table];
    std::size_t group_bytes = undo.group->first.size();
    if (undo.node) {
      bytes_ += group_bytes + cost(undo.node.key(), undo.node.mapped().value);
      rows.insert(std::move(undo.node));
    } else {
      bytes_ -= group_bytes + cost(*undo.rest, undo.row->value);
      if (undo.inserted) {
        rows.erase(rows.find(*undo.rest));
      } else {
        *undo.row = std::move(*undo.before);
        bytes_ += group_bytes + cost(*undo.rest, undo.row->value);
      }
    }
  }
  cursor_ = settled_cursor_;
  end_changes();
}

Overlay::Scan::Scan(const Overlay& overlay, Table table, std::string_view prefix)
    : overlay_(overlay), table_(index(table)), prefix_(prefix) {
  // The first group that can hold such keys is the one that the prefix itself would be in.
  SplitKey name = split(prefix_);
  group_ = overlay_.order_.lower_bound(name.group);
  if (group_ != overlay_.order_.end()) {
    const Rows& rows = group_->second->second.tables[table_];
    at_ = group_->first == name.group ? rows.lower_bound(name.rest) : rows.begin();
  }
  settle();
}

void Overlay::Scan::next() {
  ++at_;
  settle();
}

// Goes on to the next row that there is, or ends behind the prefix.
void Overlay::Scan::settle() {
  while (group_ != overlay_.order_.end()) {
    if (at_ == group_->second->second.tables[table_].end()) {
      if (++group_ != overlay_.order_.end()) at_ = group_->second->second.tables[table_].begin();
      continue;
    }
    key_.assign(group_->first).append(at_->first);
    if (key_.starts_with(prefix_)) return;
    if (key_ > prefix_) break;
    ++at_;
  }
  done_ = true;
}

}  // namespace plexspaces::store
