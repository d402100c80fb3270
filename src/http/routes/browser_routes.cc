// Browser sessions: signing in with the tokens in cookies, and the account page that uses them; what platform
// admins see of themselves.
#include "http/browser_session.h"
#include "http/people_documents.h"
#include "http/routes/people.h"
#include "http/routes/routes.h"
#include "http/schemas.h"
#include "http/static_files.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;

// What the page gets to know: everything but the tokens.
json::Value browser_document(const identity::SignedIn& signed_in, const BrowserCookies& cookies) {
  const json::Value whole = signed_in_document(signed_in, std::chrono::system_clock::now());
  json::Value document;
  document.set("csrf_token", cookies.csrf_token(signed_in.session));
  for (const char* member : {"expires_in", "refresh_expires_in", "session", "user", "role", "tenant"}) {
    document.set(member, *whole.find(member));
  }
  return document;
}

class BrowserRoutes {
 public:
  explicit BrowserRoutes(const Dependencies& dependencies)
      : users_(dependencies.users),
        sessions_(dependencies.sessions),
        trail_(dependencies.trail),
        cookies_(dependencies.cookies) {}

  // Another site must not sign people in as somebody else, so the page is asked for here, too.
  Reply login(Call& call) const {
    CO_TRY_DO(check_origin(call));
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(identity::Login wanted, read_login(body));
    CO_TRY(const auto signed_in, co_await sessions_.login(std::move(wanted), origin_of(call), call.options));
    co_return begun(signed_in);
  }

  Reply refresh(Call& call) const {
    CO_TRY_DO(check_origin(call));
    CO_TRY(const std::string_view cookie, BrowserCookies::find(call.request, cookies_.refresh_name()));
    if (cookie.empty()) {
      co_return Error(ErrorCode::credential_missing, "there is no browser session: sign in");
    }
    std::string token(cookie);
    auto signed_in = co_await sessions_.refresh(std::move(token), origin_of(call), call.options);
    if (signed_in.ok()) co_return begun(*signed_in);
    if (signed_in.error().code != ErrorCode::credential_unknown) co_return std::move(signed_in).error();
    net::HttpResponse ended = problem_response(signed_in.error(), call.request.request_id);
    end_browser_session(ended, cookies_);
    co_return ended;
  }

  Reply logout(Call& call) const {
    CO_TRY_DO(check_origin(call));
    CO_TRY(const std::string_view cookie, BrowserCookies::find(call.request, cookies_.refresh_name()));
    std::string token(cookie);
    CO_TRY_DO(co_await sessions_.logout(std::move(token), origin_of(call), call.options));
    net::HttpResponse ended(204);
    end_browser_session(ended, cookies_);
    co_return ended;
  }

  Reply page(Call&) const { co_return static_file("account.html"); }
  Reply asset(Call& call) const {
    const std::string& name = call.parameters[0];
    if (!name.starts_with("account.")) co_return Error(ErrorCode::unknown_route, "there is no such page");
    co_return static_file(name);
  }

  Reply me(Call& call, const PlatformContext& context) const {
    const identity::Principal& principal = context.principal();
    json::Array operations;
    for (const std::string& pattern : context.permissions().patterns()) operations.emplace_back(pattern);
    json::Value document;
    document.set("kind", principal.session ? "user" : "token");
    document.set("id", principal.id.to_string());
    document.set("name", principal.name);
    document.set("email", json::Value());
    document.set("session", json::Value());
    document.set("operations", std::move(operations));
    if (!principal.session) co_return json_response(200, document);
    CO_TRY(const auto user, co_await users_.get_user(principal.id, call.options));
    document.set("name", user.name);
    document.set("email", user.email);
    document.set("session", principal.session->to_string());
    co_return json_response(200, document);
  }

  Reply list_sessions(Call& call, const PlatformContext& context) const {
    CO_TRY_DO(session_of(context.principal()));
    CO_TRY(const auto sessions, co_await sessions_.list(own(context), call.options));
    json::Array data;
    for (const auto& session : sessions) data.push_back(session_document(session));
    co_return json_response(200, list_document(std::move(data)));
  }

  Reply end_session(Call& call, const PlatformContext& context) const {
    CO_TRY_DO(session_of(context.principal()));
    CO_TRY(const Uuid session, id_in_path(call.parameters[0], "session"));
    CO_TRY_DO(co_await sessions_.end(session, own(context), acting(call, context.principal()), call.options));
    co_return net::HttpResponse(204);
  }

  Reply end_other_sessions(Call& call, const PlatformContext& context) const {
    CO_TRY(const Uuid current, session_of(context.principal()));
    const tenancy::Actor actor = acting(call, context.principal());
    CO_TRY(const std::size_t ended, co_await sessions_.end_all(own(context), current, actor, call.options));
    json::Value document;
    document.set("ended", static_cast<std::int64_t>(ended));
    co_return json_response(200, document);
  }

 private:
  // At tenants, too: they are the same person's.
  static identity::SessionScope own(const PlatformContext& context) {
    identity::SessionScope scope;
    scope.user = context.principal().id;
    return scope;
  }

  net::HttpResponse begun(const identity::SignedIn& signed_in) const {
    net::HttpResponse response = json_response(200, browser_document(signed_in, cookies_));
    begin_browser_session(response, signed_in, cookies_);
    return response;
  }

  Result<void> check_origin(const Call& call) const {
    auto checked = cookies_.check_origin(call.request);
    if (checked.ok()) return checked;
    audit::SecurityEvent event(audit::SecurityEventKind::invalid_tenant_access);
    event.detail = error_code_name(checked.error().code);
    event.address = call.request.peer;
    event.agent = call.request.header("User-Agent").value_or("");
    event.request_id = call.request.request_id;
    trail_.record(std::move(event));
    return checked;
  }

  identity::UserService& users_;
  identity::SessionService& sessions_;
  audit::Trail& trail_;
  const BrowserCookies& cookies_;
};

RouteInfo info(net::Method method, const char* path, Guard guard, const char* id, const char* title) {
  return RouteInfo(method, path, guard, id, title).in("Browser sessions");
}

void add_session_routes(Router& router, const std::shared_ptr<BrowserRoutes>& routes) {
  using net::Method;
  const auto open = [&](RouteInfo route, auto member) {
    router.add(std::move(route),
               OpenHandler([routes, member](Call& call) { return ((*routes).*member)(call); }));
  };
  open(info(Method::post, "/v1/auth/browser/login", Guard::open(), "beginBrowserSession",
            "Sign in with the tokens in cookies")
           .about("As POST /v1/auth/login. Requests that change something need the header X-CSRF-Token then.")
           .takes(ref("Login"))
           .returns(200, ref("BrowserSession")),
       &BrowserRoutes::login);
  open(info(Method::post, "/v1/auth/browser/refresh", Guard::open(), "refreshBrowserSession",
            "Get new cookies for a browser session")
           .about("The refresh token comes in its cookie, and is good once.")
           .returns(200, ref("BrowserSession")),
       &BrowserRoutes::refresh);
  open(info(Method::post, "/v1/auth/browser/logout", Guard::open(), "endBrowserSession",
            "End the browser session and remove its cookies")
           .returns(204),
       &BrowserRoutes::logout);
  open(info(Method::get, "/account/", Guard::open(), "getAccountPage", "Signing in and one's own account")
           .returns(200, string_schema())
           .response_type("text/html"),
       &BrowserRoutes::page);
  open(info(Method::get, "/account/{asset}", Guard::open(), "getAccountAsset",
            "Script and style of the account page")
           .returns(200, string_schema())
           .response_type("*/*"),
       &BrowserRoutes::asset);
}

}  // namespace

void add_browser_routes(Router& router, const Dependencies& dependencies, const ApiOptions&) {
  using net::Method;
  // Shared by the handlers below, which live as long as the router.
  const auto routes = std::make_shared<BrowserRoutes>(dependencies);
  add_session_routes(router, routes);
  const auto platform = [&](RouteInfo route, auto member) {
    router.add(std::move(route),
               PlatformHandler([routes, member](Call& call, const PlatformContext& context) {
                 return ((*routes).*member)(call, context);
               }));
  };
  constexpr Guard kRead = Guard::platform("platform:read");
  platform(info(Method::get, "/v1/platform/me", kRead, "getPlatformMe", "Who am I, as a platform admin?")
               .returns(200, ref("PlatformMe")),
           &BrowserRoutes::me);
  platform(info(Method::get, "/v1/platform/me/sessions", kRead, "listOwnPlatformSessions",
                "Where am I signed in, as a platform admin?")
               .returns(200, ref("SessionList")),
           &BrowserRoutes::list_sessions);
  platform(info(Method::remove, "/v1/platform/me/sessions/{session}", kRead, "endOwnPlatformSession",
                "End one of one's own sessions, as a platform admin")
               .returns(204),
           &BrowserRoutes::end_session);
  platform(info(Method::remove, "/v1/platform/me/sessions", kRead, "endOtherPlatformSessions",
                "End all of one's own sessions but this one, as a platform admin")
               .returns(200, ref("SessionsEnded")),
           &BrowserRoutes::end_other_sessions);
}

}  // namespace rowhouse::http
