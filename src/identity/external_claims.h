// What tokens of an identity provider say: the checks of OpenID Connect Core 1.0 (3.1.3.7) and RFC 9068, and
// who it is about. Pure functions on claims whose signature has been checked; every refusal is an empty
// optional, because callers have one answer for all of them.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "identity/providers_model.h"

namespace rowhouse::identity {

inline constexpr std::size_t kMaxSubjectBytes = 255;  // OpenID Connect Core, section 2
inline constexpr std::size_t kMaxGroups = 1'000;

struct ExternalPerson {
  std::string subject;
  std::string email;                                        // "" = none, or no address
  enum class Verified { no, yes } verified = Verified::no;  // by the provider
  std::string name;
  std::vector<std::string> groups;
  // Does the token itself say anything about groups? If not, userinfo is asked.
  enum class Groups { unknown, known } knows_groups = Groups::unknown;
};

// "typ" of an ID token: JWT, or nothing.
bool is_id_token_type(std::string_view type);
// "typ" of an access token: at+jwt, JWT, or nothing. Other kinds (logout, DPoP proofs, …) are none.
bool is_access_token_type(std::string_view type);

// An ID token for this client and this sign-in, now?
bool is_id_token_for(const json::Value& claims, const Provider& provider, std::string_view nonce,
                     WallTime now, std::chrono::seconds skew);
// When an access token for `provider`'s audience ends; nullopt: it is none, or bound to a key that we do not
// see.
std::optional<WallTime> access_token_end(const json::Value& claims, const Provider& provider, WallTime now,
                                         std::chrono::seconds skew);

std::optional<ExternalPerson> person_of(const json::Value& claims, const ProviderSettings& settings);

// The role that the groups give: the first of the mapping that fits, else the default; "" = none.
std::string role_of(const ExternalPerson& person, const ProviderSettings& settings);

// Is the address in one of these domains (not below them)?
bool is_in_domains(std::string_view email, const std::vector<std::string>& domains);

}  // namespace rowhouse::identity
