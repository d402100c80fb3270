#include <algorithm>

#include "base/text.h"
#include "http/documents.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;

constexpr const char* kIdempotencyKeyText =
    "A value of the caller's choosing, 1 to 255 visible ASCII characters: a repeated request with the same "
    "key "
    "begins nothing new";
constexpr const char* kPreferText = "`respond-async`: answer 202 as soon as the operation is recorded";

Result<std::size_t> read_count(const std::string& name, const std::string& value) {
  const auto number = parse_int64(value);
  if (!number || *number < 0) return Error(ErrorCode::invalid_parameter, name + " must be a number");
  return static_cast<std::size_t>(*number);
}

// How an upgrade is to go; bounds are checked by who runs it.
Result<tenancy::UpgradeOptions> read_upgrade(const net::HttpRequest& request) {
  TRY(const auto parameters,
      read_query(request, {"lint", "contract", "canary", "parallel", "lock_timeout_ms", "max_failures"}));
  tenancy::UpgradeOptions upgrade;
  for (const auto& [name, value] : parameters) {
    if (name == "lint") {
      if (value != "skip") return Error(ErrorCode::invalid_parameter, "lint may be \"skip\"");
      upgrade.lint = tenancy::LintFirst::no;
    } else if (name == "contract") {
      if (value != "true" && value != "false")
        return Error(ErrorCode::invalid_parameter, "contract must be true or false");
      upgrade.contract = value == "true" ? tenancy::Contract::allowed : tenancy::Contract::refused;
    } else {
      TRY(const std::size_t count, read_count(name, value));
      if (name == "canary") upgrade.canary = count;
      if (name == "parallel") upgrade.parallel = count;
      if (name == "max_failures") upgrade.max_failures = count;
      if (name == "lock_timeout_ms") {
        const auto most = static_cast<std::size_t>(tenancy::kMaxLockTimeout.count());
        upgrade.lock_timeout = std::chrono::milliseconds(std::min(count, most + 1));
      }
    }
  }
  return upgrade;
}

class PackRoutes {
 public:
  PackRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : operations_(dependencies.operations),
        upgrades_(dependencies.upgrades),
        registry_(dependencies.registry),
        trail_(dependencies.trail),
        packs_changed_(dependencies.packs_changed),
        options_(options) {}

  Reply list(Call&, const PlatformContext&) const {
    json::Array data;
    for (const auto& pack : registry_.packs()) data.push_back(pack_summary(*pack));
    json::Value document;
    document.set("data", std::move(data));
    co_return json_response(200, document);
  }

  Reply get(Call& call, const PlatformContext&) const {
    const auto pack = registry_.find_pack(call.parameters[0]);
    if (!pack) co_return Error(ErrorCode::not_found, "there is no pack \"" + call.parameters[0] + "\"");
    co_return json_response(200, pack_document(*pack));
  }

  Reply install(Call& call, const PlatformContext& context) const {
    CO_TRY(const auto upgrade, read_upgrade(call.request));
    CO_TRY(const std::string key, read_idempotency_key(call.request));
    CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_pack_bytes));
    CO_TRY(const tenancy::Bundle bundle, tenancy::bundle_from_json(body));
    call.options.deadline = deadline_in(options_.long_request_timeout);
    std::string actor = context.principal().name;
    if (upgrade.lint == tenancy::LintFirst::no) {
      audit::Change change(actor, "pack.lint_skipped");
      change.object_type = "pack";
      change.object_id = bundle.manifest.name;
      change.address = call.request.peer;
      CO_TRY_DO(co_await trail_.record_change(std::move(change), call.options));
    }
    std::string request_key =
        key.empty() ? "" : std::string(tenancy::kUpgradeOperation) + "/" + actor + "/" + key;
    CO_TRY(auto started,
           co_await upgrades_.start(bundle, upgrade, std::move(actor), std::move(request_key), call.options));
    const auto operation = started.operation;
    const bool is_first =
        started.report.from_version.empty() && started.novelty == operations::Submitted::Novelty::started;
    if (operation && prefers_async(call.request))
      co_return co_await answer_accepted(*operation, call.options);
    CO_TRY(const auto report, co_await upgrades_.finish(std::move(started), call.options));
    if (operation) {
      CO_TRY_DO(co_await registry_.reload_packs(call.options));
      if (packs_changed_) packs_changed_();
    }
    net::HttpResponse response = json_response(is_first ? 201 : 200, install_report_document(report));
    if (operation) response.headers.emplace_back("Operation-Id", operation->to_string());
    co_return response;
  }

  Reply drift(Call& call, const PlatformContext&) const {
    CO_TRY(const auto parameters, read_query(call.request, {"full"}));
    auto reading = tenancy::DriftReading::what_has_changed;
    for (const auto& [name, value] : parameters) {
      if (value != "true" && value != "false")
        co_return Error(ErrorCode::invalid_parameter, name + " must be true or false");
      if (value == "true") reading = tenancy::DriftReading::everything;
    }
    call.options.deadline = deadline_in(options_.long_request_timeout);
    CO_TRY(const auto report, co_await upgrades_.drift(call.parameters[0], reading, call.options));
    co_return json_response(200, drift_document(report));
  }

  Reply targets(Call& call, const PlatformContext&) const {
    const auto id = Uuid::parse(call.parameters[0]);
    if (!id) co_return Error(ErrorCode::not_found, "there is no such operation");
    CO_TRY(const auto parameters, read_query(call.request, {"status", "limit", "cursor"}));
    tenancy::UpgradeFilter filter;
    for (const auto& [name, value] : parameters) {
      if (name == "cursor") filter.cursor = value;
      if (name == "status" && !(filter.status = tenancy::parse_upgrade_status(value))) {
        co_return Error(ErrorCode::invalid_parameter,
                        "status must be waiting, running, done, unchanged, failed or behind");
      }
      if (name == "limit") {
        CO_TRY(filter.limit, read_limit(value));
      }
    }
    CO_TRY(const auto page, co_await upgrades_.targets(*id, std::move(filter), call.options));
    json::Array data;
    for (const tenancy::UpgradeTarget& target : page.targets) data.push_back(upgrade_target_document(target));
    json::Value document;
    document.set("data", std::move(data));
    document.set("next_cursor", page.next_cursor.empty() ? json::Value() : json::Value(page.next_cursor));
    co_return json_response(200, document);
  }

 private:
  // It goes on by itself; every node hears of the new version when it is stored.
  Reply answer_accepted(Uuid id, CallOptions options) const {
    CO_TRY(const auto operation, co_await operations_.get(id, options));
    json::Value document;
    document.set("operation", operation_document(operation));
    net::HttpResponse response = json_response(202, document);
    response.headers.emplace_back("Location", "/v1/operations/" + id.to_string());
    response.headers.emplace_back("Preference-Applied", "respond-async");
    response.headers.emplace_back("Operation-Id", id.to_string());
    co_return response;
  }

  operations::Engine& operations_;
  tenancy::PackUpgrades& upgrades_;
  tenancy::Registry& registry_;
  audit::Trail& trail_;
  std::function<void()> packs_changed_;
  const ApiOptions& options_;
};

}  // namespace

void add_pack_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  using net::Method;
  // Shared by the handlers below, which live as long as the router.
  const auto routes = std::make_shared<PackRoutes>(dependencies, options);
  const auto on = [&](RouteInfo info, auto member) {
    router.add(std::move(info), PlatformHandler([routes, member](Call& call, const PlatformContext& context) {
                 return ((*routes).*member)(call, context);
               }));
  };
  const auto info = [](Method method, const char* path, Guard guard, const char* id, const char* title) {
    return RouteInfo(method, path, guard, id, title).in("Packs");
  };
  on(info(Method::get, "/v1/packs", Guard::platform("packs:read"), "listPacks", "List installed packs")
         .returns(200, ref("PackList")),
     &PackRoutes::list);
  on(info(Method::get, "/v1/packs/{pack}", Guard::platform("packs:read"), "getPack",
          "Get a pack with its resources")
         .returns(200, ref("PackDetail")),
     &PackRoutes::get);
  const json::Value number = json::Object{{"type", "integer"}};
  on(info(Method::post, "/v1/packs", Guard::platform("packs:manage"), "installPack",
          "Install or upgrade a pack")
         .about("Checks the pack in a scratch database first; one that breaks a rule is refused and nothing "
                "changes. An upgrade migrates every tenant in every tier, in waves. All of it is an "
                "operation: it "
                "goes on when the client goes away, can be paused and cancelled, and what failed can be "
                "retried. "
                "With `Prefer: respond-async` the answer does not wait for it.")
         .query("lint",
                "skip: upgrade although `rowhouse lint` finds errors where the pack is installed; audited",
                enum_schema({"skip"}))
         .query("contract", "true: migrations that take something away may run",
                enum_schema({"true", "false"}))
         .query("canary",
                "Tenants of each tier that go first; one that fails stops everything (0 to 1000; default 1)",
                number)
         .query("parallel", "Sessions that migrate tenants (1 to 16; default 2)", number)
         .query("lock_timeout_ms",
                "How long a migration waits for a lock before the tenant is tried again later (default 2000)",
                number)
         .query("max_failures", "So many tenants that fail stop the upgrade (default 10)", number)
         .header("Idempotency-Key", kIdempotencyKeyText)
         .header("Prefer", kPreferText)
         .takes(ref("PackBundle"))
         .returns(201, ref("InstallReport"))
         .also(200)
         .or_returns(202, ref("OperationAccepted"))
         .response_header("Operation-Id", "Id of the operation that did it, or does it"),
     &PackRoutes::install);
  on(info(Method::get, "/v1/packs/{pack}/drift", Guard::platform("packs:read"), "getPackDrift",
          "Compare the schemas of a pack")
         .about("Schemas that do not look as the others of the pack with the same migrations do. Those that "
                "the catalogs prove to be unchanged since the last report are not read again.")
         .query("full", "true: read every schema, whatever is known of it", enum_schema({"true", "false"}))
         .returns(200, ref("PackDrift")),
     &PackRoutes::drift);
  on(RouteInfo(Method::get, "/v1/operations/{operation}/targets", Guard::platform("operations:read"),
               "listOperationTargets", "What became of each tenant")
         .in("Operations")
         .about("Of an upgrade of a pack: the template, the pool, and every tenant with a schema or database "
                "of its "
                "own, in the order of the waves.")
         .query("status", "Only those with this status", ref("UpgradeStatus"))
         .query("limit", "Targets on a page, 1 to 500", json::Object{{"type", "integer"}, {"default", 50}})
         .query("cursor", "next_cursor of the page before", json::Object{{"type", "string"}})
         .returns(200, ref("UpgradeTargetPage")),
     &PackRoutes::targets);
}

}  // namespace rowhouse::http
