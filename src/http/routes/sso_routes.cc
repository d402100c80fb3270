// Single sign-on: a tenant's identity provider, and signing in through it with a browser.
#include "http/browser_session.h"
#include "http/routes/people.h"
#include "http/routes/routes.h"
#include "http/schemas.h"
#include "http/sso_documents.h"
#include "identity/sso.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;
using identity::SingleSignOn;
using identity::TenantContext;

constexpr std::string_view kBrowserCookie = "rowhouse_sso";
// From the callback, also behind a proxy that serves Rowhouse below a path.
constexpr std::string_view kFailedPage = "../../../account/#/sign-in-failed";

class SsoRoutes {
 public:
  using Handler = Reply (SsoRoutes::*)(Call&, const Place&) const;

  explicit SsoRoutes(const Dependencies& dependencies)
      : providers_(dependencies.providers),
        sign_on_(dependencies.single_sign_on),
        tenants_(dependencies.tenants),
        cookies_(dependencies.cookies),
        cookie_name_((cookies_.secure() ? "__Host-" : "") + std::string(kBrowserCookie)) {}

  Reply on_own_tenant(Handler handler, Call& call, const TenantContext& context) const {
    const Place place = own_place(call, context);
    const bool has_feature = context.plan().features.contains(identity::kSsoFeature);
    // Whoever lost the feature may still look, and take the provider away.
    if (!has_feature &&
        (call.request.method == net::Method::put || call.request.method == net::Method::post)) {
      co_return Error(ErrorCode::feature_missing,
                      "the plan \"" + context.plan().title + "\" does not include sso:enabled")
          .with_detail("operation", std::string(identity::kSsoFeature));
    }
    co_return co_await (this->*handler)(call, place);
  }

  Reply on_any_tenant(Handler handler, Call& call, const PlatformContext& context) const {
    CO_TRY(const auto place, co_await place_in_path(call, context, tenants_));
    co_return co_await (this->*handler)(call, place);
  }

  // ---- the provider

  Reply show(Call& call, const Place& place) const {
    CO_TRY(const auto provider, co_await providers_.get(place.tenant, call.options));
    co_return json_response(200, provider_document(provider, sign_on_.redirect_uri()));
  }

  Reply set(Call& call, const Place& place) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(auto settings, read_provider(body));
    CO_TRY(const auto provider,
           co_await providers_.set(place.tenant, std::move(settings), place.requester, call.options));
    co_return json_response(200, provider_document(provider, sign_on_.redirect_uri()));
  }

  Reply remove(Call& call, const Place& place) const {
    CO_TRY_DO(co_await providers_.remove(place.tenant, place.requester, call.options));
    co_return net::HttpResponse(204);
  }

  Reply test(Call& call, const Place& place) const {
    CO_TRY(const auto report, co_await sign_on_.test(place.tenant, call.options));
    co_return json_response(200, provider_report_document(report));
  }

  // ---- signing in

  Reply discover(Call& call) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(const SsoQuestion question, read_sso_question(body));
    SingleSignOn::Wanted wanted{question.email, question.tenant};
    CO_TRY(const auto found, co_await sign_on_.find(std::move(wanted), call.options));
    json::Value document;
    document.set("available", found.has_value());
    document.set("tenant", found ? json::Value(found->tenant->slug) : json::Value());
    co_return unstored(json_response(200, document));
  }

  Reply start(Call& call) const {
    CO_TRY(const auto parameters, read_query(call.request, {"tenant", "email", "return_to"}));
    json::Value question{json::Object{}};
    std::string return_to;
    for (const auto& [name, value] : parameters) {
      if (name == "return_to") {
        return_to = value;
      } else {
        question.set(name, value);
      }
    }
    CO_TRY(const SsoQuestion asked, read_sso_question(question));
    SingleSignOn::Wanted wanted{asked.email, asked.tenant};
    CO_TRY(const auto started,
           co_await sign_on_.start(std::move(wanted), std::move(return_to), origin_of(call), call.options));
    net::HttpResponse response = unstored(redirect(started.url));
    set_cookie(response, started.browser, std::chrono::seconds(identity::kSignInLife));
    co_return response;
  }

  Reply callback(Call& call) const {
    CO_TRY(SingleSignOn::Answer answer, read_answer(call.request));
    CO_TRY(const std::string_view cookie, BrowserCookies::find(call.request, cookie_name_));
    std::string browser(cookie);
    auto finished =
        co_await sign_on_.finish(std::move(answer), std::move(browser), origin_of(call), call.options);
    if (!finished.ok() && wants_page(call.request)) co_return unstored(redirect(std::string(kFailedPage)));
    if (!finished.ok()) co_return std::move(finished).error();
    net::HttpResponse response = redirect(finished->return_to);
    set_cookie(response, "", std::chrono::seconds(0));
    begin_browser_session(response, finished->signed_in, cookies_);
    co_return response;
  }

 private:
  // Providers may add parameters of their own.
  static Result<SingleSignOn::Answer> read_answer(const net::HttpRequest& request) {
    TRY(const auto parameters, data::parse_parameters(request.query));
    SingleSignOn::Answer answer;
    for (const auto& [name, value] : parameters) {
      if (name == "state") answer.state = value;
      if (name == "code") answer.code = value;
      if (name == "error") answer.error = value;
      if (name == "iss") answer.issuer = value;
    }
    if (!answer.state.empty()) return answer;
    return Error(ErrorCode::validation_failed, "this is no answer of an identity provider")
        .with_field("/state", "is required");
  }

  // Somebody in a browser is told by the account page, programs by a problem document.
  static bool wants_page(const net::HttpRequest& request) {
    return request.header("Accept").value_or("").find("text/html") != std::string_view::npos;
  }

  static net::HttpResponse redirect(const std::string& url) {
    net::HttpResponse response(302);
    response.headers.emplace_back("Location", url);
    return response;
  }

  // Lax: it must come along when the provider sends the browser back.
  void set_cookie(net::HttpResponse& response, const std::string& value, std::chrono::seconds life) const {
    std::string text = cookie_name_ + "=" + value + "; Path=/; Max-Age=" + std::to_string(life.count()) +
                       "; HttpOnly; SameSite=Lax";
    if (cookies_.secure()) text += "; Secure";
    response.headers.emplace_back("Set-Cookie", std::move(text));
  }

  identity::ProviderService& providers_;
  SingleSignOn& sign_on_;
  tenancy::TenantService& tenants_;
  const BrowserCookies& cookies_;
  const std::string cookie_name_;
};

using Routes = std::shared_ptr<SsoRoutes>;

struct Names {
  const char* own_id;
  const char* platform_id;
  const char* title;
};

// Twice: below /v1 for the caller's own tenant, below /v1/tenants/{tenant} for the platform.
void add_both(Router& router, const Routes& routes, net::Method method, const std::string& path, Guard own,
              Guard platform, Names names, SsoRoutes::Handler handler,
              const std::function<RouteInfo(RouteInfo)>& describe) {
  router.add(describe(RouteInfo(method, "/v1" + path, own, names.own_id, names.title).in("Single sign-on")),
             TenantHandler([routes, handler](Call& call, const TenantContext& context) {
               return routes->on_own_tenant(handler, call, context);
             }));
  const std::string title = std::string(names.title) + ", of any tenant";
  router.add(describe(RouteInfo(method, "/v1/tenants/{tenant}" + path, platform, names.platform_id, title)
                          .in("Single sign-on")),
             PlatformHandler([routes, handler](Call& call, const PlatformContext& context) {
               return routes->on_any_tenant(handler, call, context);
             }));
}

void add_provider_routes(Router& router, const Routes& routes) {
  using net::Method;
  constexpr Guard kRead = Guard::tenant("identity_provider:read");
  constexpr Guard kManage = Guard::tenant("identity_provider:manage");
  constexpr Guard kReadAll = Guard::platform("users:read");
  constexpr Guard kManageAll = Guard::platform("users:manage");
  const std::string path = "/sso/provider";
  add_both(router, routes, Method::get, path, kRead, kReadAll,
           {"getIdentityProvider", "getTenantIdentityProvider", "Get the identity provider"},
           &SsoRoutes::show,
           [](RouteInfo info) { return std::move(info).returns(200, ref("IdentityProvider")); });
  add_both(router, routes, Method::put, path, kManage, kManageAll,
           {"setIdentityProvider", "setTenantIdentityProvider", "Set the identity provider"}, &SsoRoutes::set,
           [](RouteInfo info) {
             return std::move(info)
                 .about(
                     "A provider speaks for everybody of the tenant, so this takes every permission. Another "
                     "issuer or client ends the sessions that began through the one before.")
                 .takes(ref("IdentityProviderSet"))
                 .returns(200, ref("IdentityProvider"));
           });
  add_both(router, routes, Method::remove, path, kManage, kManageAll,
           {"removeIdentityProvider", "removeTenantIdentityProvider", "Remove the identity provider"},
           &SsoRoutes::remove, [](RouteInfo info) {
             return std::move(info)
                 .about("Ends the sessions that began through it, and refuses its access tokens.")
                 .returns(204);
           });
  add_both(router, routes, Method::post, path + "/test", kManage, kManageAll,
           {"testIdentityProvider", "testTenantIdentityProvider", "Ask the identity provider what it is"},
           &SsoRoutes::test, [](RouteInfo info) {
             return std::move(info)
                 .about("Reads its metadata and keys; 502 says what is wrong.")
                 .returns(200, ref("IdentityProviderReport"));
           });
}

void add_sign_in_routes(Router& router, const Routes& routes) {
  using net::Method;
  const auto open = [&](RouteInfo info, auto member) {
    router.add(std::move(info).in("Single sign-on"),
               OpenHandler([routes, member](Call& call) { return ((*routes).*member)(call); }));
  };
  open(RouteInfo(Method::post, "/v1/auth/sso/discover", Guard::open(), "discoverSso",
                 "Is there single sign-on for an e-mail domain or a tenant?")
           .takes(ref("SsoQuestion"))
           .returns(200, ref("SsoAnswer")),
       &SsoRoutes::discover);
  open(RouteInfo(Method::get, "/v1/auth/sso/start", Guard::open(), "startSso",
                 "Send a browser to the identity provider")
           .about("The provider sends it back to /v1/auth/sso/callback, which begins a browser session.")
           .query("tenant", "Slug or id", string_schema())
           .query("email", "Instead: an e-mail address in one of a tenant's domains", string_schema())
           .query("return_to", "Path of this installation to go to afterwards", string_schema())
           .returns(302)
           .response_header("Location", "The provider"),
       &SsoRoutes::start);
  open(RouteInfo(Method::get, "/v1/auth/sso/callback", Guard::open(), "finishSso",
                 "Where the identity provider sends browsers back to")
           .about("Every failure has the same answer; browsers are sent to the account page, which says so.")
           .query("state", "Of the sign-in that began", string_schema())
           .query("code", "Of the provider", string_schema())
           .query("iss", "The provider's own name", string_schema())
           .query("error", "Why the provider refused", string_schema())
           .returns(302)
           .response_header("Location", "return_to of the start"),
       &SsoRoutes::callback);
}

}  // namespace

void add_sso_routes(Router& router, const Dependencies& dependencies, const ApiOptions&) {
  // Shared by the handlers, which live as long as the router.
  const auto routes = std::make_shared<SsoRoutes>(dependencies);
  add_provider_routes(router, routes);
  add_sign_in_routes(router, routes);
}

}  // namespace rowhouse::http
