// Identity providers of tenants: one for each, kept in identity.identity_providers.
//
// A provider speaks for everybody of its tenant, so whoever sets one must have every permission there. Which
// domains of e-mail addresses belong to a tenant is for the platform alone to say; they stay when the
// provider goes. Secrets are sealed with a key that the database does not have. A provider that is removed,
// disabled or exchanged (issuer or client) ends the sessions that began through it, and its tokens are
// refused from the next request on; people of another issuer are strangers until they are joined again
// (external_users.h).
//
// Every change is recorded in the outbox in its own statement. Belongs to the executor's thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/providers_model.h"
#include "identity/users.h"
#include "net/http_fetch.h"
#include "pg/pool.h"

namespace rowhouse::identity {

// Credentials::derive() of this makes the key that seals client secrets and sign-ins under way.
inline constexpr std::string_view kSsoKeyPurpose = "single sign-on";

class ProviderService {
 public:
  using Tenant = std::shared_ptr<const tenancy::Tenant>;
  using Changed = std::function<void(const Uuid& subject)>;  // as of UserService

  ProviderService(pg::Pool& identity, UserService& users, const Clock& clock, net::Reach reach,
                  std::string seal_key);
  void wire(Changed changed) { changed_ = std::move(changed); }

  Task<Result<Provider>> get(Tenant tenant, CallOptions options);  // not_found
  // Errors: validation_failed with fields; permission_missing; forbidden (a tenant sets domains); conflict (a
  // domain is another tenant's; another tenant takes tokens of this issuer and audience).
  Task<Result<Provider>> set(Tenant tenant, ProviderSettings settings, Requester requester,
                             CallOptions options);
  Task<Result<void>> remove(Tenant tenant, Requester requester, CallOptions options);  // not_found

  // For signing in: active ones. Errors: not_found.
  Task<Result<Provider>> of_tenant(Uuid tenant, CallOptions options);
  Task<Result<Provider>> of_domain(std::string domain, CallOptions options);
  // The one that takes tokens of this issuer for one of these audiences; two would be a mistake: none.
  Task<Result<Provider>> of_token(std::string issuer, std::vector<std::string> audiences,
                                  CallOptions options);
  Task<Result<Provider>> by_id(Uuid provider, CallOptions options);

 private:
  void announce(const pg::Rows& concerned) const;
  Task<Result<Provider>> one(std::string condition, pg::Params params, CallOptions options);
  Task<Result<void>> check_roles(Tenant tenant, const ProviderSettings& settings, Requester requester,
                                 CallOptions options);

  pg::Pool& identity_;
  UserService& users_;
  const Clock& clock_;
  const net::Reach reach_;
  const std::string seal_key_;
  Changed changed_;
};

}  // namespace rowhouse::identity
