// Sessions of people for whom an identity provider has vouched; see sessions.h.
#include <algorithm>
#include <utility>

#include "identity/sessions_impl.h"

namespace rowhouse::identity {

namespace {

// $1 session, $2 provider. Nothing if the provider has gone or does not count any more.
constexpr std::string_view kThroughSql = R"(
UPDATE identity.sessions s SET provider_id = p.id FROM identity.identity_providers p
WHERE s.id = $1::uuid AND p.id = $2::uuid AND p.tenant_id = s.tenant_id AND p.status = 'active'
  AND EXISTS (SELECT FROM identity.external_identities e WHERE e.provider_id = p.id AND e.user_id = s.user_id)
RETURNING s.id)";

constexpr std::string_view kSeenSql =
    "UPDATE identity.external_identities SET last_login_at = pg_catalog.now() WHERE provider_id = $1::uuid "
    "AND "
    "user_id = $2::uuid";

Error refused(std::string why) { return Error(ErrorCode::credential_unknown, std::move(why)); }

}  // namespace

Task<Result<SignedIn>> SessionService::sign_in_external(Uuid user,
                                                        std::shared_ptr<const tenancy::Tenant> tenant,
                                                        Uuid provider, Origin origin, CallOptions options) {
  Impl& impl = *impl_;
  CO_TRY(const Account found, co_await impl.account(std::nullopt, user, options));
  if (!found.id || found.status != AccountStatus::active)
    co_return refused("the account is disabled or gone");
  // The platform's own people come in by its own door.
  if (found.platform_admin == User::PlatformAdmin::yes)
    co_return refused("the account is a platform admin's");
  const auto place =
      std::find_if(found.places.begin(), found.places.end(),
                   [&tenant](const Account::Place& each) { return each.tenant == tenant->id; });
  if (place == found.places.end()) co_return refused("no member any more");
  Destination to;
  to.tenant = std::move(tenant);
  to.role = place->role;
  const std::string same_password;
  CO_TRY(auto signed_in, co_await impl.start(found, to, same_password, origin, options));
  pg::Params params;
  params.emplace_back(signed_in.session.to_string());
  params.emplace_back(provider.to_string());
  const pg::Statement through(std::string(kThroughSql), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await impl.identity.run(nullptr, through, options));
  if (rows.size() == 0) {
    pg::Params which;
    which.emplace_back(signed_in.session.to_string());
    const tenancy::Actor actor = user_actor(found.email, origin);
    CO_TRY_DO(co_await impl.end_where("s.id = $1::uuid", std::move(which), "identity provider gone", actor,
                                      options));
    co_return refused("the provider has gone");
  }
  pg::Params seen;
  seen.emplace_back(provider.to_string());
  seen.emplace_back(user.to_string());
  const pg::Statement statement(std::string(kSeenSql), std::move(seen), pg::Access::write);
  CO_TRY_DO(co_await impl.identity.run(nullptr, statement, options));
  co_return signed_in;
}

}  // namespace rowhouse::identity
