#include "http/api.h"

#include "base/text.h"
#include "http/routes/routes.h"

namespace rowhouse::http {
namespace {

// Printable ASCII stays; anything else is percent-encoded, so that a name cannot break the header.
std::string header_text(const std::string& text) {
  for (const char c : text) {
    if (c < 0x20 || c > 0x7e || c == '%') return percent_encode(text);
  }
  return text;
}

// The server's own faults are logged once, here, with what the client does not get to see.
void log_fault(observe::Log& log, const Error& error, const net::HttpRequest& request) {
  if (error_code_status(error.code) != 500 && error.code != ErrorCode::disk_full) return;
  log.write(observe::Level::error, "request_failed",
            {{"request_id", request.request_id},
             {"code", error_code_name(error.code)},
             {"message", error.message},
             {"sqlstate", error.detail("sqlstate")},
             {"server_message", error.detail("server_message")}});
}

// The security event of a request that authenticated and then asked for what its plan does not include, or
// what its principal may not do. `tenant` is null for one of the platform.
void record_refusal(audit::Trail& trail, const tenancy::Tenant* tenant, const identity::Principal& principal,
                    const net::HttpRequest& request, const Error& error) {
  using audit::SecurityEventKind;
  const bool is_feature = error.code == ErrorCode::feature_missing;
  if (!is_feature && error.code != ErrorCode::permission_missing) return;
  audit::SecurityEvent event(is_feature ? SecurityEventKind::feature_access_denied
                                        : SecurityEventKind::permission_denied);
  if (tenant != nullptr) event.tenant = tenant->id;
  event.actor = principal.name;
  event.detail = error.message;
  event.address = request.peer;
  event.agent = request.header("User-Agent").value_or("");
  event.request_id = request.request_id;
  trail.record(std::move(event));
}

}  // namespace

Api::Api(Dependencies dependencies, ApiOptions options)
    : dependencies_(std::move(dependencies)), options_(std::move(options)) {
  add_data_routes(router_, dependencies_, options_);  // first: the hot ones
  add_object_routes(router_, dependencies_, options_);
  add_object_upload_routes(router_, dependencies_, options_);
  add_tenant_routes(router_, dependencies_, options_);
  add_key_routes(router_, dependencies_, options_);
  add_auth_routes(router_, dependencies_, options_);
  add_browser_routes(router_, dependencies_, options_);
  add_totp_routes(router_, dependencies_, options_);
  add_people_routes(router_, dependencies_, options_);
  add_account_routes(router_, dependencies_, options_);
  add_invitation_routes(router_, dependencies_, options_);
  add_mail_routes(router_, dependencies_, options_);
  add_sso_routes(router_, dependencies_, options_);
  add_storage_routes(router_, dependencies_, options_);
  add_token_key_routes(router_, dependencies_, options_);
  add_pack_routes(router_, dependencies_, options_);
  add_context_key_routes(router_, dependencies_, options_);
  add_lint_routes(router_, dependencies_, options_);
  add_metrics_routes(router_, dependencies_, options_);
  add_verification_routes(router_, dependencies_, options_);
  add_operation_routes(router_, dependencies_, options_);
  add_open_routes(router_, dependencies_, options_);
}

Api::~Api() = default;

Task<net::HttpResponse> Api::handle(net::HttpRequest& request) {
  Router::Match match = router_.match(request.method, request.path);
  if (match.route == nullptr) {
    const bool known = !match.allowed.empty();
    co_return problem_response(
        known
            ? Error(ErrorCode::method_not_allowed, "this path offers " + match.allowed)
                  .with_detail("allow", match.allowed)
            : Error(ErrorCode::unknown_route, "there is no such path; see /openapi.json for those there are"),
        request.request_id);
  }
  CallOptions options{deadline_in(options_.request_timeout), request.cancel};
  Call call(request, options);
  call.parameters = std::move(match.parameters);
  Result<net::HttpResponse> outcome = co_await dispatch(*match.route, call);
  if (outcome.ok() && outcome->log_error_code.empty()) {
    outcome->headers.emplace_back("X-Request-Id", request.request_id);  // problems have it already
  } else if (!outcome.ok()) {
    log_fault(dependencies_.log, outcome.error(), request);
    outcome = problem_response(outcome.error(), request.request_id);
  }
  net::HttpResponse response = std::move(outcome).value();
  response.log_route = match.route->info.path;
  co_return response;
}

Task<Result<net::HttpResponse>> Api::dispatch(const Route& route, Call& call) {
  if (const auto* open = std::get_if<OpenHandler>(&route.handler)) co_return co_await (*open)(call);
  if (!dependencies_.database_ready()) {
    co_return Error(ErrorCode::database_unavailable, "the database is being restarted");
  }
  identity::Authenticator& authenticator = dependencies_.authenticator;
  if (const auto* tenant = std::get_if<TenantHandler>(&route.handler)) {
    const Guard guard = route.info.guard;
    if (auto cached = authenticator.tenant_if_cached(call.request)) {
      if (!cached->ok()) co_return std::move(*cached).error();
      co_return co_await run_tenant(guard, *tenant, call, cached->value());
    }
    CO_TRY(const identity::TenantContext context, co_await authenticator.tenant(call.request, call.options));
    co_return co_await run_tenant(guard, *tenant, call, context);
  }
  CO_TRY(const identity::PlatformContext context,
         co_await authenticator.platform(call.request, call.options));
  Result<net::HttpResponse> outcome(net::HttpResponse(0));
  auto allowed = context.require(route.info.guard.operation());
  if (allowed.ok()) {
    outcome = co_await std::get<PlatformHandler>(route.handler)(call, context);
  } else {
    outcome = std::move(allowed).error();
  }
  if (!outcome.ok()) {
    record_refusal(dependencies_.trail, nullptr, context.principal(), call.request, outcome.error());
  }
  co_return outcome;
}

Task<Result<net::HttpResponse>> Api::run_tenant(Guard guard, const TenantHandler& handler, Call& call,
                                                const identity::TenantContext& context) {
  Result<net::HttpResponse> outcome(net::HttpResponse(0));
  Result<void> allowed;
  // The others are checked by those who know the operation; see Guard.
  if (guard.kind() == Guard::Kind::tenant) allowed = context.require(guard.operation());
  if (allowed.ok()) {
    outcome = co_await handler(call, context);
  } else {
    outcome = std::move(allowed).error();
  }
  if (!outcome.ok()) {
    const bool refused = !outcome.error().detail(pg::kContextRefused).empty();
    if (refused) {
      dependencies_.context_refused(outcome.error());  // as many as there are requests: told once a minute
    } else {
      log_fault(dependencies_.log, outcome.error(), call.request);
    }
    record_refusal(dependencies_.trail, &context.tenant(), context.principal(), call.request,
                   outcome.error());
    outcome = problem_response(outcome.error(), call.request.request_id);
  }
  net::HttpResponse& response = outcome.value();
  response.headers.emplace_back("X-Tenant-ID", context.tenant().id.to_string());
  response.headers.emplace_back("X-Tenant-Name", header_text(context.tenant().name));
  response.log_tenant = context.tenant().slug;
  co_return outcome;
}

}  // namespace rowhouse::http
