// What the routes of people share: who acts, from where, and the forms of their answers.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "http/people_documents.h"
#include "http/router.h"
#include "http/routes/routes.h"
#include "identity/attempts.h"
#include "identity/sessions.h"
#include "identity/users.h"
#include "tenancy/tenants.h"

namespace rowhouse::http {

// Nobody's sign-in is longer, and anybody may send one.
inline constexpr std::uint64_t kMaxPeopleBodyBytes = 64U << 10;

inline tenancy::Actor acting(const Call& call, const identity::Principal& principal) {
  return tenancy::Actor(principal.name, identity::address_text(call.request.peer));
}

inline identity::Origin origin_of(const Call& call) {
  const std::string_view agent = call.request.header("User-Agent").value_or(std::string_view());
  return identity::Origin(std::string(call.request.peer), std::string(agent), call.request.request_id);
}

// The session of a person. Error: forbidden for keys.
inline Result<Uuid> session_of(const identity::Principal& principal) {
  if (!principal.session) {
    return Error(ErrorCode::forbidden, "only a user who has signed in can do this, not a key");
  }
  return *principal.session;
}

// Error: not_found. `what`: "user"
inline Result<Uuid> id_in_path(const std::string& text, const char* what) {
  const auto id = Uuid::parse(text);
  if (!id) return Error(ErrorCode::not_found, std::string("there is no such ") + what);
  return *id;
}

inline json::Value list_document(json::Array data) {
  json::Value document;
  document.set("data", std::move(data));
  return document;
}

inline json::Value page_document(json::Array data, const std::string& next_cursor) {
  json::Value document = list_document(std::move(data));
  document.set("next_cursor", next_cursor.empty() ? json::Value() : json::Value(next_cursor));
  return document;
}

// Answers with a secret in them stay in no cache.
inline net::HttpResponse unstored(net::HttpResponse response) {
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

// At which tenant, and who asks: for routes that a tenant has for itself, and the platform for any tenant.
struct Place {
  Place(identity::UserService::Tenant of_tenant, identity::Requester who)
      : tenant(std::move(of_tenant)), requester(std::move(who)) {}
  identity::UserService::Tenant tenant;
  identity::Requester requester;
};

inline Place own_place(const Call& call, const identity::TenantContext& context) {
  return Place(context.shared_tenant(),
               identity::Requester::tenant(acting(call, context.principal()), context.grant().permissions,
                                           context.rows()));
}

// The tenant that the path begins with, taken off its parameters. Errors: not_found, conflict (it is being
// deleted).
inline Task<Result<Place>> place_in_path(Call& call, const identity::PlatformContext& context,
                                         tenancy::TenantService& tenants) {
  std::string name = std::move(call.parameters.front());
  call.parameters.erase(call.parameters.begin());
  CO_TRY(auto tenant, co_await tenants.get(std::move(name), call.options));
  if (tenant->status == tenancy::TenantStatus::deleting) {
    co_return Error(ErrorCode::conflict, "the tenant is being deleted");
  }
  co_return Place(std::move(tenant), identity::Requester::platform(acting(call, context.principal())));
}

// The sessions of a scope; the query parameter `user` narrows it.
inline Reply list_sessions_of(Call& call, identity::SessionService& sessions, identity::SessionScope scope) {
  CO_TRY(const auto parameters, read_query(call.request, {"user"}));
  for (const auto& [name, value] : parameters) {
    scope.user = Uuid::parse(value);
    if (!scope.user) co_return Error(ErrorCode::invalid_parameter, "user must be the id of a user");
  }
  CO_TRY(const auto found, co_await sessions.list(scope, call.options));
  json::Array data;
  for (const auto& session : found) data.push_back(session_document(session));
  co_return json_response(200, list_document(std::move(data)));
}

}  // namespace rowhouse::http
