#include "plexspaces/store/log_record.hpp"

#include <array>
#include <cstring>

#include <fmt/format.h>

#include "plexspaces/store/crc32c.hpp"

namespace plexspaces::store {

namespace {

constexpr char kFormat = 2;
constexpr std::size_t kHeaderBytes = 5;
constexpr std::uint8_t kTableMask = 0x0f;
constexpr std::uint8_t kErases = 0x10;
constexpr std::uint8_t kKeyIsSuffix = 0x20;
constexpr std::uint8_t kAbsent = 0x40;

void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void put_bytes(std::string& out, std::string_view bytes) {
  put_varint(out, bytes.size());
  out.append(bytes);
}

std::uint32_t checksum(std::uint64_t position, std::string_view body) {
  std::array<char, 8> bytes{};
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(position >> (8 * i));
  return crc32c(body, crc32c(std::string_view(bytes.data(), bytes.size())));
}

// Reads what the builder wrote. After the first failure everything reads as empty and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !bytes_.empty(); shift += 7) {
      auto byte = static_cast<unsigned char>(bytes_.front());
      bytes_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    ok_ = false;
    bytes_ = {};
    return 0;
  }
  std::string_view bytes() {
    std::uint64_t size = varint();
    if (size > bytes_.size()) {
      ok_ = false;
      bytes_ = {};
      return {};
    }
    std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  // A count of things that take at least one byte each, so that damage cannot ask for more memory than there are bytes.
  std::uint64_t count() {
    std::uint64_t value = varint();
    if (value <= bytes_.size()) return value;
    ok_ = false;
    return 0;
  }
  bool ok() const { return ok_; }
  bool at_end() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

std::unexpected<Error> damaged(std::uint64_t position) {
  return fail(Code::kDataLoss,
              fmt::format("the turn log is damaged at position {}: restore the data directory from a backup", position),
              "PLX-STO-0010");
}

}  // namespace

void LogRecordBuilder::start() {
  body_.clear();
  count_ = 0;
}

void LogRecordBuilder::append(const Commit& commit, std::string_view actor_row, const std::vector<bool>& absent) {
  ++count_;
  put_varint(body_, commit.epoch);
  put_varint(body_, commit.expected_sequence);
  put_varint(body_, commit.id);
  put_bytes(body_, actor_row);
  put_varint(body_, commit.records.size());
  for (const std::string& record : commit.records) put_bytes(body_, record);
  put_varint(body_, commit.mutations.size());
  for (std::size_t i = 0; i < commit.mutations.size(); ++i) {
    const Mutation& mutation = commit.mutations[i];
    std::string_view key = mutation.key;
    bool suffix = key.starts_with(actor_row);
    body_.push_back(static_cast<char>(static_cast<std::uint8_t>(mutation.table) | (mutation.value ? 0 : kErases) |
                                      (suffix ? kKeyIsSuffix : 0) | (absent[i] ? kAbsent : 0)));
    put_bytes(body_, suffix ? key.substr(actor_row.size()) : key);
    if (mutation.value) put_bytes(body_, *mutation.value);
  }
}

std::string_view LogRecordBuilder::finish(std::uint64_t position, const std::optional<Overlay::Swept>& swept) {
  row_.assign(kHeaderBytes, '\0');
  put_varint(row_, count_);
  row_.append(body_);
  row_.push_back(swept ? '\1' : '\0');
  if (swept) {
    for (const Overlay::Place* place : {&swept->from, &swept->to, &swept->lap_end}) {
      put_bytes(row_, place->group);
      put_bytes(row_, place->rest);
    }
  }
  std::uint32_t sum = checksum(position, std::string_view(row_).substr(kHeaderBytes));
  row_[0] = kFormat;
  for (int i = 0; i < 4; ++i) row_[1 + i] = static_cast<char>(sum >> (8 * i));
  return row_;
}

Result<std::optional<Overlay::Swept>> read_log_record(std::uint64_t position, std::string_view row,
                                                      const std::function<void(const LoggedCommit&)>& visit) {
  if (row.size() < kHeaderBytes || row[0] != kFormat) return damaged(position);
  std::uint32_t stored = 0;
  for (int i = 0; i < 4; ++i) stored |= static_cast<std::uint32_t>(static_cast<unsigned char>(row[1 + i])) << (8 * i);
  std::string_view body = row.substr(kHeaderBytes);
  if (stored != checksum(position, body)) return damaged(position);

  Reader reader(body);
  LoggedCommit commit;
  for (std::uint64_t commits = reader.count(); commits > 0; --commits) {
    commit.records.clear();
    commit.mutations.clear();
    commit.epoch = reader.varint();
    commit.expected_sequence = reader.varint();
    commit.id = reader.varint();
    commit.actor_row = reader.bytes();
    for (std::uint64_t records = reader.count(); records > 0; --records) commit.records.push_back(reader.bytes());
    for (std::uint64_t mutations = reader.count(); mutations > 0; --mutations) {
      std::uint64_t flags = reader.varint();
      LoggedMutation mutation{.table = static_cast<Table>(flags & kTableMask)};
      if ((flags & kKeyIsSuffix) != 0) mutation.key = commit.actor_row;
      mutation.key += reader.bytes();
      if ((flags & kErases) == 0) mutation.value = reader.bytes();
      mutation.absent = (flags & kAbsent) != 0;
      commit.mutations.push_back(std::move(mutation));
    }
    if (!reader.ok()) return damaged(position);
    visit(commit);
  }
  std::optional<Overlay::Swept> swept;
  if (reader.varint() != 0) {
    swept.emplace();
    for (Overlay::Place* place : {&swept->from, &swept->to, &swept->lap_end}) {
      place->group = reader.bytes();
      place->rest = reader.bytes();
    }
  }
  if (!reader.ok() || !reader.at_end()) return damaged(position);
  return swept;
}

}  // namespace plexspaces::store
