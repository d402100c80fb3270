#include "identity/external_users.h"

#include <utility>

#include "identity/users_impl.h"

namespace rowhouse::identity {

namespace {

constexpr std::string_view kKnownSql =
    "SELECT user_id FROM identity.external_identities WHERE provider_id = $1::uuid AND subject = $2::text";

// $1 e-mail address, $2 provider, $3 tenant.
constexpr std::string_view kAccountSql = R"(
SELECT u.id, u.platform_admin, u.password_hash IS NOT NULL, u.home_tenant IS NOT DISTINCT FROM $3::uuid,
  EXISTS (SELECT FROM identity.memberships m WHERE m.user_id = u.id AND m.tenant_id = $3::uuid),
  EXISTS (SELECT FROM identity.memberships m WHERE m.user_id = u.id AND m.tenant_id <> $3::uuid),
  EXISTS (SELECT FROM identity.external_identities e WHERE e.user_id = u.id AND e.provider_id = $2::uuid),
  EXISTS (SELECT FROM identity.sessions s WHERE s.user_id = u.id AND s.tenant_id IS DISTINCT FROM $3::uuid
    AND s.revoked_at IS NULL)
FROM identity.users u WHERE lower(u.email) = lower($1::text))";

// $1 provider, $2 subject, $3 user, $4 whether the domain's owner vouches for the address. Only while the
// provider is there and the account is no platform admin's. Being verified lets other tenants add the
// account, so nobody may know its password.
constexpr std::string_view kLinkSql = R"(
t AS (INSERT INTO identity.external_identities (provider_id, subject, user_id)
  SELECT p.id, $2::text, u.id FROM identity.identity_providers p, identity.users u
  WHERE p.id = $1::uuid AND p.status = 'active' AND u.id = $3::uuid AND NOT u.platform_admin
  ON CONFLICT DO NOTHING RETURNING user_id),
verified AS (UPDATE identity.users u SET email_verified_at = pg_catalog.now() FROM t
  WHERE u.id = t.user_id AND $4::boolean AND u.email_verified_at IS NULL AND u.password_hash IS NULL))";

Error refused(std::string why) { return Error(ErrorCode::credential_unknown, std::move(why)); }

std::string boolean_text(bool value) { return value ? "true" : "false"; }

bool vouches_for(const Provider& provider, const ExternalPerson& person) {
  return person.verified == ExternalPerson::Verified::yes &&
         is_in_domains(person.email, *provider.settings.domains);
}

}  // namespace

struct ExternalUsers::Account {
  Uuid id;
  User::PlatformAdmin platform_admin = User::PlatformAdmin::no;
  User::Password password = User::Password::none;
  enum class Home { here, elsewhere } home = Home::elsewhere;
  enum class Member { no, yes } member_here = Member::no, member_elsewhere = Member::no;
  enum class Linked { no, yes } linked = Linked::no;
};

Task<Result<Uuid>> ExternalUsers::known(Uuid provider, std::string subject, CallOptions options) {
  pg::Params params;
  params.emplace_back(provider.to_string());
  params.emplace_back(std::move(subject));
  const pg::Statement statement(std::string(kKnownSql), std::move(params));
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  if (rows.size() == 0) co_return Error(ErrorCode::not_found, "nobody of this subject has signed in yet");
  co_return Uuid::parse(rows.text(0, 0)).value_or(Uuid());
}

Task<Result<std::optional<ExternalUsers::Account>>> ExternalUsers::account(std::string email, Uuid provider,
                                                                           Uuid tenant, CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(email));
  params.emplace_back(provider.to_string());
  params.emplace_back(tenant.to_string());
  const pg::Statement statement(std::string(kAccountSql), std::move(params));
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  std::optional<Account> found;
  if (rows.size() == 0) co_return found;
  const auto is = [&rows](std::size_t column) { return rows.text(0, column) == "t"; };
  found.emplace();
  found->id = Uuid::parse(rows.text(0, 0)).value_or(Uuid());
  found->platform_admin = is(1) ? User::PlatformAdmin::yes : User::PlatformAdmin::no;
  found->password = is(2) ? User::Password::set : User::Password::none;
  found->home = is(3) ? Account::Home::here : Account::Home::elsewhere;
  found->member_here = is(4) ? Account::Member::yes : Account::Member::no;
  found->member_elsewhere = is(5) || is(7) ? Account::Member::yes : Account::Member::no;
  found->linked = is(6) ? Account::Linked::yes : Account::Linked::no;
  co_return found;
}

// See the head of external_users.h. The message is for the audit.
Task<Result<Uuid>> ExternalUsers::find_or_make(const Provider& provider, UserService::Tenant tenant,
                                               const ExternalPerson& person, const std::string& role,
                                               const Requester& requester, CallOptions options) {
  if (person.email.empty()) co_return refused("the provider names no e-mail address");
  const ProviderSettings& settings = provider.settings;
  const bool is_vouched = vouches_for(provider, person);
  CO_TRY(const auto found, co_await account(person.email, provider.id, tenant->id, options));
  if (found) {
    const bool is_own = found->home == Account::Home::here && found->member_elsewhere == Account::Member::no;
    const bool has_ties = found->home == Account::Home::here || found->member_here == Account::Member::yes ||
                          found->password == User::Password::none;
    const bool may_join =
        person.verified == ExternalPerson::Verified::yes && (is_own || (is_vouched && has_ties));
    if (found->platform_admin == User::PlatformAdmin::yes)
      co_return refused("the account is a platform admin's");
    if (found->linked == Account::Linked::yes)
      co_return refused("the account belongs to another subject of the provider");
    if (!may_join) co_return refused("the account of this e-mail address was not made by the provider");
    if (found->member_here == Account::Member::yes) co_return found->id;
  }
  if (settings.new_members == ProviderSettings::NewMembers::refuse) co_return refused("nobody new is let in");
  if (!settings.domains->empty() && !is_vouched)
    co_return refused("the e-mail address is not verified, or in none of the tenant's domains");
  if (role.empty()) co_return refused("no group gives a role");
  NewMember wanted;
  wanted.email = person.email;
  wanted.role = role;
  if (!found) wanted.name = person.name;
  // What could be refused to the tenant because of another one has been looked at above.
  Requester adding = found ? Requester::platform(requester.actor) : requester;
  CO_TRY(const auto added, co_await users_.add_member(tenant, std::move(wanted), std::move(adding), options));
  co_return added.member.user;
}

Task<Result<void>> ExternalUsers::link(const Provider& provider, Uuid user, const ExternalPerson& person,
                                       const Requester& requester, CallOptions options) {
  pg::Params params;
  params.emplace_back(provider.id.to_string());
  params.emplace_back(person.subject);
  params.emplace_back(user.to_string());
  params.emplace_back(boolean_text(vouches_for(provider, person)));
  auto change = change_of("sso.user_joined", requester.actor, "user", user);
  change.tenant = provider.tenant;
  const pg::Statement statement =
      recorded_statement(kLinkSql, "SELECT user_id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  if (rows.size() == 0)
    co_return refused("somebody else was joined to the account, or the provider has gone");
  co_return Result<void>();
}

Task<Result<void>> ExternalUsers::follow_groups(UserService::Tenant tenant, Uuid user,
                                                const std::string& role, const Requester& requester,
                                                CallOptions options) {
  const auto member = co_await users_.get_member(tenant, user, options);
  if (!member.ok() && member.error().code == ErrorCode::not_found) co_return refused("no member any more");
  if (!member.ok()) co_return member.error();
  if (member->role == role) co_return Result<void>();
  MemberChange change;
  change.role = role;
  const auto changed = co_await users_.change_member(tenant, user, std::move(change), requester, options);
  // The tenant's last admin stays one.
  if (changed.ok() || changed.error().code == ErrorCode::conflict) co_return Result<void>();
  co_return changed.error();
}

Task<Result<Uuid>> ExternalUsers::member(const Provider& provider, UserService::Tenant tenant,
                                         ExternalPerson person, std::string address, CallOptions options) {
  const ProviderSettings& settings = provider.settings;
  const tenancy::Actor actor("identity provider " + settings.issuer, std::move(address));
  // Whoever set the provider had every permission.
  const Requester requester = Requester::tenant(actor, tenancy::all_permissions(), tenancy::RowScope::all);
  const std::string role = role_of(person, settings);
  if (!settings.role_mapping.empty() && role.empty()) co_return refused("no group gives a role");
  Uuid user;
  auto before = co_await known(provider.id, person.subject, options);
  if (before.ok()) {
    user = *before;
  } else if (before.error().code != ErrorCode::not_found) {
    co_return std::move(before).error();
  } else {
    CO_TRY(user, co_await find_or_make(provider, tenant, person, role, requester, options));
    CO_TRY_DO(co_await link(provider, user, person, requester, options));
  }
  const auto member = co_await users_.get_member(tenant, user, options);
  if (!member.ok() && member.error().code != ErrorCode::not_found) co_return member.error();
  if (!member.ok()) {
    // Removed here since; the account was not the tenant's own, or it would be gone, too.
    if (settings.new_members == ProviderSettings::NewMembers::refuse || role.empty())
      co_return refused("no member any more");
    CO_TRY(const auto account, co_await users_.get_user(user, options));
    if (account.platform_admin == User::PlatformAdmin::yes)
      co_return refused("the account is a platform admin's");
    NewMember again;
    again.email = account.email;
    again.role = role;
    Requester adding = Requester::platform(actor);
    CO_TRY_DO(co_await users_.add_member(tenant, std::move(again), std::move(adding), options));
  }
  if (settings.role_mapping.empty()) co_return user;
  CO_TRY_DO(co_await follow_groups(tenant, user, role, requester, options));
  co_return user;
}

}  // namespace rowhouse::identity
