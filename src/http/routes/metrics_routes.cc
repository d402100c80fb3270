#include "http/routes/routes.h"
#include "observe/metrics.h"
#include "verify/store.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;
using observe::MetricsWriter;
using Kind = MetricsWriter::Kind;

void write_node(MetricsWriter& out, const NodeStatus& node, const session::TenantDatabaseStats& pools) {
  out.family("rowhouse_http_requests_total", Kind::counter,
             "Requests that this node answered, by class of status");
  constexpr std::string_view kClasses[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
  for (std::size_t i = 0; i < std::size(kClasses); ++i) {
    out.sample(static_cast<std::int64_t>(node.requests_by_class[i]), {{"class", kClasses[i]}});
  }
  out.family("rowhouse_uptime_seconds", Kind::gauge, "How long this node has been running");
  out.sample(node.uptime_seconds);
  out.family("rowhouse_workers", Kind::gauge, "Threads of this node that serve requests");
  out.sample(static_cast<std::int64_t>(node.workers));
  out.family("rowhouse_tenant_connections", Kind::gauge,
             "Connections to databases with tenant rows, of the worker that answers");
  out.sample(static_cast<std::int64_t>(pools.open_connections), {{"state", "open"}});
  out.sample(static_cast<std::int64_t>(pools.busy_connections), {{"state", "busy"}});
  out.family("rowhouse_tenant_requests_waiting", Kind::gauge,
             "Requests that wait for a connection, of the worker that answers");
  out.sample(static_cast<std::int64_t>(pools.waiting));
}

void write_verification(MetricsWriter& out, const verify::Store::Latest& latest) {
  out.family("rowhouse_verification_result", Kind::gauge,
             "Result of the newest verification: 1 for the one that it had");
  for (const std::string_view result : {"proven", "broken", "incomplete"}) {
    out.sample(latest.run.result == result ? 1 : 0, {{"result", result}});
  }
  const std::pair<const char*, std::int64_t> numbers[] = {{"age_seconds", latest.age_seconds},
                                                          {"surfaces", latest.run.surfaces},
                                                          {"uncovered", latest.run.uncovered},
                                                          {"findings", latest.run.findings},
                                                          {"attempts", latest.run.attempts}};
  for (const auto& [name, value] : numbers) {
    out.family("rowhouse_verification_" + std::string(name), Kind::gauge,
               "Of the newest verification that finished");
    out.sample(value);
  }
}

void write_lint(MetricsWriter& out, const tenancy::LintSummary& lint) {
  out.family("rowhouse_lint_findings", Kind::gauge, "Findings of the newest `rowhouse lint` over everything");
  out.sample(lint.errors, {{"severity", "error"}});
  out.sample(lint.warnings, {{"severity", "warning"}});
}

}  // namespace

void add_metrics_routes(Router& router, const Dependencies& dependencies, const ApiOptions&) {
  const auto answer = [dependencies](Call& call, const PlatformContext&) -> Reply {
    MetricsWriter out;
    write_node(out, dependencies.node_status(), dependencies.database.stats());
    CO_TRY(const auto latest, co_await dependencies.verifications.latest(call.options));
    if (latest.has_value()) write_verification(out, *latest);
    CO_TRY(const auto lint, co_await dependencies.linter.last(call.options));
    if (lint.has_value()) write_lint(out, *lint);
    net::HttpResponse response(200);
    response.headers.emplace_back("Content-Type", observe::kMetricsContentType);
    response.body = out.text();
    co_return response;
  };
  // The lambda has captures, which a coroutine does not keep alive: the object that outlives its calls does.
  const auto shared = std::make_shared<decltype(answer)>(answer);
  router.add(RouteInfo(net::Method::get, "/metrics", Guard::platform("platform:read"), "getMetrics",
                       "Metrics for Prometheus")
                 .in("Server")
                 .about("Text exposition format 0.0.4. Prometheus sends the admin token with `authorization: "
                        "{credentials_file: …}`.")
                 .returns(200, json::Object{{"type", "string"}})
                 .response_type("text/plain"),
             PlatformHandler(
                 [shared](Call& call, const PlatformContext& context) { return (*shared)(call, context); }));
}

}  // namespace rowhouse::http
