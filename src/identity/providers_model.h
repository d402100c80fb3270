// The values of providers.h. No behaviour.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/uuid.h"
#include "identity/users_model.h"

namespace rowhouse::identity {

// The feature of the plan that single sign-on needs.
inline constexpr std::string_view kSsoFeature = "sso:enabled";

// Who is in this group at the provider has this role here.
struct GroupRole {
  std::string group, role;
  bool operator==(const GroupRole&) const = default;
};

// What is set from outside.
struct ProviderSettings {
  std::string issuer;  // URL, exactly as the provider writes it into its tokens
  std::string client_id;
  std::optional<std::string> client_secret;  // nullopt: as it is; "": a public client
  std::vector<std::string> scopes{"openid", "email", "profile"};
  // A member of the claims; where there is none of that name, dots go into objects ("realm_access.roles").
  std::string email_claim = "email";
  std::string groups_claim = "groups";  // "" = groups say nothing
  std::vector<GroupRole> role_mapping;  // the first that fits counts
  std::string default_role;             // of those whom no group fits; "" = they are refused
  // May somebody sign in who is no member yet?
  enum class NewMembers { join, refuse } new_members = NewMembers::refuse;
  enum class Tokens { refused, accepted } tokens = Tokens::refused;  // its access tokens, on our routes
  std::string token_audience;                                        // that they name; not the client's id
  AccountStatus status = AccountStatus::active;
  // Of e-mail addresses that the provider speaks for. For the platform alone to set; nullopt: as they are.
  std::optional<std::vector<std::string>> domains;
};

struct Provider {
  Uuid id, tenant;
  ProviderSettings settings;  // client_secret: nullopt if there is none; domains are always set
  std::string created_at, updated_at;
};

}  // namespace rowhouse::identity
