#include "http/documents.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;

class PackRoutes {
 public:
  PackRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : packs_(dependencies.packs),
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
    CO_TRY(const auto parameters, read_query(call.request, {"lint"}));
    auto lint = tenancy::LintFirst::yes;
    for (const auto& [name, value] : parameters) {
      if (value != "skip") co_return Error(ErrorCode::invalid_parameter, "lint may be \"skip\"");
      lint = tenancy::LintFirst::no;
    }
    CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_pack_bytes));
    CO_TRY(const tenancy::Bundle bundle, tenancy::bundle_from_json(body));
    call.options.deadline = deadline_in(options_.long_request_timeout);
    if (lint == tenancy::LintFirst::no) {
      audit::Change change(context.principal().name, "pack.lint_skipped");
      change.object_type = "pack";
      change.object_id = bundle.manifest.name;
      change.address = call.request.peer;
      CO_TRY_DO(co_await trail_.record_change(std::move(change), call.options));
    }
    std::function<void(std::string_view)> no_progress;
    CO_TRY(const auto report, co_await packs_.install(bundle, no_progress, call.options, lint));
    CO_TRY_DO(co_await registry_.reload_packs(call.options));
    if (packs_changed_) packs_changed_();
    co_return json_response(report.from_version.empty() ? 201 : 200, install_report_document(report));
  }

 private:
  tenancy::PackStore& packs_;
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
  const auto info = [](Method method, const char* path, const char* id, const char* title) {
    return RouteInfo(method, path, Audience::platform, id, title).in("Packs");
  };
  on(info(Method::get, "/v1/packs", "listPacks", "List installed packs").returns(200, ref("PackList")),
     &PackRoutes::list);
  on(info(Method::get, "/v1/packs/{pack}", "getPack", "Get a pack with its resources")
         .returns(200, ref("PackDetail")),
     &PackRoutes::get);
  on(info(Method::post, "/v1/packs", "installPack", "Install or upgrade a pack")
         .about("Checks the pack in a scratch database first; one that breaks a rule is refused and nothing "
                "changes. "
                "An upgrade migrates every tenant in every tier.")
         .query("lint",
                "skip: upgrade although `rowhouse lint` finds errors where the pack is installed; audited",
                enum_schema({"skip"}))
         .takes(ref("PackBundle"))
         .returns(201, ref("InstallReport"))
         .also(200),
     &PackRoutes::install);
}

}  // namespace rowhouse::http
