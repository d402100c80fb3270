// Accounts of people on the whole platform, its admins among them, and their sessions.
#include "http/people_documents.h"
#include "http/routes/people.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;
using identity::User;

Result<identity::UserFilter> read_filter(const net::HttpRequest& request) {
  identity::UserFilter filter;
  TRY(const auto parameters, read_query(request, {"search", "status", "platform_admin", "limit", "cursor"}));
  for (const auto& [name, value] : parameters) {
    if (name == "search") filter.search = value;
    if (name == "cursor") filter.cursor = value;
    if (name == "status" && !(filter.status = identity::parse_account_status(value))) {
      return Error(ErrorCode::invalid_parameter, "status must be active or disabled");
    }
    if (name == "platform_admin") {
      if (value != "true" && value != "false") {
        return Error(ErrorCode::invalid_parameter, "platform_admin must be true or false");
      }
      filter.platform_admin = value == "true" ? User::PlatformAdmin::yes : User::PlatformAdmin::no;
    }
    if (name == "limit") {
      TRY(filter.limit, read_limit(value));
    }
  }
  return filter;
}

bool is_empty(const identity::UserChange& change) {
  return !change.email && !change.name && !change.status && !change.platform_admin;
}

// Whoever makes, changes or removes a platform admin could do everything through it, so must be able to.
Result<void> may_touch(const PlatformContext& context, User::PlatformAdmin platform_admin) {
  if (platform_admin == User::PlatformAdmin::no || context.permissions().is_everything()) return {};
  return Error(
      ErrorCode::permission_missing,
      "platform admins may do everything, so only they and whoever has \"*\" can make or change one");
}

class AccountRoutes {
 public:
  explicit AccountRoutes(const Dependencies& dependencies)
      : users_(dependencies.users), sessions_(dependencies.sessions) {}

  Reply list(Call& call, const PlatformContext&) const {
    CO_TRY(identity::UserFilter filter, read_filter(call.request));
    CO_TRY(const auto page, co_await users_.list_users(std::move(filter), call.options));
    json::Array data;
    for (const auto& user : page.users) data.push_back(account_document(user));
    co_return json_response(200, page_document(std::move(data), page.next_cursor));
  }

  Reply create(Call& call, const PlatformContext& context) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(identity::NewUser wanted, read_new_account(body));
    CO_TRY_DO(may_touch(context, wanted.platform_admin));
    std::string made;
    if (wanted.password.empty()) made = make_password();
    if (!made.empty()) wanted.password = made;
    CO_TRY(const auto user,
           co_await users_.create_user(std::move(wanted), acting(call, context.principal()), call.options));
    json::Value document;
    document.set("user", account_document(user));
    document.set("password", made.empty() ? json::Value() : json::Value(made));
    co_return unstored(json_response(201, document));
  }

  Reply get(Call& call, const PlatformContext&) const {
    CO_TRY(const Uuid id, id_in_path(call.parameters[0], "user"));
    CO_TRY(const auto user, co_await users_.get_user(id, call.options));
    CO_TRY(const auto memberships, co_await users_.memberships_of(id, call.options));
    json::Array places;
    for (const auto& membership : memberships) places.push_back(membership_document(membership));
    json::Value document = account_document(user);
    document.set("memberships", std::move(places));
    co_return json_response(200, document);
  }

  Reply update(Call& call, const PlatformContext& context) const {
    CO_TRY(const Uuid id, id_in_path(call.parameters[0], "user"));
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(AccountChange change, read_account_change(body));
    CO_TRY_DO(co_await may_touch_user(id, context, call.options));
    CO_TRY_DO(may_touch(context, change.user.platform_admin.value_or(User::PlatformAdmin::no)));
    const tenancy::Actor actor = acting(call, context.principal());
    if (change.password) {
      CO_TRY_DO(co_await users_.set_password(id, std::move(*change.password), actor, call.options));
    }
    if (is_empty(change.user)) {
      CO_TRY(const auto user, co_await users_.get_user(id, call.options));
      co_return json_response(200, account_document(user));
    }
    CO_TRY(const auto user, co_await users_.change_user(id, std::move(change.user), actor, call.options));
    co_return json_response(200, account_document(user));
  }

  Reply remove(Call& call, const PlatformContext& context) const {
    CO_TRY(const Uuid id, id_in_path(call.parameters[0], "user"));
    CO_TRY_DO(co_await may_touch_user(id, context, call.options));
    CO_TRY_DO(co_await users_.remove_user(id, acting(call, context.principal()), call.options));
    co_return net::HttpResponse(204);
  }

  Reply list_sessions(Call& call, const PlatformContext&) const {
    identity::SessionScope scope;
    co_return co_await list_sessions_of(call, sessions_, scope);
  }

  Reply end_session(Call& call, const PlatformContext& context) const {
    CO_TRY(const Uuid session, id_in_path(call.parameters[0], "session"));
    const identity::SessionScope everywhere;
    CO_TRY_DO(co_await sessions_.end(session, everywhere, acting(call, context.principal()), call.options));
    co_return net::HttpResponse(204);
  }

 private:
  Task<Result<void>> may_touch_user(Uuid id, const PlatformContext& context, CallOptions options) const {
    CO_TRY(const auto user, co_await users_.get_user(id, options));
    co_return may_touch(context, user.platform_admin);
  }

  identity::UserService& users_;
  identity::SessionService& sessions_;
};

}  // namespace

void add_account_routes(Router& router, const Dependencies& dependencies, const ApiOptions&) {
  using net::Method;
  // Shared by the handlers below, which live as long as the router.
  const auto routes = std::make_shared<AccountRoutes>(dependencies);
  const auto on = [&](RouteInfo info, auto member) {
    router.add(std::move(info), PlatformHandler([routes, member](Call& call, const PlatformContext& context) {
                 return ((*routes).*member)(call, context);
               }));
  };
  const auto info = [](Method method, const char* path, Guard guard, const char* id, const char* title) {
    return RouteInfo(method, path, guard, id, title).in("Accounts");
  };
  constexpr Guard kRead = Guard::platform("users:read");
  constexpr Guard kManage = Guard::platform("users:manage");
  on(info(Method::get, "/v1/platform/users", kRead, "listAccounts", "List people")
         .query("search", "Part of the name or e-mail address", string_schema())
         .query("status", "Only these", enum_schema({"active", "disabled"}))
         .query("platform_admin", "Only platform admins, or only others", boolean_schema())
         .query("limit", "People on a page", integer_schema(1, 500, 50))
         .query("cursor", "next_cursor of the page before", string_schema())
         .returns(200, ref("AccountPage")),
     &AccountRoutes::list);
  on(info(Method::post, "/v1/platform/users", kManage, "createAccount", "Create an account")
         .about("With `platform_admin` it may do everything on this platform. A password that is made is "
                "shown only here.")
         .takes(ref("AccountCreate"))
         .returns(201, ref("AccountCreated")),
     &AccountRoutes::create);
  on(info(Method::get, "/v1/platform/users/{user}", kRead, "getAccount", "Get an account and its memberships")
         .returns(200, ref("Account")),
     &AccountRoutes::get);
  on(info(Method::patch, "/v1/platform/users/{user}", kManage, "updateAccount", "Change an account")
         .about("Disabling it, and a new password, end its sessions everywhere.")
         .takes(ref("AccountUpdate"))
         .returns(200, ref("Account")),
     &AccountRoutes::update);
  on(info(Method::remove, "/v1/platform/users/{user}", kManage, "deleteAccount",
          "Delete an account with its memberships and sessions")
         .returns(204),
     &AccountRoutes::remove);
  on(info(Method::get, "/v1/platform/sessions", kRead, "listAllSessions", "List who is signed in, anywhere")
         .query("user", "Only sessions of this user", string_schema())
         .returns(200, ref("SessionList")),
     &AccountRoutes::list_sessions);
  on(info(Method::remove, "/v1/platform/sessions/{session}", kManage, "endAnySession", "End any session")
         .returns(204),
     &AccountRoutes::end_session);
}

}  // namespace rowhouse::http
