// How long SchemaBatch takes for what is there: a tool for bench/upgrade.py.
//
//   schema_batch_bench SOCKET_DIRECTORY SECRETS_DIRECTORY DATABASE PACK SESSIONS [ADDITIONAL_MIGRATION_FILE]
// Brings every schema t_… of the database to the embedded pack plus that migration; prints JSON.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>

#include "base/text.h"
#include "net/executor.h"
#include "tenancy/schema_batch.h"

namespace {

using rowhouse::tenancy::TargetStatus;

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

rowhouse::Task<rowhouse::Result<std::vector<rowhouse::tenancy::BatchTarget>>> find_targets(
    const rowhouse::tenancy::Cluster& cluster, std::string database, rowhouse::CallOptions options) {
  CO_TRY(auto session, co_await cluster.administrator(database, options));
  const rowhouse::pg::Statement query(
      "SELECT nspname FROM pg_namespace WHERE nspname LIKE 't\\_%' ORDER BY 1");
  CO_TRY(const auto rows, co_await session.query(query, options));
  std::vector<rowhouse::tenancy::BatchTarget> targets;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    rowhouse::tenancy::BatchTarget& target = targets.emplace_back();
    target.schema = rows.text(row, 0);
    target.slug = target.schema;
    target.role = rowhouse::tenancy::kRuntimeRole;
  }
  co_return targets;
}

}  // namespace

int main(int count, char** words) {
  if (count < 6) return 2;
  const std::vector<std::string> arguments(words, words + count);
  const std::string secrets = arguments[2];
  rowhouse::pg::ConnectionParameters administrator;
  administrator.host = arguments[1];
  administrator.user = "rowhouse_admin";
  administrator.password = rowhouse::trim(content_of(secrets + "/superuser-password"));
  rowhouse::net::Executor executor;
  const rowhouse::tenancy::Cluster cluster(
      executor, administrator,
      rowhouse::tenancy::Credentials(
          rowhouse::from_hex(rowhouse::trim(content_of(secrets + "/master-key"))).value_or("")));
  const rowhouse::CallOptions options{rowhouse::deadline_in(std::chrono::hours(1))};
  auto bundle = rowhouse::tenancy::bundle_from_embedded(arguments[4]);
  if (!bundle.ok()) return 2;
  if (arguments.size() > 6) {
    const int number = static_cast<int>(bundle->migrations.size()) + 1;
    bundle->migrations.emplace_back(number, "9999_bench", content_of(arguments[6]));
  }
  const auto targets = rowhouse::net::run_until_done(executor, find_targets(cluster, arguments[3], options));
  if (!targets.ok()) {
    std::fprintf(stderr, "%s\n", targets.error().message.c_str());
    return 1;
  }
  rowhouse::tenancy::BatchOptions batch;
  batch.sessions = static_cast<std::size_t>(rowhouse::parse_int64(arguments[5]).value_or(2));
  std::size_t failures = 0;
  batch.on_finished = [&failures](const rowhouse::tenancy::TargetOutcome& outcome) {
    if (outcome.error) ++failures;
  };
  batch.should_stop = [&failures] { return failures > 0; };
  const auto began = std::chrono::steady_clock::now();
  const auto report = rowhouse::net::run_until_done(
      executor, rowhouse::tenancy::migrate_schemas(cluster, arguments[3], *targets, *bundle, batch, options));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
  if (!report.ok()) {
    std::fprintf(stderr, "%s\n", report.error().message.c_str());
    return 1;
  }
  for (const auto& outcome : report->outcomes) {
    if (!outcome.error) continue;
    std::fprintf(stderr, "%s: %s %s\n", (*targets)[outcome.target].slug.c_str(),
                 outcome.error->message.c_str(),
                 std::string(outcome.error->detail(rowhouse::pg::kServerMessage)).c_str());
    for (const auto& field : outcome.error->fields)
      std::fprintf(stderr, "%s: %s\n", field.path.c_str(), field.message.c_str());
    break;
  }
  std::map<rowhouse::tenancy::MigrationWay, std::size_t> ways;
  std::chrono::microseconds busy{0};
  for (const auto& outcome : report->outcomes) {
    ++ways[outcome.way];
    busy += outcome.duration;
  }
  std::printf(
      "{\"seconds\": %.3f, \"busy\": %.3f, \"schemas\": %zu, \"done\": %zu, \"unchanged\": %zu, \"slow\": "
      "%zu, \"fast\": %zu, \"groups\": %zu}\n",
      seconds.count(), static_cast<double>(busy.count()) / 1e6, targets->size(),
      report->count(TargetStatus::done), report->count(TargetStatus::unchanged),
      ways[rowhouse::tenancy::MigrationWay::slow], ways[rowhouse::tenancy::MigrationWay::fast],
      report->groups);
  return report->count(TargetStatus::done) + report->count(TargetStatus::unchanged) == targets->size() ? 0
                                                                                                       : 1;
}
