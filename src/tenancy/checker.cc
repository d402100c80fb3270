#include "tenancy/checker.h"

#include "pg/quote.h"
#include "tenancy/catalog.h"
#include "tenancy/isolation_sql.h"
#include "tenancy/row_rules.h"

namespace rowhouse::tenancy {

namespace {

bool is_used(RuleUse use, CheckTime time) {
  if (time == CheckTime::before_protection)
    return use == RuleUse::pack_before_protection || use == RuleUse::before_and_lint;
  return use != RuleUse::lint;
}

std::string rules_query(CheckTime time) {
  std::string sql =
      isolation_catalog(CatalogScope::one_schema) + std::string(kRowRuleCatalog) + std::string(kRuleCatalog);
  sql += "SELECT rule, object, message, fix FROM (";
  std::string_view separator;
  for (const IsolationRule& rule : isolation_rules()) {
    if (!is_used(rule.use, time)) continue;
    sql += separator;
    append_rule(sql, rule.name, rule.sql);
    separator = "\nUNION ALL";
  }
  return sql + "\n) findings (rule, schema, object, message, fix) ORDER BY rule, object, message";
}

}  // namespace

void append_rule(std::string& sql, std::string_view name, std::string_view query) {
  sql += "\nSELECT ";
  sql += pg::quote_literal(name);
  // With explicit types: a UNION of names and texts would cut the texts to the length of names.
  sql += "::text, schema::text, object::text, message::text, fix::text FROM (";
  sql += query;
  sql += ") found (schema, object, message, fix)";
}

Task<Result<std::vector<Finding>>> check_isolation(pg::Session& session, std::string schema, CheckTime time,
                                                   CallOptions options) {
  CO_TRY_DO(co_await use_catalog_search_path(session, options));
  SchemaScope scope;
  scope.schema = std::move(schema);
  const pg::Statement query(rules_query(time), catalog_parameters(scope), pg::Access::read, pg::Reuse::once);
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
  CO_TRY(auto findings, co_await check_isolation(session, schema, CheckTime::complete, options));
  CO_TRY(const Catalog catalog, co_await read_catalog(session, schema, options));
  for (auto& finding : find_missing_parts(catalog, manifest)) findings.push_back(std::move(finding));
  for (auto& finding : find_broken_promises(catalog, manifest)) findings.push_back(std::move(finding));
  co_return findings;
}

}  // namespace rowhouse::tenancy
