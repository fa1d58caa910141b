// One SQLite connection and its statements.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "plexspaces/base/error.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace plexspaces::store {

/// A prepared statement. Bind from 1, step, read columns from 0, reset. Views bound or read stay valid until reset().
/// Threads: one. Lifetime: within its Database.
class Statement {
 public:
  Statement() = default;
  Statement(sqlite3* connection, sqlite3_stmt* statement) : connection_(connection), statement_(statement) {}
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  Statement& bind(int index, std::uint64_t value);
  Statement& bind(int index, std::string_view blob);
  /// @returns true when there is a row. @error as Database::error().
  Result<bool> step();
  /// step() of a statement without rows, and reset().
  Status run();
  void reset();

  std::uint64_t number(int column) const;
  std::string_view blob(int column) const;

 private:
  sqlite3* connection_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

/// Resets a statement at the end of a block.
class ResetAtEnd {
 public:
  explicit ResetAtEnd(Statement& statement) : statement_(statement) {}
  ResetAtEnd(const ResetAtEnd&) = delete;
  ResetAtEnd& operator=(const ResetAtEnd&) = delete;
  ~ResetAtEnd() { statement_.reset(); }

 private:
  Statement& statement_;
};

/// A connection. Errors have the code that SQLite's code means: a full disk is kResourceExhausted, damage is kDataLoss,
/// the rest kUnavailable; the message is SQLite's.
class Database {
 public:
  /// Opens `path` through the VFS named `vfs`, created if there is none. `reserved_bytes` of each page are left to the
  /// VFS.
  static Result<Database> open(const std::string& path, const char* vfs, int reserved_bytes);
  Database(Database&& other) noexcept;
  Database& operator=(Database&&) = delete;
  ~Database();

  Status execute(const char* sql);
  Result<Statement> prepare(const char* sql);
  /// The first column of the first row, of a pragma or a query.
  Result<std::string> query_text(const char* sql);

  bool in_transaction() const;
  /// Moves the log file's pages into the database file as far as possible.
  Status checkpoint();

 private:
  explicit Database(sqlite3* connection) : connection_(connection) {}

  sqlite3* connection_ = nullptr;
};

}  // namespace plexspaces::store
