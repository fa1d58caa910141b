#include "plexspaces/store/wal_check.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/env/probe.hpp"
#include "plexspaces/store/crc32c.hpp"

namespace plexspaces::store {

namespace {

// The format is section 4 of SQLite's file format document.
constexpr std::size_t kHeaderBytes = 32;
constexpr std::size_t kFrameHeaderBytes = 24;
constexpr std::uint64_t kSectorBytes = 512;   // env::File: what a crash keeps or loses as a whole
constexpr std::uint32_t kMagic = 0x377f0682;  // the lowest bit tells the byte order of the checksum's words

// The first word of a log's salt begins by chance and rises by one with each log. Nearer than this, its order tells
// which of two logs is older; chance alone rarely comes so near.
constexpr std::uint32_t kSaltsInOrder = 1u << 16;

std::uint32_t big_endian(const char* at) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(at[i]);
  return value;
}

std::uint32_t little_endian(const char* at) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(at[i]);
  return value;
}

void put_little_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

struct Sum {
  std::uint32_t first = 0;
  std::uint32_t second = 0;

  void add(std::string_view bytes, bool big) {
    for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
      const char* at = bytes.data() + i;
      first += (big ? big_endian(at) : little_endian(at)) + second;
      second += (big ? big_endian(at + 4) : little_endian(at + 4)) + first;
    }
  }
  friend bool operator==(const Sum&, const Sum&) = default;
};

std::unexpected<Error> damaged(const std::string& path, const std::string& what) {
  reached(Probe::kStoreDamageRefused);
  return fail(Code::kDataLoss, fmt::format("'{}' {}: restore the data directory from a backup", path, what),
              "PLX-STO-0030");
}

Result<std::size_t> read_at(env::File& file, std::uint64_t offset, std::string& into) {
  return file.read(offset, std::as_writable_bytes(std::span(into)));
}

}  // namespace

std::string WalTie::encode() const {
  std::string out;
  put_little_endian(out, salt[0], 4);
  put_little_endian(out, salt[1], 4);
  put_little_endian(out, bytes, 8);
  put_little_endian(out, next[0], 4);
  put_little_endian(out, next[1], 4);
  put_little_endian(out, checkpoint, 4);
  put_little_endian(out, crc32c(out), 4);
  return out;
}

Result<WalTie> WalTie::decode(std::string_view text) {
  if (text.size() != kBytes || crc32c(text.substr(0, kBytes - 4)) != little_endian(&text[kBytes - 4]))
    return fail(Code::kDataLoss, "what ties it to its log is damaged: restore the data directory from a backup",
                "PLX-STO-0031");
  return WalTie{.salt = {little_endian(&text[0]), little_endian(&text[4])},
                .bytes = little_endian(&text[8]) | static_cast<std::uint64_t>(little_endian(&text[12])) << 32,
                .next = {little_endian(&text[16]), little_endian(&text[20])},
                .checkpoint = little_endian(&text[24])};
}

std::unexpected<Error> different_moments(const std::string& which) {
  reached(Probe::kStoreDamageRefused);
  return fail(Code::kDataLoss, which + ": restore all files of the data directory from one backup", "PLX-STO-0039");
}

// Whether a log with the salt `a` began after the one with the salt `b`, as far as that can be told.
static bool later(const WalSalt& a, const WalSalt& b) { return a[0] != b[0] && a[0] - b[0] < kSaltsInOrder; }

// That the log is the one that the database file wants, or the one after it.
static Status check_tie(const WalState& state, const StorePaths& paths, const WalTie& tie) {
  if (state.salt == tie.next && state.salt != WalSalt{}) return {};
  if (!tie.needs_log()) return different_moments(fmt::format("'{}' is older than '{}'", paths.database, paths.wal));
  if (state.salt == tie.salt) {
    if (state.bytes >= tie.bytes) return {};
    return damaged(paths.wal, fmt::format("is sound for {} bytes of {}: it is damaged, or older than '{}'", state.bytes,
                                          tie.bytes, paths.database));
  }
  if (later(state.salt, tie.salt))
    return different_moments(fmt::format("'{}' is older than '{}'", paths.database, paths.wal));
  if (later(tie.salt, state.salt))
    return different_moments(fmt::format("'{}' is older than '{}'", paths.wal, paths.database));
  return different_moments(
      fmt::format("'{}' and '{}' do not belong together: one is older than the other, or of another "
                  "store",
                  paths.database, paths.wal));
}

Result<WalState> check_wal(env::File& wal, const StorePaths& paths, std::size_t page_bytes, const WalTie& tie) {
  const std::string& path = paths.wal;
  PLX_TRY(size, wal.size());
  std::string header(kHeaderBytes, '\0');
  PLX_TRY(got, read_at(wal, 0, header));
  bool blank = std::ranges::all_of(header, [](char byte) { return byte == '\0'; });
  // A crash before the first header was synced leaves nothing, or zeros where it was to be.
  if (got < kHeaderBytes || (blank && size <= kHeaderBytes)) {
    if (!tie.needs_log()) return WalState{};
    return damaged(path, fmt::format("is empty: it was cut, or is older than '{}'", paths.database));
  }

  std::uint32_t magic = big_endian(&header[0]);
  bool big = (magic & 1) != 0;
  Sum sum;
  sum.add(std::string_view(header).substr(0, 24), big);
  if ((magic & ~1u) != kMagic || big_endian(&header[8]) != page_bytes ||
      sum != Sum{big_endian(&header[24]), big_endian(&header[28])})
    return damaged(path, "has a damaged header");
  WalState state{.salt = {big_endian(&header[16]), big_endian(&header[20])}, .bytes = kHeaderBytes};

  // Behind the last whole transaction there may be what a crash left of ONE more. A second one shows by a frame after
  // the end of the first, or by a page number that does not rise: SQLite writes the pages of a transaction in their
  // order.
  std::string frame(kFrameHeaderBytes + page_bytes, '\0');
  bool sound = true;  // all frames so far follow from the header
  bool ended = false;
  std::uint32_t last_page = 0;
  for (std::uint64_t offset = kHeaderBytes; offset + kFrameHeaderBytes <= size; offset += frame.size()) {
    PLX_TRY(bytes, read_at(wal, offset, frame));
    WalSalt salt{big_endian(&frame[8]), big_endian(&frame[12])};
    std::uint32_t page = big_endian(&frame[0]);
    bool ends_transaction = big_endian(&frame[4]) != 0;
    bool follows = false;
    if (sound && bytes == frame.size()) {
      sum.add(std::string_view(frame).substr(0, 8), big);
      sum.add(std::string_view(frame).substr(kFrameHeaderBytes), big);
      follows = sum == Sum{big_endian(&frame[16]), big_endian(&frame[20])};
    }
    // Logs are written over from their beginning, so what lies behind is older: unless the file was read meanwhile.
    if (salt != WalSalt{} && later(salt, state.salt))
      return different_moments(
          fmt::format("the beginning of '{}' is older than its end: it was copied while a node ran", path));
    // A frame of an earlier generation differs in both words.
    if (follows && (salt[0] == state.salt[0]) != (salt[1] == state.salt[1]))
      return damaged(path, fmt::format("is damaged at byte {}", offset + 8));
    sound = follows && salt == state.salt;
    if (sound && ends_transaction) {
      state.bytes = offset + frame.size();
      last_page = 0;
      continue;
    }
    // Of a torn header only the sectors that hold the salt are known to be new.
    bool header_in_one_sector = offset / kSectorBytes == (offset + 15) / kSectorBytes;
    if (salt != state.salt || !(sound || header_in_one_sector)) continue;
    if (ended || page <= last_page) return damaged(path, fmt::format("is damaged after byte {}", state.bytes));
    last_page = page;
    ended = ends_transaction;
    state.torn_end = offset + bytes;
  }
  state.torn_end = std::max(state.torn_end, state.bytes);

  PLX_TRY_STATUS(check_tie(state, paths, tie));
  return state;
}

}  // namespace plexspaces::store
