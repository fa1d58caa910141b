#include "plexspaces/store/database.hpp"

#include <utility>

#include <fmt/format.h>
#include <sqlite3.h>

namespace plexspaces::store {

namespace {

std::unexpected<Error> sqlite_error(sqlite3* connection, int result) {
  int extended = connection != nullptr ? sqlite3_extended_errcode(connection) : result;
  std::string message =
      fmt::format("the database reports: {} ({})",
                  connection != nullptr ? sqlite3_errmsg(connection) : sqlite3_errstr(result), extended);
  switch (result & 0xff) {
    case SQLITE_FULL:
      return fail(Code::kResourceExhausted, message + "; free space on the disk of the data directory", "PLX-STO-0020",
                  Error::Retry::kBackoff);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return fail(Code::kDataLoss, message + "; restore the data directory from a backup", "PLX-STO-0021");
    default:
      break;
  }
  if (extended == SQLITE_IOERR_DATA)
    return fail(Code::kDataLoss,
                message + "; a page does not match its checksum: restore the data directory from a backup",
                "PLX-STO-0021");
  return fail(Code::kUnavailable, message, "PLX-STO-0022");
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : connection_(other.connection_), statement_(std::exchange(other.statement_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(connection_, other.connection_);
  std::swap(statement_, other.statement_);
  return *this;
}

Statement::~Statement() { sqlite3_finalize(statement_); }

// A bind fails only for a wrong index or size, which the limits exclude; step() would then report the missing value.
Statement& Statement::bind(int index, std::uint64_t value) {
  sqlite3_bind_int64(statement_, index, static_cast<sqlite3_int64>(value));
  return *this;
}

Statement& Statement::bind(int index, std::string_view blob) {
  // A null pointer would bind NULL instead of an empty blob.
  const char* data = blob.empty() ? "" : blob.data();
  sqlite3_bind_blob64(statement_, index, data, blob.size(), SQLITE_STATIC);
  return *this;
}

Result<bool> Statement::step() {
  int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return sqlite_error(connection_, result);
}

Status Statement::run() {
  auto stepped = step();
  reset();
  if (!stepped) return std::unexpected(stepped.error());
  return {};
}

void Statement::reset() { sqlite3_reset(statement_); }

std::uint64_t Statement::number(int column) const {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, column));
}

std::string_view Statement::blob(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

Result<Database> Database::open(const std::string& path, const char* vfs, int reserved_bytes) {
  sqlite3* connection = nullptr;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  int result = sqlite3_open_v2(path.c_str(), &connection, flags, vfs);
  Database database(connection);
  if (result != SQLITE_OK) return sqlite_error(connection, result);
  sqlite3_extended_result_codes(connection, 1);
  // Closing must not write: recovery is the only way in, so it is the way that is tested.
  sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_file_control(connection, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved_bytes);
  return database;
}

Database::Database(Database&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}

Database::~Database() { sqlite3_close_v2(connection_); }

Status Database::execute(const char* sql) {
  int result = sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return sqlite_error(connection_, result);
  return {};
}

Result<Statement> Database::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  int result = sqlite3_prepare_v3(connection_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return sqlite_error(connection_, result);
  return Statement(connection_, statement);
}

Result<std::string> Database::query_text(const char* sql) {
  PLX_TRY(statement, prepare(sql));
  PLX_TRY(row, statement.step());
  return row ? std::string(statement.blob(0)) : std::string();
}

bool Database::in_transaction() const { return sqlite3_get_autocommit(connection_) == 0; }

Status Database::checkpoint() {
  int result = sqlite3_wal_checkpoint_v2(connection_, "main", SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (result != SQLITE_OK) return sqlite_error(connection_, result);
  return {};
}

}  // namespace plexspaces::store
