#include "plexspaces/store/overlay.hpp"

#include <algorithm>
#include <limits>
#include <ranges>
#include <utility>

#include "plexspaces/base/check.hpp"
#include "plexspaces/env/probe.hpp"

namespace plexspaces::store {

namespace {

struct SplitKey {
  std::string_view group;
  std::string_view rest;
};

// The shard is one byte of any value. An ActorKey row has four parts with a NUL between them; another NUL ends it. A
// key of another form is a group of its own. Ordering by group and then by rest is ordering by key: no part holds a
// NUL, which sorts below all other bytes.
SplitKey split(std::string_view key) {
  std::size_t at = 1;
  for (int part = 0; part < 4; ++part) {
    at = key.find('\0', at);
    if (at == std::string_view::npos) return {key, {}};
    ++at;
  }
  return {key.substr(0, at - 1), key.substr(at - 1)};
}

char tag(Table table) { return static_cast<char>(table); }

}  // namespace

// Under which a row stands in its group; valid until the next call.
const std::string& Overlay::place(char table, std::string_view rest) const {
  place_.assign(1, table).append(rest);
  return place_;
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
  bytes_ += group_cost(group.first.size());
  last_ = &group;
  return group;
}

const Overlay::Row* Overlay::find(Table table, std::string_view key) const {
  SplitKey name = split(key);
  const GroupEntry* group = find_group(name.group);
  if (group == nullptr) return nullptr;
  auto found = group->second.find(place(tag(table), name.rest));
  return found == group->second.end() ? nullptr : &found->second;
}

void Overlay::begin(std::uint64_t position) {
  PLX_CHECK(position >= position_, "positions of the log only rise");
  if (groups_.empty()) {
    // No row has a position: nothing is counted.
    positions_.assign(1, 0);
    positions_begin_ = position;
  }
  position_ = position;
  positions_.resize(position - positions_begin_ + 1, 0);
}

std::uint64_t Overlay::oldest_position() const {
  auto oldest = std::ranges::find_if(positions_, [](std::uint32_t rows) { return rows > 0; });
  if (oldest == positions_.end()) return position_;
  return positions_begin_ + static_cast<std::uint64_t>(oldest - positions_.begin());
}

// The row under `key`, made if there is none, with what is needed to undo its coming change. Its position is that of
// the changes at hand.
Overlay::Row& Overlay::change(char table, std::string_view key, bool absent) {
  SplitKey name = split(key);
  GroupEntry& group = make_group(name.group);
  Rows& rows = group.second;
  const std::string& rest = place(table, name.rest);
  auto at = rows.lower_bound(rest);
  Undo& undo = undo_.emplace_back();
  undo.group = &group;
  if (at != rows.end() && at->first == rest) {
    bytes_ -= row_cost(rest.size(), at->second.value.size());
    discount(at->second);
    undo.before = std::exchange(
        at->second, Row{.born = at->second.born, .position = position_, .version = at->second.version, .value = {}});
  } else {
    at = rows.emplace_hint(at, rest, Row{.born = absent, .position = position_, .value = {}});
    undo.inserted = true;
  }
  count(at->second);
  undo.rest = &at->first;
  undo.row = &at->second;
  return at->second;
}

void Overlay::put(Table table, std::string_view key, std::string_view value, bool absent) {
  Row& row = change(tag(table), key, absent);
  row.held = Held::kValue;
  row.value = value;
  bytes_ += row_cost(undo_.back().rest->size(), row.value.size());
}

void Overlay::erase(Table table, std::string_view key, bool absent) {
  SplitKey name = split(key);
  GroupEntry* group = find_group(name.group);
  if (group != nullptr) {
    Rows& rows = group->second;
    if (auto found = rows.find(place(tag(table), name.rest)); found == rows.end()) {
      if (absent) return;
    } else if (found->second.born) {
      bytes_ -= row_cost(found->first.size(), found->second.value.size());
      discount(found->second);
      Undo& undo = undo_.emplace_back();
      undo.group = group;
      undo.node = rows.extract(found);
      reached(Probe::kStoreRowVanished);
      return;
    }
  } else if (absent) {
    return;
  }
  change(tag(table), key, false).held = Held::kErased;
  bytes_ += row_cost(undo_.back().rest->size(), 0);
}

void Overlay::put_actor(std::string_view key, const Version& version, Held held, std::string_view value) {
  Row& row = change(tag(Table::kActor), key, false);
  row.version = version;
  row.held = held;
  if (held != Held::kTableValue) {
    row.value = value;
  } else if (const Undo& undo = undo_.back(); undo.before) {
    // Unchanged by this commit: what the overlay held goes on, and the log must keep it.
    row.held = undo.before->held;
    row.value = undo.before->value;
    if (row.held != Held::kTableValue) {
      discount(row);
      row.position = undo.before->position;
      count(row);
    }
  }
  bytes_ += row_cost(undo_.back().rest->size(), row.value.size());
}

Overlay::Place Overlay::last_place() const {
  const GroupEntry& group = *order_.rbegin()->second;
  // A group that this transaction has emptied still has its name, behind which no row of it can be.
  return {group.first, group.second.empty() ? std::string() : group.second.rbegin()->first};
}

// Takes the rows behind at_ out, up to lap_end_ and while they sum to less than `budget`; at_ moves along.
// @returns whether lap_end_ was reached.
template <class Write>
Result<bool> Overlay::take_rows(std::size_t budget, Write write) {
  std::size_t done = 0;
  for (auto entry = order_.lower_bound(at_.group); entry != order_.end() && entry->first <= lap_end_.group; ++entry) {
    GroupEntry& group = *entry->second;
    Rows& rows = group.second;
    bool last_group = group.first == lap_end_.group;
    auto first = at_.group == group.first ? rows.upper_bound(at_.rest) : rows.begin();
    for (auto row = first; row != rows.end() && !(last_group && row->first > lap_end_.rest);) {
      if (done >= budget) return false;
      PLX_TRY_STATUS(write(group.first, row->first, row->second));
      std::size_t cost = row_cost(row->first.size(), row->second.value.size());
      bytes_ -= cost;
      done += cost;
      discount(row->second);
      if (at_.group != group.first) at_.group = group.first;
      at_.rest = row->first;
      Undo& undo = undo_.emplace_back();
      undo.group = &group;
      undo.swept = true;
      undo.node = rows.extract(row++);
      if (rows.empty()) done += group_cost(group.first.size());
    }
  }
  return true;
}

Result<std::optional<Overlay::Swept>> Overlay::sweep(
    std::size_t budget, const std::function<Status(Table, const std::string& key, const Row&)>& write) {
  if (order_.empty()) return std::nullopt;
  if (at_ == Place{}) lap_end_ = last_place();
  Swept swept{.from = at_, .to = {}, .lap_end = lap_end_};
  std::string key;
  PLX_TRY(ended, take_rows(budget, [&](const std::string& group, const std::string& place, const Row& row) -> Status {
            key.assign(group).append(place, 1);
            return write(static_cast<Table>(place.front()), key, row);
          }));
  swept.to = ended ? lap_end_ : at_;
  if (ended) at_ = {};
  return swept;
}

void Overlay::repeat(const Swept& swept) {
  at_ = swept.from;
  lap_end_ = swept.to;
  auto taken = take_rows(std::numeric_limits<std::size_t>::max(), [](auto&, auto&, auto&) -> Status { return {}; });
  PLX_CHECK(taken.has_value(), "nothing was written that could fail");
  at_ = swept.ends_lap() ? Place{} : swept.to;
  lap_end_ = swept.lap_end;
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
    bytes_ -= group_cost(group->first.size());
    order_.erase(group->first);
    groups_.erase(groups_.find(group->first));
  }
  if (!empty.empty()) last_ = nullptr;
}

void Overlay::settle(const std::function<void(Table, const std::string& key, const Row&)>& swept) {
  std::string key;
  for (const Undo& undo : undo_) {
    if (!undo.swept) continue;
    key.assign(undo.group->first).append(undo.node.key(), 1);
    swept(static_cast<Table>(undo.node.key().front()), key, undo.node.mapped());
  }
  settled_at_ = at_;
  settled_lap_end_ = lap_end_;
  end_changes();
  for (; positions_.front() == 0 && positions_begin_ < position_; ++positions_begin_) positions_.pop_front();
}

void Overlay::revert() {
  // Backwards, so that each step finds the rows as they were just after the change it undoes. Nodes keep their
  // addresses.
  for (Undo& undo : std::views::reverse(undo_)) {
    Rows& rows = undo.group->second;
    if (undo.node) {
      bytes_ += row_cost(undo.node.key().size(), undo.node.mapped().value.size());
      count(undo.node.mapped());
      rows.insert(std::move(undo.node));
      continue;
    }
    bytes_ -= row_cost(undo.rest->size(), undo.row->value.size());
    discount(*undo.row);
    if (undo.inserted) {
      rows.erase(rows.find(*undo.rest));
    } else {
      *undo.row = std::move(*undo.before);
      bytes_ += row_cost(undo.rest->size(), undo.row->value.size());
      count(*undo.row);
    }
  }
  at_ = settled_at_;
  lap_end_ = settled_lap_end_;
  end_changes();
}

Overlay::Scan::Scan(const Overlay& overlay, Table table, std::string_view prefix)
    : overlay_(overlay), table_(tag(table)), prefix_(prefix) {
  // The first group that can hold such keys is the one that the prefix itself would be in.
  SplitKey name = split(prefix_);
  group_ = overlay_.order_.lower_bound(name.group);
  if (group_ != overlay_.order_.end()) {
    bool in_group = group_->first == name.group;
    at_ = group_->second->second.lower_bound(overlay.place(table_, in_group ? name.rest : std::string_view()));
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
    ++looked_at_;
    if (at_ == group_->second->second.end() || at_->first.front() != table_) {
      // Groups behind the prefix are not looked at: there may be very many.
      if (++group_ == overlay_.order_.end()) break;
      if (group_->first > prefix_ && !group_->first.starts_with(prefix_)) break;
      at_ = group_->second->second.lower_bound(std::string_view(&table_, 1));
      continue;
    }
    key_.assign(group_->first).append(at_->first, 1);
    if (key_.starts_with(prefix_)) return;
    if (key_ > prefix_) break;
    ++at_;
  }
  done_ = true;
}

}  // namespace plexspaces::store
