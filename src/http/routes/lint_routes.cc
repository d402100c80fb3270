#include "http/routes/routes.h"
#include "http/schemas.h"
#include "tenancy/lint.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;

json::Value finding_document(const tenancy::LintFinding& finding) {
  json::Value document;
  document.set("rule", finding.rule);
  document.set("severity", tenancy::severity_name(finding.severity));
  document.set("database", finding.database);
  document.set("schema", finding.schema);
  document.set("object", finding.object);
  document.set("message", finding.message);
  document.set("fix", finding.fix);
  return document;
}

json::Value report_document(const tenancy::LintReport& report) {
  json::Array findings;
  for (const tenancy::LintFinding& finding : report.findings) findings.push_back(finding_document(finding));
  json::Value document;
  document.set("findings", std::move(findings));
  document.set("errors", static_cast<std::int64_t>(report.count(tenancy::Severity::error)));
  document.set("warnings", static_cast<std::int64_t>(report.count(tenancy::Severity::warning)));
  document.set("databases", static_cast<std::int64_t>(report.databases));
  document.set("schemas", static_cast<std::int64_t>(report.schemas));
  document.set("duration_ms", static_cast<std::int64_t>(report.duration.count()));
  document.set("truncated", report.truncated);
  return document;
}

class LintRoutes {
 public:
  LintRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : linter_(dependencies.linter), options_(options) {}

  Reply lint(Call& call, const PlatformContext&) const {
    CO_TRY(const auto parameters, read_query(call.request, {"database"}));
    tenancy::LintRequest request;
    for (const auto& [name, value] : parameters) request.databases.push_back(value);
    call.options.deadline = deadline_in(options_.long_request_timeout);
    CO_TRY(const auto report, co_await linter_.run(std::move(request), call.options));
    co_return json_response(200, report_document(report));
  }

 private:
  tenancy::Linter& linter_;
  const ApiOptions& options_;
};

}  // namespace

void add_lint_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  // Shared by the handler below, which lives as long as the router.
  const auto routes = std::make_shared<LintRoutes>(dependencies, options);
  router.add(RouteInfo(net::Method::post, "/v1/lint", Guard::platform("lint:run"), "lint",
                       "Check everything that is installed against the rules of isolation")
                 .in("Isolation")
                 .about("Reads the catalogs of every database with tenants' rows, and of the server; changes "
                        "nothing. Every finding has its fix.")
                 .query("database", "Only this database; may be repeated", string_schema())
                 .returns(200, ref("LintReport")),
             PlatformHandler([routes](Call& call, const PlatformContext& context) {
               return routes->lint(call, context);
             }));
}

}  // namespace rowhouse::http
