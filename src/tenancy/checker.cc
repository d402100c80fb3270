#include "tenancy/checker.h"

#include "pg/quote.h"
#include "tenancy/catalog.h"
#include "tenancy/cluster.h"
#include "tenancy/isolation_sql.h"

namespace rowhouse::tenancy {

namespace {

std::string rules_query(RuleStage stage) {
  std::string sql = std::string(kIsolationCatalog) + std::string(kRuleCatalog) + "SELECT * FROM (";
  std::string_view separator;
  for (const IsolationRule& rule : isolation_rules()) {
    if (stage == RuleStage::before_protection && rule.stage != stage) continue;
    sql += separator;
    sql += "\nSELECT ";
    sql += pg::quote_literal(rule.name);
    // With explicit types: a UNION of names and texts would cut the texts to the length of names.
    sql += "::text, object::text, message::text, fix::text FROM (";
    sql += rule.sql;
    sql += ") found (object, message, fix)";
    separator = "\nUNION ALL";
  }
  return sql + "\n) findings (rule, object, message, fix) ORDER BY rule, object, message";
}

}  // namespace

Task<Result<std::vector<Finding>>> check_isolation(pg::Session& session, std::string schema, RuleStage stage,
                                                   CallOptions options) {
  CO_TRY_DO(co_await use_catalog_search_path(session, options));
  const pg::Statement query(
      rules_query(stage), three_params(std::move(schema), std::string(kOwnerRole), std::string(kBackupRole)),
      pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options));
  std::vector<Finding> findings;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    findings.emplace_back(std::string(rows.text(row, 0)), std::string(rows.text(row, 1)),
                          std::string(rows.text(row, 2)), std::string(rows.text(row, 3)));
  }
  co_return findings;
}

Task<Result<std::vector<Finding>>> check_schema(pg::Session& session, const std::string& schema,
                                                const Manifest& manifest, CallOptions options) {
  CO_TRY(auto findings, co_await check_isolation(session, schema, RuleStage::always, options));
  CO_TRY(const Catalog catalog, co_await read_catalog(session, schema, options));
  for (auto& finding : find_missing_parts(catalog, manifest)) findings.push_back(std::move(finding));
  for (auto& finding : find_broken_promises(catalog, manifest)) findings.push_back(std::move(finding));
  co_return findings;
}

}  // namespace rowhouse::tenancy
