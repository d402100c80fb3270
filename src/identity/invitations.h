// Invitations: an offer of a membership with a role, accepted by a one-time link.
//
// The link goes by mail; without mail it is shown once to whoever made it. Accepting one that came by mail
// proves that the address is the person's; one that was shown proves nothing, so it lets nobody into an
// account that is there already: it neither confirms the address nor touches a password. A token that is not
// good has one answer, see links.h. Members and open invitations together stay within the plan's limit of
// users, also when many ask at once. Belongs to the executor's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "identity/links.h"
#include "identity/users.h"
#include "tenancy/registry.h"

namespace rowhouse::identity {

struct Invitation {
  Uuid id;
  std::string email, role, invited_by;
  std::string status;                               // "open", "accepted", "revoked", "expired"
  std::string created_at, expires_at, accepted_at;  // RFC 3339; "" = never
  std::string mail;                                 // "queued", "sent", "failed"; "" = shown, or long ago
};

struct NewInvitation {
  std::string email;
  std::string role;  // "" = the pack's admin role if the tenant has nobody yet; otherwise required
};

struct Invited {
  Invitation invitation;
  std::string link;  // "" = it is mailed
};

// What a token offers.
struct InvitationOffer {
  std::shared_ptr<const tenancy::Tenant> tenant;
  std::string email, role, expires_at;
  // choose: the person has no password yet, or one that another tenant may know.
  enum class Password { choose, keep } password = Password::keep;
  enum class Account { known, none } account = Account::none;
};

class InvitationService {
 public:
  using Tenant = UserService::Tenant;
  using Changed = UserService::Changed;

  InvitationService(net::Executor& executor, pg::Pool& identity, tenancy::Registry& registry,
                    UserService& users, MailQueue& mail, audit::Trail& trail, Passwords& passwords,
                    const Clock& clock, LinkOptions options);
  ~InvitationService();
  void wire(Changed changed);

  // Newest first, those of the last 90 days, at most kMaxListed.
  static constexpr std::size_t kMaxListed = 500;
  Task<Result<std::vector<Invitation>>> list(Tenant tenant, CallOptions options);
  // Errors: validation_failed (/email, /role), permission_missing, limit_reached, rate_limited, conflict (a
  // member already; invited already; without mail: the account was made by another tenant and its address is
  // not confirmed).
  Task<Result<Invited>> invite(Tenant tenant, NewInvitation request, Requester requester,
                               CallOptions options);
  // Of the admin of a tenant that is being made, with this token and the pack's admin role. May be repeated.
  Task<Result<void>> welcome(Tenant tenant, std::string email, std::string token, tenancy::Actor actor,
                             CallOptions options);
  // Another link, good for as long as a new one; the one before is good no more. Errors: not_found,
  // permission_missing, limit_reached, rate_limited, conflict (accepted or revoked).
  Task<Result<Invited>> send_again(Tenant tenant, Uuid invitation, Requester requester, CallOptions options);
  // Errors: not_found (none that is open), permission_missing.
  Task<Result<void>> revoke(Tenant tenant, Uuid invitation, Requester requester, CallOptions options);

  // Errors: credential_unknown, tenant_suspended.
  Task<Result<InvitationOffer>> look(std::string token, Origin origin, CallOptions options);
  // Makes the member, and the account if there is none. Errors: as look(); validation_failed (/password,
  // /name; the link stays good); conflict (see invite(); or the account has changed in this moment).
  Task<Result<InvitationOffer>> accept(std::string token, std::string password, std::string name,
                                       Origin origin, CallOptions options);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::identity
