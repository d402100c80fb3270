#include "pg/migrations.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/embedded.h"
#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::pg {
namespace {

// Held to the end of each migration's transaction. Advisory locks are per database; the first number is
// 'rowh' in ASCII.
constexpr const char* kLock = "SELECT pg_catalog.pg_advisory_xact_lock(1919907688, 2)";
constexpr const char* kMakeRecords =
    "CREATE SCHEMA IF NOT EXISTS rowhouse_meta;"
    "CREATE TABLE IF NOT EXISTS rowhouse_meta.migrations ("
    "  number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
    "  applied_at timestamptz NOT NULL DEFAULT now())";
constexpr const char* kHasRecords = "SELECT pg_catalog.to_regclass('rowhouse_meta.migrations') IS NOT NULL";
constexpr const char* kReadRecords =
    "SELECT number, name, checksum FROM rowhouse_meta.migrations ORDER BY number";
constexpr const char* kAddRecord =
    "INSERT INTO rowhouse_meta.migrations (number, name, checksum) VALUES ($1::integer, $2::text, $3::text)";

constexpr std::size_t kNumberDigits = 4;  // "0001_tenants.sql"

// "0001_tenants.sql" → 1; nullopt if the name is not like that.
std::optional<int> number_of(std::string_view file_name) {
  if (file_name.size() <= kNumberDigits + 1 || file_name[kNumberDigits] != '_') return std::nullopt;
  const auto digits = file_name.substr(0, kNumberDigits);
  if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  return static_cast<int>(*parse_int64(digits));
}

// What is recorded must be the beginning of what we have, unchanged. Returns how many are recorded.
Result<std::size_t> compare(const Rows& records, const std::vector<Migration>& migrations) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::string_view name = records.text(i, 1);
    if (i >= migrations.size() || std::to_string(migrations[i].number) != records.text(i, 0)) {
      return Error(
          ErrorCode::migration_changed,
          fmt::format("this database has had the migration {}, which this version of Rowhouse does not have; "
                      "run the newer version that made it",
                      name));
    }
    if (to_hex(crypto::sha256(migrations[i].sql)) != records.text(i, 2)) {
      return Error(
          ErrorCode::migration_changed,
          fmt::format("the migration {} was changed after it had run on this database; released migrations "
                      "never change: undo the change and add a new file",
                      name));
    }
  }
  return records.size();
}

// Faults of the file are told as such; others (connection lost, time over) keep their own code.
Error explain(Error error, const Migration& migration) {
  switch (error.code) {
    case ErrorCode::database_unavailable:
    case ErrorCode::statement_timeout:
    case ErrorCode::disk_full:
    case ErrorCode::cancelled:
    case ErrorCode::overloaded:
      return error;
    default:
      break;
  }
  const std::string_view words = error.detail(kServerMessage);
  Error explained(ErrorCode::migration_failed,
                  fmt::format("the migration {} failed and left nothing behind: {}", migration.name,
                              words.empty() ? std::string_view(error.message) : words));
  explained.details = std::move(error.details);
  return explained;
}

Task<Result<void>> make_records(Session& session, CallOptions options) {
  const Statement has_records(kHasRecords, {}, Access::write, Reuse::once);
  CO_TRY(const auto answer, co_await session.query(has_records, options));
  if (answer.text(0, 0) == "t") co_return Result<void>();
  const std::string make(kMakeRecords);
  CO_TRY_DO(co_await session.script(make, options));
  co_return Result<void>();
}

Task<Result<void>> apply(Session& session, const Migration& migration, CallOptions options) {
  auto ran = co_await session.script(migration.sql, options);
  if (!ran.ok()) co_return explain(std::move(ran).error(), migration);
  Params values;
  values.emplace_back(std::to_string(migration.number));
  values.emplace_back(migration.name);
  values.emplace_back(to_hex(crypto::sha256(migration.sql)));
  const Statement add_record(kAddRecord, std::move(values), Access::write, Reuse::once);
  CO_TRY_DO(co_await session.query(add_record, options));
  co_return Result<void>();
}

enum class Step { applied, nothing_left };

// Inside a transaction: waits for the lock, looks what others have done meanwhile, and runs the next file if
// any.
Task<Result<Step>> run_next(Session& session, const std::vector<Migration>& migrations, CallOptions options) {
  const Statement lock(kLock, {}, Access::write, Reuse::once);
  CO_TRY_DO(co_await session.query(lock, options));
  CO_TRY_DO(co_await make_records(session, options));
  const Statement read_records(kReadRecords, {}, Access::write, Reuse::once);
  CO_TRY(const auto records, co_await session.query(read_records, options));
  CO_TRY(const auto done, compare(records, migrations));
  if (done == migrations.size()) co_return Step::nothing_left;
  CO_TRY_DO(co_await apply(session, migrations[done], options));
  co_return Step::applied;
}

}  // namespace

Result<std::vector<Migration>> migrations_from_embedded(std::string_view folder) {
  std::vector<Migration> migrations;
  for (const auto& file : embedded_files()) {
    if (!file.path.starts_with(folder) || !file.path.ends_with(".sql")) continue;
    const std::string_view name = file.path.substr(folder.size());
    const auto number = number_of(name);
    if (!number) {
      return Error(ErrorCode::config_invalid, fmt::format("{} is not named like 0001_name.sql", file.path));
    }
    migrations.emplace_back(*number,
                            std::string(name.substr(0, name.size() - std::string_view(".sql").size())),
                            std::string(file.content));
  }
  std::stable_sort(migrations.begin(), migrations.end(),
                   [](const Migration& a, const Migration& b) { return a.number < b.number; });
  for (std::size_t i = 0; i < migrations.size(); ++i) {
    if (migrations[i].number != static_cast<int>(i) + 1) {
      return Error(ErrorCode::config_invalid,
                   fmt::format("the migrations in {} are not numbered 1, 2, 3, …: {} stands at place {}",
                               folder, migrations[i].name, i + 1));
    }
  }
  return migrations;
}

Task<Result<int>> run_migrations(Session& session, const std::vector<Migration>& migrations,
                                 CallOptions options) {
  int applied = 0;
  while (true) {
    CO_TRY_DO(co_await session.begin(nullptr, options));
    auto step = co_await run_next(session, migrations, options);
    if (!step.ok()) {
      // If even this fails the connection is gone, and the transaction with it.
      [[maybe_unused]] const auto undone = co_await session.rollback(options);
      co_return std::move(step).error();
    }
    CO_TRY_DO(co_await session.commit(options));
    if (*step == Step::nothing_left) co_return applied;
    ++applied;
  }
}

}  // namespace rowhouse::pg
