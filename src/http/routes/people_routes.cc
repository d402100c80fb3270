// Users, roles and sessions of a tenant: for those of the tenant who may, and for the platform of any tenant.
#include "http/people_documents.h"
#include "http/routes/people.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;
using identity::TenantContext;

// Was it the password, and nothing else, that did not fit? Then the person has an account already.
bool only_password_refused(const Error& error) {
  return error.code == ErrorCode::validation_failed && error.fields.size() == 1 &&
         error.fields.front().path == "/password";
}

Result<identity::MemberFilter> read_filter(const net::HttpRequest& request) {
  identity::MemberFilter filter;
  TRY(const auto parameters, read_query(request, {"search", "role", "limit", "cursor"}));
  for (const auto& [name, value] : parameters) {
    if (name == "search") filter.search = value;
    if (name == "role") filter.role = value;
    if (name == "cursor") filter.cursor = value;
    if (name == "limit") {
      TRY(filter.limit, read_limit(value));
    }
  }
  return filter;
}

// A handler of both sides. The path's parameters are those after the tenant.
class PeopleRoutes {
 public:
  using Member = Reply (PeopleRoutes::*)(Call&, const Place&) const;

  explicit PeopleRoutes(const Dependencies& dependencies)
      : users_(dependencies.users), sessions_(dependencies.sessions), tenants_(dependencies.tenants) {}

  Reply on_own_tenant(Member member, Call& call, const TenantContext& context) const {
    const Place place = own_place(call, context);
    co_return co_await (this->*member)(call, place);
  }

  Reply on_any_tenant(Member member, Call& call, const PlatformContext& context) const {
    CO_TRY(const auto place, co_await place_in_path(call, context, tenants_));
    co_return co_await (this->*member)(call, place);
  }

  // ---- users

  Reply list_users(Call& call, const Place& place) const {
    CO_TRY(identity::MemberFilter filter, read_filter(call.request));
    CO_TRY(const auto page, co_await users_.list_members(place.tenant, std::move(filter), call.options));
    json::Array data;
    for (const auto& member : page.members) data.push_back(member_document(member));
    co_return json_response(200, page_document(std::move(data), page.next_cursor));
  }

  Reply add_user(Call& call, const Place& place) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(identity::NewMember wanted, read_new_member(body));
    std::string made;
    if (wanted.password.empty()) made = make_password();
    if (!made.empty()) wanted.password = made;
    identity::NewMember without = wanted;
    without.password.clear();
    auto added = co_await users_.add_member(place.tenant, std::move(wanted), place.requester, call.options);
    if (!added.ok() && !made.empty() && only_password_refused(added.error())) {
      made.clear();
      added = co_await users_.add_member(place.tenant, std::move(without), place.requester, call.options);
    }
    if (!added.ok()) co_return std::move(added).error();
    const bool is_new = added->account == identity::AddedMember::Account::created;
    json::Value document;
    document.set("user", member_document(added->member));
    document.set("account", is_new ? "created" : "known");
    document.set("password", made.empty() ? json::Value() : json::Value(made));
    co_return unstored(json_response(201, document));
  }

  Reply get_user(Call& call, const Place& place) const {
    CO_TRY(const Uuid user, id_in_path(call.parameters[0], "user"));
    CO_TRY(const auto member, co_await users_.get_member(place.tenant, user, call.options));
    co_return json_response(200, member_document(member));
  }

  Reply change_user(Call& call, const Place& place) const {
    CO_TRY(const Uuid user, id_in_path(call.parameters[0], "user"));
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(identity::MemberChange change, read_member_change(body));
    CO_TRY(const auto member, co_await users_.change_member(place.tenant, user, std::move(change),
                                                            place.requester, call.options));
    co_return json_response(200, member_document(member));
  }

  Reply remove_user(Call& call, const Place& place) const {
    CO_TRY(const Uuid user, id_in_path(call.parameters[0], "user"));
    CO_TRY_DO(co_await users_.remove_member(place.tenant, user, place.requester, call.options));
    co_return net::HttpResponse(204);
  }

  // ---- roles

  Reply list_roles(Call& call, const Place& place) const {
    CO_TRY(const auto roles, co_await users_.list_roles(place.tenant, call.options));
    json::Array data;
    for (const auto& role : roles) data.push_back(role_document(role));
    co_return json_response(200, list_document(std::move(data)));
  }

  Reply get_role(Call& call, const Place& place) const {
    CO_TRY(const auto role, co_await users_.get_role(place.tenant, call.parameters[0], call.options));
    co_return json_response(200, role_document(role));
  }

  Reply create_role(Call& call, const Place& place) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(identity::NewRole wanted, read_new_role(body));
    CO_TRY(const auto role,
           co_await users_.create_role(place.tenant, std::move(wanted), place.requester, call.options));
    co_return json_response(201, role_document(role));
  }

  Reply change_role(Call& call, const Place& place) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(identity::RoleChange change, read_role_change(body));
    CO_TRY(const auto role, co_await users_.change_role(place.tenant, call.parameters[0], std::move(change),
                                                        place.requester, call.options));
    co_return json_response(200, role_document(role));
  }

  Reply remove_role(Call& call, const Place& place) const {
    CO_TRY_DO(co_await users_.remove_role(place.tenant, call.parameters[0], place.requester, call.options));
    co_return net::HttpResponse(204);
  }

  // ---- sessions

  Reply list_sessions(Call& call, const Place& place) const {
    identity::SessionScope scope;
    scope.tenant = place.tenant->id;
    co_return co_await list_sessions_of(call, sessions_, scope);
  }

  Reply end_session(Call& call, const Place& place) const {
    CO_TRY(const Uuid session, id_in_path(call.parameters[0], "session"));
    identity::SessionScope scope;
    scope.tenant = place.tenant->id;
    CO_TRY_DO(co_await sessions_.end(session, scope, place.requester.actor, call.options));
    co_return net::HttpResponse(204);
  }

 private:
  identity::UserService& users_;
  identity::SessionService& sessions_;
  tenancy::TenantService& tenants_;
};

// Adds each route twice: below /v1 for the caller's own tenant, below /v1/tenants/{tenant} for the platform.
class Table {
 public:
  Table(Router& router, const Dependencies& dependencies)
      : router_(router), routes_(std::make_shared<PeopleRoutes>(dependencies)) {}

  struct Names {
    const char* own_id;
    const char* platform_id;
    const char* title;
  };
  using Describe = std::function<RouteInfo(RouteInfo)>;

  void add(net::Method method, const std::string& path, Guard own, Guard platform, Names names,
           PeopleRoutes::Member member, const Describe& describe) {
    const auto routes = routes_;
    router_.add(describe(RouteInfo(method, "/v1" + path, own, names.own_id, names.title).in("People")),
                TenantHandler([routes, member](Call& call, const TenantContext& context) {
                  return routes->on_own_tenant(member, call, context);
                }));
    const std::string title = std::string(names.title) + ", of any tenant";
    router_.add(describe(RouteInfo(method, "/v1/tenants/{tenant}" + path, platform, names.platform_id, title)
                             .in("People of tenants")),
                PlatformHandler([routes, member](Call& call, const PlatformContext& context) {
                  return routes->on_any_tenant(member, call, context);
                }));
  }

 private:
  Router& router_;
  std::shared_ptr<PeopleRoutes> routes_;  // shared by the handlers, which live as long as the router
};

RouteInfo plainly(int status, const char* schema, RouteInfo info) {
  return std::move(info).returns(status, schema == nullptr ? json::Value() : ref(schema));
}

Table::Describe answers(int status, const char* schema) {
  return [status, schema](RouteInfo info) { return plainly(status, schema, std::move(info)); };
}

Table::Describe takes(const char* body, int status, const char* schema, const char* about) {
  return
      [=](RouteInfo info) { return plainly(status, schema, std::move(info).about(about).takes(ref(body))); };
}

void add_user_routes(Table& table) {
  using net::Method;
  constexpr Guard kRead = Guard::tenant("user:read");
  constexpr Guard kManage = Guard::tenant("user:manage");
  constexpr Guard kReadAll = Guard::platform("users:read");
  constexpr Guard kManageAll = Guard::platform("users:manage");
  table.add(Method::get, "/users", kRead, kReadAll, {"listUsers", "listTenantUsers", "List users"},
            &PeopleRoutes::list_users, [](RouteInfo info) {
              return std::move(info)
                  .query("search", "Part of the name or e-mail address", string_schema())
                  .query("role", "Only users with this role", string_schema())
                  .query("limit", "Users on a page", integer_schema(1, 500, 50))
                  .query("cursor", "next_cursor of the page before", string_schema())
                  .returns(200, ref("UserPage"));
            });
  table.add(Method::post, "/users", kManage, kManageAll, {"addUser", "addTenantUser", "Add a user"},
            &PeopleRoutes::add_user,
            takes("UserCreate", 201, "UserCreated",
                  "Nobody can give a role that permits more than their own. The password that is made is "
                  "shown only here."));
  table.add(Method::get, "/users/{user}", kRead, kReadAll, {"getUser", "getTenantUser", "Get a user"},
            &PeopleRoutes::get_user, answers(200, "User"));
  table.add(Method::patch, "/users/{user}", kManage, kManageAll,
            {"updateUser", "updateTenantUser", "Change a user"}, &PeopleRoutes::change_user,
            takes("UserUpdate", 200, "User",
                  "Takes effect on the user's next request. Disabling ends the user's sessions here."));
  table.add(Method::remove, "/users/{user}", kManage, kManageAll,
            {"removeUser", "removeTenantUser", "Remove a user"}, &PeopleRoutes::remove_user,
            answers(204, nullptr));
}

void add_role_routes(Table& table) {
  using net::Method;
  constexpr Guard kRead = Guard::tenant("role:read");
  constexpr Guard kManage = Guard::tenant("role:manage");
  constexpr Guard kReadAll = Guard::platform("users:read");
  constexpr Guard kManageAll = Guard::platform("users:manage");
  table.add(Method::get, "/roles", kRead, kReadAll, {"listRoles", "listTenantRoles", "List roles"},
            &PeopleRoutes::list_roles, answers(200, "RoleList"));
  table.add(Method::post, "/roles", kManage, kManageAll, {"createRole", "createTenantRole", "Create a role"},
            &PeopleRoutes::create_role,
            takes("RoleCreate", 201, "Role", "Of operations that the plan has and the caller may do."));
  table.add(Method::get, "/roles/{role}", kRead, kReadAll, {"getRole", "getTenantRole", "Get a role"},
            &PeopleRoutes::get_role, answers(200, "Role"));
  table.add(Method::patch, "/roles/{role}", kManage, kManageAll,
            {"updateRole", "updateTenantRole", "Change a role"}, &PeopleRoutes::change_role,
            takes("RoleUpdate", 200, "Role", "Takes effect on the next request of everybody who has it."));
  table.add(Method::remove, "/roles/{role}", kManage, kManageAll,
            {"deleteRole", "deleteTenantRole", "Delete a role that nobody has"}, &PeopleRoutes::remove_role,
            answers(204, nullptr));
}

void add_session_routes(Table& table) {
  using net::Method;
  constexpr Guard kManage = Guard::tenant("session:manage");
  table.add(Method::get, "/sessions", kManage, Guard::platform("users:read"),
            {"listSessions", "listTenantSessions", "List who is signed in"}, &PeopleRoutes::list_sessions,
            [](RouteInfo info) {
              return std::move(info)
                  .query("user", "Only sessions of this user", string_schema())
                  .returns(200, ref("SessionList"));
            });
  table.add(Method::remove, "/sessions/{session}", kManage, Guard::platform("users:manage"),
            {"endSession", "endTenantSession", "End a session"}, &PeopleRoutes::end_session,
            answers(204, nullptr));
}

}  // namespace

void add_people_routes(Router& router, const Dependencies& dependencies, const ApiOptions&) {
  Table table(router, dependencies);
  add_user_routes(table);
  add_role_routes(table);
  add_session_routes(table);
}

}  // namespace rowhouse::http
