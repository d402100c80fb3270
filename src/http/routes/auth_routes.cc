// Signing in and out, what a signed-in user sees of themselves, and what others need to check access tokens.
#include "http/people_documents.h"
#include "http/routes/people.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;
using identity::TenantContext;

// Whoever keeps the keys asks again before a new one signs.
const std::string kKeysMaxAge = "public, max-age=" + std::to_string(identity::kPublishedAhead.count());

json::Value me_document(const TenantContext& context, const identity::User* user) {
  const identity::Principal& principal = context.principal();
  json::Array operations;
  for (const std::string& pattern : context.permissions().patterns()) operations.emplace_back(pattern);
  json::Value tenant;
  tenant.set("id", context.tenant().id.to_string());
  tenant.set("slug", context.tenant().slug);
  tenant.set("name", context.tenant().name);
  tenant.set("pack", context.tenant().pack_name);
  json::Value document;
  document.set("kind", user != nullptr ? "user" : "key");
  document.set("id", principal.id.to_string());
  document.set("name", user != nullptr ? user->name : principal.name);
  document.set("email", user != nullptr ? json::Value(user->email) : json::Value());
  document.set("role", user != nullptr ? json::Value(context.role()) : json::Value());
  document.set("session", principal.session ? json::Value(principal.session->to_string()) : json::Value());
  document.set("rows", context.rows() == tenancy::RowScope::own ? "own" : "all");
  document.set("operations", std::move(operations));
  document.set("tenant", std::move(tenant));
  return document;
}

class AuthRoutes {
 public:
  explicit AuthRoutes(const Dependencies& dependencies)
      : users_(dependencies.users), sessions_(dependencies.sessions), keys_(dependencies.signing_keys) {}

  Reply login(Call& call) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(identity::Login wanted, read_login(body));
    CO_TRY(const auto signed_in, co_await sessions_.login(std::move(wanted), origin_of(call), call.options));
    co_return unstored(json_response(200, signed_in_document(signed_in, std::chrono::system_clock::now())));
  }

  Reply refresh(Call& call) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(std::string token, read_refresh_token(body));
    CO_TRY(const auto signed_in, co_await sessions_.refresh(std::move(token), origin_of(call), call.options));
    co_return unstored(json_response(200, signed_in_document(signed_in, std::chrono::system_clock::now())));
  }

  Reply logout(Call& call) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(std::string token, read_refresh_token(body));
    CO_TRY_DO(co_await sessions_.logout(std::move(token), origin_of(call), call.options));
    co_return net::HttpResponse(204);
  }

  Reply change_password(Call& call, const TenantContext& context) const {
    return change_password_of(call, context.principal());
  }
  Reply change_admin_password(Call& call, const PlatformContext& context) const {
    return change_password_of(call, context.principal());
  }

  Reply me(Call& call, const TenantContext& context) const {
    if (context.principal().kind != identity::PrincipalKind::tenant_user)
      co_return json_response(200, me_document(context, nullptr));
    CO_TRY(const auto user, co_await users_.get_user(context.principal().id, call.options));
    co_return json_response(200, me_document(context, &user));
  }

  Reply list_sessions(Call& call, const TenantContext& context) const {
    CO_TRY_DO(session_of(context.principal()));
    CO_TRY(const auto sessions, co_await sessions_.list(own(context), call.options));
    json::Array data;
    for (const auto& session : sessions) data.push_back(session_document(session));
    co_return json_response(200, list_document(std::move(data)));
  }

  Reply end_session(Call& call, const TenantContext& context) const {
    CO_TRY_DO(session_of(context.principal()));
    CO_TRY(const Uuid session, id_in_path(call.parameters[0], "session"));
    CO_TRY_DO(co_await sessions_.end(session, own(context), acting(call, context.principal()), call.options));
    co_return net::HttpResponse(204);
  }

  Reply end_other_sessions(Call& call, const TenantContext& context) const {
    CO_TRY(const Uuid current, session_of(context.principal()));
    CO_TRY(
        const std::size_t ended,
        co_await sessions_.end_all(own(context), current, acting(call, context.principal()), call.options));
    json::Value document;
    document.set("ended", static_cast<std::int64_t>(ended));
    co_return json_response(200, document);
  }

  Reply jwks(Call&) const {
    net::HttpResponse response = json_response(200, keys_.jwks());
    response.headers.emplace_back("Cache-Control", kKeysMaxAge);
    co_return response;
  }

  Reply discovery(Call&) const {
    const std::string& issuer = keys_.options().issuer;
    json::Array algorithms, subjects, claims;
    algorithms.emplace_back("EdDSA");
    subjects.emplace_back("public");
    for (const char* claim : {"iss", "aud", "sub", "tid", "sid", "role", "jti", "iat", "exp"}) {
      claims.emplace_back(claim);
    }
    json::Value document;
    document.set("issuer", issuer);
    document.set("jwks_uri", issuer + "/.well-known/jwks.json");
    document.set("id_token_signing_alg_values_supported", std::move(algorithms));
    document.set("subject_types_supported", std::move(subjects));
    document.set("claims_supported", std::move(claims));
    net::HttpResponse response = json_response(200, document);
    response.headers.emplace_back("Cache-Control", kKeysMaxAge);
    co_return response;
  }

 private:
  static identity::SessionScope own(const TenantContext& context) {
    return {context.principal().id, context.tenant().id};
  }

  Reply change_password_of(Call& call, const identity::Principal& principal) const {
    CO_TRY(const Uuid current, session_of(principal));
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(PasswordChange change, read_password_change(body));
    CO_TRY_DO(co_await sessions_.change_password(principal.id, std::move(change.current),
                                                 std::move(change.next), current, origin_of(call),
                                                 call.options));
    co_return net::HttpResponse(204);
  }

  identity::UserService& users_;
  identity::SessionService& sessions_;
  identity::SigningKeys& keys_;
};

}  // namespace

void add_auth_routes(Router& router, const Dependencies& dependencies, const ApiOptions&) {
  using net::Method;
  // Shared by the handlers below, which live as long as the router.
  const auto routes = std::make_shared<AuthRoutes>(dependencies);
  const auto open = [&](RouteInfo info, auto member) {
    router.add(std::move(info),
               OpenHandler([routes, member](Call& call) { return ((*routes).*member)(call); }));
  };
  const auto tenant = [&](RouteInfo info, auto member) {
    router.add(std::move(info), TenantHandler([routes, member](Call& call, const TenantContext& context) {
                 return ((*routes).*member)(call, context);
               }));
  };
  const auto info = [](Method method, const char* path, Guard guard, const char* id, const char* title) {
    return RouteInfo(method, path, guard, id, title).in("Sign-in");
  };
  open(
      info(Method::post, "/v1/auth/login", Guard::open(), "login", "Sign in with e-mail address and password")
          .about("Every failure has the same answer. Too many: 429 with Retry-After.")
          .takes(ref("Login"))
          .returns(200, ref("SignedIn")),
      &AuthRoutes::login);
  open(info(Method::post, "/v1/auth/refresh", Guard::open(), "refreshSession", "Get new tokens for a session")
           .about("The refresh token is good once. One that comes a second time ends the session.")
           .takes(ref("RefreshToken"))
           .returns(200, ref("SignedIn")),
       &AuthRoutes::refresh);
  open(info(Method::post, "/v1/auth/logout", Guard::open(), "logout", "End a session")
           .takes(ref("RefreshToken"))
           .returns(204),
       &AuthRoutes::logout);
  tenant(
      info(Method::post, "/v1/auth/password", Guard::caller(), "changePassword", "Change one's own password")
          .about("Ends the user's other sessions.")
          .takes(ref("PasswordChange"))
          .returns(204),
      &AuthRoutes::change_password);
  tenant(info(Method::get, "/v1/me", Guard::caller(), "getMe", "Who am I, and what may I do?")
             .returns(200, ref("Me")),
         &AuthRoutes::me);
  tenant(info(Method::get, "/v1/me/sessions", Guard::caller(), "listOwnSessions", "Where am I signed in?")
             .returns(200, ref("SessionList")),
         &AuthRoutes::list_sessions);
  tenant(info(Method::remove, "/v1/me/sessions/{session}", Guard::caller(), "endOwnSession",
              "End one of one's own sessions")
             .returns(204),
         &AuthRoutes::end_session);
  tenant(info(Method::remove, "/v1/me/sessions", Guard::caller(), "endOtherSessions",
              "End all of one's own sessions but this one")
             .returns(200, ref("SessionsEnded")),
         &AuthRoutes::end_other_sessions);
  router.add(info(Method::post, "/v1/platform/password", Guard::platform("platform:read"),
                  "changePlatformPassword", "Change one's own password, as a platform admin")
                 .about("Ends the user's other sessions.")
                 .takes(ref("PasswordChange"))
                 .returns(204),
             PlatformHandler([routes](Call& call, const PlatformContext& context) {
               return routes->change_admin_password(call, context);
             }));
  open(info(Method::get, "/.well-known/jwks.json", Guard::open(), "getJwks", "Public keys of access tokens")
           .returns(200, ref("JwkSet")),
       &AuthRoutes::jwks);
  open(info(Method::get, "/.well-known/openid-configuration", Guard::open(), "getOpenIdConfiguration",
            "Who issues access tokens")
           .returns(200, ref("OpenIdConfiguration")),
       &AuthRoutes::discovery);
}

}  // namespace rowhouse::http
