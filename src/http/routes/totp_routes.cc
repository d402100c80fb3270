// Second factors: people set up their own and remove it; the platform removes one that was lost.
#include "http/body_reader.h"
#include "http/people_documents.h"
#include "http/routes/people.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;
using identity::Principal;
using identity::TenantContext;

struct Proof {
  std::string password, code;
};

Result<Proof> read_proof(const json::Value& body) {
  Proof proof;
  BodyReader reader(body);
  reader.require("password");
  reader.require("code");
  reader.text("password", proof.password);
  reader.text("code", proof.code);
  TRY_DO(reader.done());
  return proof;
}

// The only member of the body.
Result<std::string> read_one(const json::Value& body, const char* name) {
  std::string text;
  BodyReader reader(body);
  reader.require(name);
  reader.text(name, text);
  TRY_DO(reader.done());
  return text;
}

net::HttpResponse codes_response(const std::vector<std::string>& codes) {
  json::Array list;
  for (const std::string& code : codes) list.emplace_back(code);
  json::Value document;
  document.set("recovery_codes", std::move(list));
  return unstored(json_response(200, document));
}

class TotpRoutes {
 public:
  explicit TotpRoutes(const Dependencies& dependencies)
      : users_(dependencies.users),
        sessions_(dependencies.sessions),
        second_factors_(dependencies.second_factors) {}

  Reply status(Call& call, const Principal& principal) const {
    CO_TRY_DO(session_of(principal));
    CO_TRY(const auto status, co_await second_factors_.status(principal.id, call.options));
    json::Value document;
    document.set("enabled", !status.confirmed_at.empty());
    document.set("since", status.confirmed_at.empty() ? json::Value() : json::Value(status.confirmed_at));
    document.set("recovery_codes_left", static_cast<std::int64_t>(status.recovery_codes_left));
    co_return json_response(200, document);
  }

  // The password once more: whoever found an open browser must not lock its owner out.
  Reply begin(Call& call, const Principal& principal) const {
    CO_TRY_DO(session_of(principal));
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(std::string password, read_one(body, "password"));
    CO_TRY(const auto before, co_await second_factors_.status(principal.id, call.options));
    if (!before.confirmed_at.empty()) {
      co_return Error(ErrorCode::conflict, "there is a second factor already: remove it first");
    }
    std::string none;
    CO_TRY_DO(co_await sessions_.prove(principal.id, std::move(password), std::move(none), origin_of(call),
                                       call.options));
    CO_TRY(const auto user, co_await users_.get_user(principal.id, call.options));
    CO_TRY(const auto made,
           co_await second_factors_.begin(principal.id, user.email, acting(call, principal), call.options));
    json::Value document;
    document.set("secret", made.secret);
    document.set("uri", made.uri);
    co_return unstored(json_response(200, document));
  }

  Reply confirm(Call& call, const Principal& principal) const {
    CO_TRY_DO(session_of(principal));
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(std::string code, read_one(body, "code"));
    CO_TRY(const auto codes, co_await second_factors_.confirm(principal.id, std::move(code),
                                                              acting(call, principal), call.options));
    co_return codes_response(codes);
  }

  Reply renew(Call& call, const Principal& principal) const {
    CO_TRY_DO(co_await prove(call, principal));
    CO_TRY(const auto codes, co_await second_factors_.renew_recovery_codes(
                                 principal.id, acting(call, principal), call.options));
    co_return codes_response(codes);
  }

  Reply remove(Call& call, const Principal& principal) const {
    CO_TRY_DO(co_await prove(call, principal));
    CO_TRY_DO(co_await second_factors_.remove(principal.id, acting(call, principal), call.options));
    co_return net::HttpResponse(204);
  }

  // Whoever takes a platform admin's second factor away is half way in as them.
  Reply remove_for(Call& call, const PlatformContext& context) const {
    CO_TRY(const Uuid id, id_in_path(call.parameters[0], "user"));
    CO_TRY(const auto user, co_await users_.get_user(id, call.options));
    if (user.platform_admin == identity::User::PlatformAdmin::yes && !context.permissions().is_everything()) {
      co_return Error(ErrorCode::permission_missing,
                      "platform admins may do everything, so only they and whoever has \"*\" can change one");
    }
    const tenancy::Actor actor = acting(call, context.principal());
    CO_TRY_DO(co_await second_factors_.remove(id, actor, call.options));
    co_return net::HttpResponse(204);
  }

 private:
  // Errors: not_found (there is no second factor), and those of SessionService::prove().
  Task<Result<void>> prove(Call& call, const Principal& principal) const {
    CO_TRY_DO(session_of(principal));
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(Proof proof, read_proof(body));
    CO_TRY(const auto before, co_await second_factors_.status(principal.id, call.options));
    if (before.confirmed_at.empty()) co_return Error(ErrorCode::not_found, "there is no second factor");
    co_return co_await sessions_.prove(principal.id, std::move(proof.password), std::move(proof.code),
                                       origin_of(call), call.options);
  }

  identity::UserService& users_;
  identity::SessionService& sessions_;
  identity::SecondFactors& second_factors_;
};

// The routes are the same for users of a tenant and for platform admins.
struct Side {
  Side(std::string path_prefix, Guard route_guard, std::string id_suffix)
      : prefix(std::move(path_prefix)), guard(route_guard), suffix(std::move(id_suffix)) {}
  std::string prefix;
  Guard guard;
  std::string suffix;  // of operation ids

  RouteInfo info(net::Method method, const char* path, const char* id, const char* title) const {
    const std::string of_whom = suffix.empty() ? "" : ", as a platform admin";
    return RouteInfo(method, prefix + path, guard, id + suffix, title + of_whom).in("Second factor");
  }
};

template <class Add>
void add_side(const Side& side, const Add& add) {
  using net::Method;
  add(side.info(Method::get, "/totp", "getSecondFactor", "Have I a second factor?")
          .returns(200, ref("SecondFactor")),
      &TotpRoutes::status);
  add(side.info(Method::post, "/totp", "beginSecondFactor", "Make a secret for an authenticator app")
          .about("It counts when it is confirmed by a code.")
          .takes(ref("PasswordProof"))
          .returns(200, ref("SecondFactorBegun")),
      &TotpRoutes::begin);
  add(side.info(Method::post, "/totp/confirm", "confirmSecondFactor",
                "Prove that the authenticator app has the secret")
          .about("From now on signing in with the password needs a code.")
          .takes(ref("SecondFactorCode"))
          .returns(200, ref("RecoveryCodes")),
      &TotpRoutes::confirm);
  add(side.info(Method::remove, "/totp", "removeSecondFactor", "Remove one's own second factor")
          .takes(ref("SecondFactorProof"))
          .returns(204),
      &TotpRoutes::remove);
  add(side.info(Method::post, "/recovery-codes", "renewRecoveryCodes",
                "Get new recovery codes in place of the old ones")
          .takes(ref("SecondFactorProof"))
          .returns(200, ref("RecoveryCodes")),
      &TotpRoutes::renew);
}

}  // namespace

void add_totp_routes(Router& router, const Dependencies& dependencies, const ApiOptions&) {
  // Shared by the handlers below, which live as long as the router.
  const auto routes = std::make_shared<TotpRoutes>(dependencies);
  const Side tenant("/v1/me", Guard::caller(), "");
  add_side(tenant, [&](RouteInfo info, auto member) {
    router.add(std::move(info), TenantHandler([routes, member](Call& call, const TenantContext& context) {
                 return ((*routes).*member)(call, context.principal());
               }));
  });
  const Side platform("/v1/platform/me", Guard::platform("platform:read"), "OfAdmin");
  add_side(platform, [&](RouteInfo info, auto member) {
    router.add(std::move(info), PlatformHandler([routes, member](Call& call, const PlatformContext& context) {
                 return ((*routes).*member)(call, context.principal());
               }));
  });
  router.add(RouteInfo(net::Method::remove, "/v1/platform/users/{user}/totp", Guard::platform("users:manage"),
                       "removeLostSecondFactor", "Remove the second factor that somebody has lost")
                 .in("Second factor")
                 .about("Make sure first who asks: the password alone signs them in then.")
                 .returns(204),
             PlatformHandler([routes](Call& call, const PlatformContext& context) {
               return routes->remove_for(call, context);
             }));
}

}  // namespace rowhouse::http
