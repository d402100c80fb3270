#include <map>

#include "base/text.h"
#include "http/routes/routes.h"
#include "http/schemas.h"
#include "verify/report_html.h"
#include "verify/store.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;

// The page of a report holds its own style and nothing else.
constexpr std::string_view kReportPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors "
    "'none'";

json::Value text_or_null(const std::string& text) { return text.empty() ? json::Value() : json::Value(text); }

json::Value run_document(const verify::Run& run) {
  json::Value document;
  document.set("id", run.id);
  document.set("status", run.status);
  document.set("requested_by", run.requested_by);
  document.set("started_at", run.started_at);
  document.set("finished_at", text_or_null(run.finished_at));
  document.set("result", text_or_null(run.result));
  document.set("surfaces", run.surfaces);
  document.set("uncovered", run.uncovered);
  document.set("findings", run.findings);
  document.set("attempts", run.attempts);
  document.set("progress", run.progress);
  document.set("error", text_or_null(run.error));
  return document;
}

bool wants_html(const net::HttpRequest& request) {
  const std::string accept = to_lower_ascii(request.header("Accept").value_or(""));
  return accept.find("text/html") != std::string::npos;
}

class VerificationRoutes {
 public:
  VerificationRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : store_(dependencies.verifications),
        run_(dependencies.run_verification),
        public_key_(dependencies.verification_public_key),
        options_(options) {}

  Reply create(Call& call, const PlatformContext& context) const {
    json::Value body{json::Object{}};
    if (!media_type(call.request).empty()) {
      CO_TRY(body, co_await read_json(call.request, options_.max_json_bytes));
    }
    CO_TRY(const verify::Request request, verify::read_request(body));
    const verify::Runner::Job job{Uuid::make_v7(std::chrono::system_clock::now()), verify::make_slug_prefix(),
                                  request};
    CO_TRY_DO(
        co_await store_.begin(job.id, job.slug_prefix, job.request, context.principal().name, call.options));
    if (!run_(job)) {
      const std::string why = "this node is starting or stopping";
      CO_TRY_DO(co_await store_.fail(job.id, why, call.options));
      co_return Error(ErrorCode::shutting_down, why);
    }
    const std::string id = job.id.to_string();
    CO_TRY(const verify::Run begun, co_await store_.get(id, call.options));
    net::HttpResponse response = json_response(202, run_document(begun));
    response.headers.emplace_back("Location", "/v1/verifications/" + begun.id);
    co_return response;
  }

  Reply list(Call& call, const PlatformContext&) const {
    CO_TRY(const auto runs, co_await store_.list(call.options));
    json::Array data;
    for (const verify::Run& run : runs) data.push_back(run_document(run));
    json::Value document;
    document.set("public_key", to_base64url(public_key_));
    document.set("public_key_pem", verify::public_key_pem(public_key_));
    document.set("data", std::move(data));
    co_return json_response(200, document);
  }

  // The signed report as it was made, byte for byte; while there is none, how far it is.
  Reply get(Call& call, const PlatformContext&) const {
    CO_TRY(const verify::Run run, co_await store_.get(call.parameters[0], call.options));
    if (run.report.empty()) co_return json_response(200, run_document(run));
    net::HttpResponse response(200);
    if (wants_html(call.request)) {
      CO_TRY(const json::Value report, json::parse(run.report));
      response.headers.emplace_back("Content-Type", "text/html; charset=utf-8");
      response.headers.emplace_back("Content-Security-Policy", kReportPolicy);
      response.body = verify::report_html(report);
    } else {
      response.headers.emplace_back("Content-Type", "application/json");
      response.body = run.report;
    }
    response.headers.emplace_back("Vary", "Accept");
    co_return response;
  }

 private:
  verify::Store& store_;
  std::function<bool(verify::Runner::Job)> run_;
  std::string public_key_;
  const ApiOptions& options_;
};

}  // namespace

void add_verification_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  using net::Method;
  // Shared by the handlers below, which live as long as the router.
  const auto routes = std::make_shared<VerificationRoutes>(dependencies, options);
  const auto on = [&](RouteInfo info, auto member) {
    router.add(std::move(info), PlatformHandler([routes, member](Call& call, const PlatformContext& context) {
                 return ((*routes).*member)(call, context);
               }));
  };
  const auto info = [](Method method, const char* path, Guard guard, const char* id, const char* title) {
    return RouteInfo(method, path, guard, id, title).in("Isolation");
  };
  on(info(Method::post, "/v1/verifications", Guard::platform("verify:run"), "startVerification",
          "Attack the installation and report what held")
         .about("Runs with throw-away tenants, for a minute or so; ask for the verification until it has "
                "ended. One at a time.")
         .takes(ref("VerificationRequest"))
         .returns(202, ref("Verification"))
         .with_location(),
     &VerificationRoutes::create);
  on(info(Method::get, "/v1/verifications", Guard::platform("verify:run"), "listVerifications",
          "List verifications, newest first, and the key that signs reports")
         .returns(200, ref("VerificationList")),
     &VerificationRoutes::list);
  on(info(Method::get, "/v1/verifications/{verification}", Guard::platform("verify:run"), "getVerification",
          "Get a signed report, or how far it is")
         .about("JSON; with `Accept: text/html` a page to read and print. docs/verify.md says how to check "
                "the signature.")
         .returns(200, ref("VerificationReport")),
     &VerificationRoutes::get);
}

}  // namespace rowhouse::http
