// JSON Web Signatures of others (RFC 7515, compact form) and the keys that check them (RFC 7517, 7518, 8037).
//
// For tokens of identity providers; our own are identity/tokens.h. What a token says about its own key is
// never used: the key comes from a JwkSet that the caller trusts, and its type decides which algorithms it
// may check, so that neither "none" nor an HMAC with a public key as its secret can pass. Immutable; any
// thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace rowhouse::crypto {

// By RSA (2,048 bits at least) with PKCS #1 v1.5 or PSS, by ECDSA on the curve of that name, by Ed25519.
enum class JwsAlgorithm { rs256, rs384, rs512, ps256, ps384, ps512, es256, es384, eddsa };
// Exactly as RFC 7518 writes it ("RS256"); nullopt for any other text.
std::optional<JwsAlgorithm> parse_jws_algorithm(std::string_view name);
std::string_view jws_algorithm_name(JwsAlgorithm algorithm);

inline constexpr std::size_t kMaxJwsBytes = 64 * 1024;
inline constexpr std::size_t kMaxJwkSetKeys = 100;

struct Jws {
  JwsAlgorithm algorithm = JwsAlgorithm::eddsa;
  std::string kid;   // "" = none
  std::string type;  // "typ" as it stands there; "" = none
  std::string payload;
  std::string signed_text;
  std::string signature;
};

// Not checked yet. nullopt: not of the form, an algorithm that is not accepted, or a header that brings a key
// (jwk, jku, x5c, x5u) or demands what is not understood (crit, b64, zip, enc).
std::optional<Jws> parse_jws(std::string_view compact);

// Public keys of one issuer.
class JwkSet {
 public:
  JwkSet() = default;
  // {"keys": […]}. Keys that cannot check a signature (other types, other uses, too short, not on their
  // curve) are left out; what is no JWK Set at all is nullopt.
  static std::optional<JwkSet> parse(const json::Value& document);

  // Is it signed by a key of this set? Without a kid only when one key alone could have signed it.
  bool verifies(const Jws& jws) const;
  // Could a fresh copy of the set hold a key that this one lacks?
  bool has_key_for(const Jws& jws) const;
  std::size_t size() const { return keys_.size(); }

 private:
  struct Key;
  std::vector<const Key*> keys_for(const Jws& jws) const;
  std::vector<std::shared_ptr<const Key>> keys_;
};

}  // namespace rowhouse::crypto
