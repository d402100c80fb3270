// What invitations.cc and invitation_acceptance.cc share. For these files alone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "identity/invitations.h"
#include "identity/sessions_impl.h"

namespace rowhouse::identity {

struct InvitationService::Impl {
  Impl(net::Executor& loop, pg::Pool& pool, tenancy::Registry& tenants, UserService& user_service,
       MailQueue& queue, audit::Trail& events, Passwords& hashing, const Clock& wall_clock,
       LinkOptions link_options)
      : executor(loop),
        identity(pool),
        registry(tenants),
        users(user_service),
        mail(queue),
        trail(events),
        passwords(hashing),
        clock(wall_clock),
        options(std::move(link_options)) {}

  // ---- making (invitations.cc)
  // One to write down.
  struct Draft {
    Uuid id, role_id;
    std::string email, role, token;
    enum class Occasion { invitation, welcome } occasion = Occasion::invitation;
  };
  std::string delivery_of(const Requester& requester) const;
  Letter letter_of(const tenancy::Tenant& tenant, const Draft& draft) const;
  // Error limit_reached, conflict.
  Task<Result<void>> write(Tenant tenant, const Draft& draft, const Requester& requester, CallOptions call);
  Task<Result<Invitation>> read(Uuid tenant, Uuid invitation, CallOptions call);  // not_found
  Task<Result<std::vector<Invitation>>> select(Uuid tenant, std::optional<Uuid> invitation, CallOptions call);
  Task<Result<void>> check_person(Tenant tenant, std::string email, Requester requester, CallOptions call);
  Task<Result<void>> check_pace(Tenant tenant, CallOptions call);
  Invited handed_over(Invitation invitation, const std::string& token) const;

  // ---- accepting (invitation_acceptance.cc)
  struct Account {
    Uuid id;
    std::string password_hash;  // "" = none
    std::optional<Uuid> home;
    enum class Verified { no, yes } verified = Verified::no;
    User::PlatformAdmin platform_admin = User::PlatformAdmin::no;
    std::size_t other_memberships = 0;
  };
  struct Found {
    Uuid id;
    std::string delivery;
    InvitationOffer offer;
    std::optional<Account> account;
    bool by_mail() const { return delivery == "mail"; }
  };
  Task<Result<Found>> find(std::string token, Origin origin, CallOptions call);
  Task<Result<void>> admit_new(const Found& found, std::string name, std::string hash, const Origin& origin,
                               CallOptions call);
  Task<Result<void>> admit_known(const Found& found, std::optional<std::string> hash, const Origin& origin,
                                 CallOptions call);

  net::Executor& executor;
  pg::Pool& identity;
  tenancy::Registry& registry;
  UserService& users;
  MailQueue& mail;
  audit::Trail& trail;
  Passwords& passwords;
  const Clock& clock;
  const LinkOptions options;
  Changed changed;
};

}  // namespace rowhouse::identity
