#include "tenancy/lint_context_keys.h"

#include "base/text.h"
#include "crypto/crypto.h"
#include "tenancy/context_keys.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kDigestsSql =
    "SELECT id, pg_catalog.encode(pg_catalog.sha256(key), 'hex') FROM rowhouse.context_keys ORDER BY id";

}  // namespace

Task<Result<std::vector<LintFinding>>> find_unknown_context_keys(pg::Session& session, const Cluster& cluster,
                                                                 const std::string& database,
                                                                 CallOptions options) {
  const pg::Statement query(std::string(kDigestsSql), pg::Params(), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options));
  std::vector<LintFinding> findings;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const std::string id(rows.text(row, 0));
    const auto generation = static_cast<std::int32_t>(parse_int64(id).value_or(0));
    const pg::ContextKey ours = derive_context_key(cluster.credentials(), generation, database);
    if (to_hex(crypto::sha256(ours.bytes)) == rows.text(row, 1)) continue;
    LintFinding finding;
    finding.rule = "context-key-unknown";
    finding.severity = Severity::error;
    finding.schema = "rowhouse";
    finding.object = "context_keys." + id;
    finding.message = "the key is not Rowhouse's own: whoever put it there can speak in any tenant's name";
    finding.fix = "DELETE FROM rowhouse.context_keys WHERE id = " + id + ";";
    findings.push_back(std::move(finding));
  }
  co_return findings;
}

}  // namespace rowhouse::tenancy
