// The first line is a token, the rest a JWK Set. Nothing may crash, and nothing that is random may be signed
// by a key of the set that the harness adds itself.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "crypto/ed25519.h"
#include "crypto/jws.h"

namespace {

using namespace rowhouse;

const crypto::JwkSet& own_set() {
  static const crypto::JwkSet set = [] {
    json::Value jwk;
    jwk.set("kty", "OKP");
    jwk.set("crv", "Ed25519");
    jwk.set("kid", "own");
    jwk.set("x", to_base64url(crypto::ed25519_public_key(std::string(crypto::kEd25519KeyBytes, 's'))));
    json::Array keys;
    keys.push_back(std::move(jwk));
    json::Value document;
    document.set("keys", json::Value(std::move(keys)));
    return crypto::JwkSet::parse(document).value_or(crypto::JwkSet());
  }();
  return set;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = input.find('\n');
  const auto jws = crypto::parse_jws(input.substr(0, end));
  if (own_set().size() != 1) std::abort();
  if (jws) {
    // Nobody signs with that key here.
    if (own_set().verifies(*jws)) std::abort();
    if (jws->signature.empty()) std::abort();
  }
  if (end == std::string_view::npos) return 0;
  const auto document = json::parse(input.substr(end + 1));
  if (!document.ok()) return 0;
  const auto set = crypto::JwkSet::parse(*document);
  if (set && jws && set->verifies(*jws) && !set->has_key_for(*jws)) std::abort();
  return 0;
}
