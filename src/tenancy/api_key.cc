#include "tenancy/api_key.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::tenancy {

bool has_credential_form(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  constexpr std::size_t kCharacters = (kCredentialRandomBytes * 8 + 5) / 6;
  return text.size() == kCharacters && from_base64url(text).has_value();
}

std::string make_credential(std::string_view prefix) {
  return std::string(prefix) + to_base64url(crypto::random_bytes(kCredentialRandomBytes));
}

KeyHash hash_of_credential(std::string_view text) {
  const std::string digest = crypto::sha256(text);
  KeyHash hash{};
  std::copy_n(digest.begin(), hash.size(), hash.begin());
  return hash;
}

std::string bytea_text(const KeyHash& hash) {
  return "\\x" + to_hex(std::string_view(reinterpret_cast<const char*>(hash.data()), hash.size()));
}

std::string hint_of_credential(std::string_view text) {
  return std::string(text.substr(0, kKeyHintCharacters));
}

}  // namespace rowhouse::tenancy
