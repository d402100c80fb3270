#include "identity/invitations.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "identity/invitations_impl.h"
#include "tenancy/api_key.h"

namespace rowhouse::identity {

namespace {

using namespace std::chrono_literals;

// Mails that one tenant can have sent to strangers.
constexpr int kMaxMailsPerTenant = 300;
constexpr std::chrono::minutes kMailWindow = 60min;

constexpr std::string_view kTokenTaken = "invitations_token_hash_key";

std::string invitation_columns() {
  return "i.id, i.email, r.name, i.invited_by, CASE WHEN i.accepted_at IS NOT NULL THEN 'accepted' WHEN "
         "i.revoked_at IS NOT NULL THEN 'revoked' WHEN i.expires_at <= $2::timestamptz THEN 'expired' ELSE "
         "'open' "
         "END, " +
         timestamp_sql("i.created_at") + ", " + timestamp_sql("i.expires_at") + ", " +
         timestamp_sql("i.accepted_at") +
         ", (SELECT m.status FROM identity.mail m WHERE m.tenant_id = i.tenant_id AND m.kind IN "
         "('invitation', "
         "'welcome') AND lower(m.recipient) = lower(i.email) ORDER BY m.queued_at DESC LIMIT 1) ";
}

Invitation invitation_from_row(const pg::Rows& rows, std::size_t row) {
  Invitation invitation;
  invitation.id = Uuid::parse(rows.text(row, 0)).value_or(Uuid());
  invitation.email = rows.text(row, 1);
  invitation.role = rows.text(row, 2);
  invitation.invited_by = rows.text(row, 3);
  invitation.status = rows.text(row, 4);
  invitation.created_at = rows.text(row, 5);
  invitation.expires_at = rows.text(row, 6);
  invitation.accepted_at = rows.text(row, 7);
  invitation.mail = rows.text(row, 8);
  return invitation;
}

Error no_such_invitation() { return Error(ErrorCode::not_found, "the tenant has no such invitation"); }

mail::Locale locale_of(const tenancy::Tenant& tenant) {
  for (const char* name : {"locale", "language"}) {
    const json::Value* value = tenant.settings.as_object() == nullptr ? nullptr : tenant.settings.find(name);
    if (value != nullptr && value->as_string() != nullptr) return mail::parse_locale(*value->as_string());
  }
  return mail::Locale::en;
}

audit::Change invitation_change(std::string action, const tenancy::Tenant& tenant,
                                const tenancy::Actor& actor, const Uuid& invitation) {
  auto change = change_of(std::move(action), actor, "invitation", invitation);
  change.tenant = tenant.id;
  return change;
}

std::string values_of(const std::string& email, const std::string& role) {
  json::Value values;
  values.set("email", email);
  values.set("role", role);
  return json::serialize(values);
}

pg::Param limit_param(const tenancy::Tenant& tenant) {
  const std::int64_t limit = seat_limit(tenant);
  return limit == tenancy::kUnlimited ? std::nullopt : pg::Param(std::to_string(limit));
}

}  // namespace

InvitationService::InvitationService(net::Executor& executor, pg::Pool& identity, tenancy::Registry& registry,
                                     UserService& users, MailQueue& mail, audit::Trail& trail,
                                     Passwords& passwords, const Clock& clock, LinkOptions options)
    : impl_(std::make_unique<Impl>(executor, identity, registry, users, mail, trail, passwords, clock,
                                   std::move(options))) {}
InvitationService::~InvitationService() = default;

void InvitationService::wire(Changed changed) { impl_->changed = std::move(changed); }

// -------------------------------------------------------------------------------------------------- read

Task<Result<std::vector<Invitation>>> InvitationService::Impl::select(Uuid tenant,
                                                                      std::optional<Uuid> invitation,
                                                                      CallOptions call) {
  pg::Params params;
  params.emplace_back(tenant.to_string());
  params.emplace_back(to_rfc3339(clock.now()));
  params.push_back(id_param(invitation));
  params.emplace_back(std::to_string(kMaxListed));
  const pg::Statement statement("SELECT " + invitation_columns() +
                                    "FROM identity.invitations i JOIN identity.roles r ON r.tenant_id = "
                                    "i.tenant_id AND r.id = i.role_id "
                                    "WHERE i.tenant_id = $1::uuid AND ($3::uuid IS NULL OR i.id = $3::uuid) "
                                    "ORDER BY i.created_at DESC, i.id DESC LIMIT $4::bigint",
                                std::move(params));
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  std::vector<Invitation> all;
  for (std::size_t row = 0; row < rows.size(); ++row) all.push_back(invitation_from_row(rows, row));
  co_return all;
}

Task<Result<Invitation>> InvitationService::Impl::read(Uuid tenant, Uuid invitation, CallOptions call) {
  CO_TRY(auto found, co_await select(tenant, invitation, call));
  if (found.empty()) co_return no_such_invitation();
  co_return std::move(found.front());
}

Task<Result<std::vector<Invitation>>> InvitationService::list(Tenant tenant, CallOptions options) {
  co_return co_await impl_->select(tenant->id, std::nullopt, options);
}

// ------------------------------------------------------------------------------------------------ invite

std::string InvitationService::Impl::delivery_of(const Requester& requester) const {
  if (mail.sends()) return "mail";
  return requester.side == Requester::Side::platform ? "shown_to_platform" : "shown_to_tenant";
}

Letter InvitationService::Impl::letter_of(const tenancy::Tenant& tenant, const Draft& draft) const {
  mail::Content content;
  content.kind = draft.occasion == Draft::Occasion::welcome ? mail::Kind::welcome : mail::Kind::invitation;
  content.locale = locale_of(tenant);
  content.branding = mail::branding_of(tenant.branding, tenant.name);
  content.link = link_url(options, "invitation", draft.token);
  const tenancy::Role* role = tenant.pack ? tenant.pack->manifest.find_role(draft.role) : nullptr;
  content.role = role != nullptr && !role->title.empty() ? role->title : draft.role;
  content.life = mail::valid_for(content.locale, options.invitation_life.count());
  return Letter(std::move(content), draft.email, tenant.id);
}

Invited InvitationService::Impl::handed_over(Invitation invitation, const std::string& token) const {
  Invited invited;
  invited.invitation = std::move(invitation);
  if (!mail.sends()) invited.link = link_url(options, "invitation", token);
  return invited;
}

// A link that is shown can't be trusted with an account that somebody else's admin made; as add_member().
Task<Result<void>> InvitationService::Impl::check_person(Tenant tenant, std::string email,
                                                         Requester requester, CallOptions call) {
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(std::move(email));
  const pg::Statement statement(
      "SELECT EXISTS (SELECT FROM identity.memberships m WHERE m.user_id = u.id AND m.tenant_id = $1::uuid), "
      "u.home_tenant IS NOT NULL AND u.home_tenant <> $1::uuid AND u.email_verified_at IS NULL "
      "FROM identity.users u WHERE lower(u.email) = lower($2::text)",
      std::move(params));
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  if (rows.size() == 0) co_return Result<void>();
  if (rows.text(0, 0) == "t") {
    co_return Error(ErrorCode::conflict, "the user is a member of this tenant already");
  }
  const bool is_shown_to_tenant = !mail.sends() && requester.side == Requester::Side::tenant;
  if (is_shown_to_tenant && rows.text(0, 1) == "t") {
    co_return Error(
        ErrorCode::conflict,
        "another tenant made the account of this e-mail address, and the address is not verified; ask the "
        "operator of the platform to add it");
  }
  co_return Result<void>();
}

Task<Result<void>> InvitationService::Impl::check_pace(Tenant tenant, CallOptions call) {
  if (!mail.sends()) co_return Result<void>();
  CO_TRY(const auto wait, co_await count_request(identity, "mails of tenant " + tenant->id.to_string(),
                                                 kMaxMailsPerTenant, kMailWindow, clock.now(), call));
  if (wait.count() == 0) co_return Result<void>();
  co_return Error(ErrorCode::rate_limited, "too many invitations were mailed; try again later")
      .with_detail(std::string(kRetryAfterS), std::to_string(wait.count()));
}

Task<Result<void>> InvitationService::Impl::write(Tenant tenant, const Draft& draft,
                                                  const Requester& requester, CallOptions call) {
  const WallTime now = clock.now();
  pg::Params expired;
  expired.emplace_back(tenant->id.to_string());
  expired.emplace_back(draft.email);
  expired.emplace_back(to_rfc3339(now));
  const pg::Statement make_room(
      "UPDATE identity.invitations SET revoked_at = $3::timestamptz WHERE tenant_id = $1::uuid AND "
      "lower(email) = "
      "lower($2::text) AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at <= $3::timestamptz",
      std::move(expired), pg::Access::write);
  CO_TRY_DO(co_await identity.run(nullptr, make_room, call));

  pg::Params params;
  params.emplace_back(draft.id.to_string());
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(draft.email);
  params.emplace_back(draft.role_id.to_string());
  params.emplace_back(tenancy::bytea_text(tenancy::hash_of_credential(draft.token)));
  params.emplace_back(requester.actor.name);
  params.emplace_back(delivery_of(requester));
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(to_rfc3339(now + options.invitation_life));
  params.push_back(limit_param(*tenant));
  params.emplace_back(draft.occasion == Draft::Occasion::welcome ? "true" : "false");
  std::string with =
      "t AS (INSERT INTO identity.invitations (id, tenant_id, email, role_id, token_hash, invited_by, "
      "delivery, "
      "created_at, expires_at, welcome) SELECT $1::uuid, $2::uuid, $3::text, $4::uuid, $5::bytea, $6::text, "
      "$7::text, "
      "$8::timestamptz, $9::timestamptz, $11::boolean WHERE $10::bigint IS NULL OR "
      "identity.seats_taken($2::uuid, "
      "$3::text, $8::timestamptz) < $10::bigint RETURNING id)";
  if (mail.sends()) {
    const Letter letter = letter_of(*tenant, draft);
    with += ", mailed AS (" + mail.insert_sql(params, letter, "t") + ")";
  }
  auto change = invitation_change("invitation.created", *tenant, requester.actor, draft.id);
  change.new_json = values_of(draft.email, draft.role);
  const pg::Statement statement = recorded_statement(with, "SELECT id FROM t", std::move(params), change);
  auto rows = co_await identity.run(nullptr, statement, call);
  if (!rows.ok()) co_return std::move(rows).error();
  if (rows->size() == 0) co_return no_seat_left(*tenant);
  co_return Result<void>();
}

Task<Result<Invited>> InvitationService::invite(Tenant tenant, NewInvitation request, Requester requester,
                                                CallOptions options) {
  Impl& impl = *impl_;
  const bool is_there =
      tenant->status == tenancy::TenantStatus::active || tenant->status == tenancy::TenantStatus::suspended;
  if (!is_there) {
    co_return Error(ErrorCode::conflict, "the tenant is " + std::string(tenant_status_name(tenant->status)) +
                                             ", so nobody can be invited");
  }
  Error faults(ErrorCode::validation_failed, "the invitation is not valid");
  const auto email = clean_email(request.email);
  if (!email) faults.fields.emplace_back("/email", "must be an e-mail address");
  if (request.role.empty()) {
    const MemberFilter anybody;
    CO_TRY(const auto members, co_await impl.users.list_members(tenant, anybody, options));
    if (!members.members.empty()) faults.fields.emplace_back("/role", "is required");
    request.role = tenant->pack->manifest.admin_role;
  }
  if (!faults.fields.empty()) co_return faults;
  Impl::Draft draft;
  CO_TRY(draft.role_id, co_await impl.users.role_to_give(tenant, request.role, requester, options));
  CO_TRY_DO(co_await impl.check_person(tenant, *email, requester, options));
  CO_TRY_DO(co_await impl.check_pace(tenant, options));
  draft.id = Uuid::make_v7(impl.clock.now());
  draft.email = *email;
  draft.role = std::move(request.role);
  draft.token = tenancy::make_credential(kLinkTokenPrefix);
  auto written = co_await impl.write(tenant, draft, requester, options);
  if (!written.ok() && !written.error().detail(pg::kConstraint).empty() &&
      written.error().code == ErrorCode::conflict) {
    co_return Error(ErrorCode::conflict,
                    "this person is invited already; send the invitation again, or revoke it");
  }
  if (!written.ok()) co_return std::move(written).error();
  CO_TRY(auto invitation, co_await impl.read(tenant->id, draft.id, options));
  co_return impl.handed_over(std::move(invitation), draft.token);
}

Task<Result<void>> InvitationService::welcome(Tenant tenant, std::string email, std::string token,
                                              tenancy::Actor actor, CallOptions options) {
  Impl& impl = *impl_;
  const auto address = clean_email(email);
  if (!address) {
    co_return Error(ErrorCode::validation_failed, "the tenant's admin cannot be invited")
        .with_field("/admin_email", "must be an e-mail address");
  }
  // Of an attempt before.
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(tenancy::bytea_text(tenancy::hash_of_credential(token)));
  const pg::Statement look(
      "SELECT id FROM identity.invitations WHERE tenant_id = $1::uuid AND token_hash = $2::bytea",
      std::move(params), pg::Access::write);
  CO_TRY(const auto there, co_await impl.identity.run(nullptr, look, options));
  if (there.size() > 0) co_return Result<void>();
  const Requester requester = Requester::platform(std::move(actor));
  Impl::Draft draft;
  draft.role = tenant->pack->manifest.admin_role;
  CO_TRY(draft.role_id, co_await impl.users.role_to_give(tenant, draft.role, requester, options));
  draft.id = Uuid::make_v7(impl.clock.now());
  draft.email = *address;
  draft.token = std::move(token);
  draft.occasion = Impl::Draft::Occasion::welcome;
  auto written = co_await impl.write(tenant, draft, requester, options);
  if (!written.ok() && written.error().detail(pg::kConstraint) == kTokenTaken) co_return Result<void>();
  co_return written;
}

// ----------------------------------------------------------------------------------------------- change

Task<Result<Invited>> InvitationService::send_again(Tenant tenant, Uuid invitation, Requester requester,
                                                    CallOptions options) {
  Impl& impl = *impl_;
  CO_TRY(const Invitation before, co_await impl.read(tenant->id, invitation, options));
  Impl::Draft draft;
  CO_TRY(draft.role_id, co_await impl.users.role_to_give(tenant, before.role, requester, options));
  if (before.status == "accepted" || before.status == "revoked") {
    co_return Error(ErrorCode::conflict, "the invitation was " + before.status);
  }
  CO_TRY_DO(co_await impl.check_person(tenant, before.email, requester, options));
  CO_TRY_DO(co_await impl.check_pace(tenant, options));
  draft.id = invitation;
  draft.email = before.email;
  draft.role = before.role;
  draft.token = tenancy::make_credential(kLinkTokenPrefix);
  const WallTime now = impl.clock.now();
  pg::Params params;
  params.emplace_back(invitation.to_string());
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(draft.email);
  params.emplace_back(tenancy::bytea_text(tenancy::hash_of_credential(draft.token)));
  params.emplace_back(impl.delivery_of(requester));
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(to_rfc3339(now + impl.options.invitation_life));
  params.push_back(limit_param(*tenant));
  std::string with =
      "t AS (UPDATE identity.invitations SET token_hash = $4::bytea, delivery = $5::text, expires_at = "
      "$7::timestamptz WHERE id = $1::uuid AND tenant_id = $2::uuid AND accepted_at IS NULL AND revoked_at "
      "IS NULL AND "
      "($8::bigint IS NULL OR identity.seats_taken($2::uuid, $3::text, $6::timestamptz) < $8::bigint) "
      "RETURNING id)";
  if (impl.mail.sends()) {
    const Letter letter = impl.letter_of(*tenant, draft);
    with += ", mailed AS (" + impl.mail.insert_sql(params, letter, "t") + ")";
  }
  auto change = invitation_change("invitation.sent_again", *tenant, requester.actor, invitation);
  change.new_json = values_of(draft.email, draft.role);
  const pg::Statement statement = recorded_statement(with, "SELECT id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await impl.identity.run(nullptr, statement, options));
  if (rows.size() == 0) {
    CO_TRY(const Invitation now_is, co_await impl.read(tenant->id, invitation, options));
    if (now_is.status == "open" || now_is.status == "expired") co_return no_seat_left(*tenant);
    co_return Error(ErrorCode::conflict, "the invitation was " + now_is.status);
  }
  CO_TRY(auto after, co_await impl.read(tenant->id, invitation, options));
  co_return impl.handed_over(std::move(after), draft.token);
}

Task<Result<void>> InvitationService::revoke(Tenant tenant, Uuid invitation, Requester requester,
                                             CallOptions options) {
  Impl& impl = *impl_;
  CO_TRY(const Invitation before, co_await impl.read(tenant->id, invitation, options));
  CO_TRY_DO(co_await impl.users.role_to_give(tenant, before.role, requester, options));
  pg::Params params;
  params.emplace_back(invitation.to_string());
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(to_rfc3339(impl.clock.now()));
  auto change = invitation_change("invitation.revoked", *tenant, requester.actor, invitation);
  change.old_json = values_of(before.email, before.role);
  // A mail with its link that still waits would only mislead.
  const pg::Statement statement = recorded_statement(
      "t AS (UPDATE identity.invitations SET revoked_at = $3::timestamptz WHERE id = $1::uuid AND tenant_id "
      "= "
      "$2::uuid AND accepted_at IS NULL AND revoked_at IS NULL RETURNING id, email), "
      "unsent AS (DELETE FROM identity.mail m USING t WHERE m.tenant_id = $2::uuid AND m.status = 'queued' "
      "AND "
      "m.kind IN ('invitation', 'welcome') AND lower(m.recipient) = lower(t.email))",
      "SELECT id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await impl.identity.run(nullptr, statement, options));
  if (rows.size() == 0) co_return no_such_invitation();
  co_return Result<void>();
}

}  // namespace rowhouse::identity
