// Credentials that Rowhouse makes: what they look like and the hash that is all we keep of them. Pure
// functions.
//
// A tenant's key is "tk_" and 32 random bytes in base64url, an admin's token "rha_" and the same. With 256
// random bits a plain SHA-256 is enough: there is nothing to guess, so nothing to slow a guesser down for.
#pragma once

#include <string>
#include <string_view>

#include "base/uuid.h"
#include "tenancy/registry.h"

namespace rowhouse::tenancy {

inline constexpr std::string_view kTenantKeyPrefix = "tk_";
inline constexpr std::string_view kAdminTokenPrefix = "rha_";
inline constexpr std::size_t kCredentialRandomBytes = 32;
inline constexpr std::size_t kKeyHintCharacters = 8;

// Prefix and 43 characters that are the one spelling of 32 bytes.
bool has_credential_form(std::string_view text, std::string_view prefix);
std::string make_credential(std::string_view prefix);
// Of the whole text, prefix included.
KeyHash hash_of_credential(std::string_view text);
// For a parameter of type bytea.
std::string bytea_text(const KeyHash& hash);
// The first characters, so that people can tell keys apart.
std::string hint_of_credential(std::string_view text);

}  // namespace rowhouse::tenancy
