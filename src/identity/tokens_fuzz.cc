// Access tokens: whatever arrives, it is refused or it is what a signer of ours has made.
//
// The input is tried three ways: as a token, as the claims of a token that is signed with the right key, and
// as the header of one. What is accepted must come out of signing its claims again as an equal token.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "crypto/ed25519.h"
#include "identity/tokens.h"

namespace identity = rowhouse::identity;
using rowhouse::to_base64url;
using rowhouse::WallTime;

namespace {

const std::string& seed() {
  static const std::string bytes(rowhouse::crypto::kEd25519KeyBytes, 's');
  return bytes;
}

constexpr const char* kKid = "fuzz";
const WallTime kNow = WallTime(std::chrono::seconds(1'700'000'000));

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const identity::TokenVerifier& verifier, const std::string& token) {
  const auto claims = verifier.verify(token, kNow);
  if (!claims.ok()) {
    require(claims.error().code == rowhouse::ErrorCode::credential_unknown);
    return;
  }
  require(claims->expires_at > claims->issued_at);
  const identity::TokenSigner signer(identity::TokenOptions(), identity::SigningKey{kKid, seed()});
  const auto again = verifier.verify(signer.sign(*claims), kNow);
  require(again.ok() && *again == *claims);
}

std::string signed_token(std::string_view header, std::string_view payload) {
  const std::string text = to_base64url(header) + "." + to_base64url(payload);
  return text + "." + to_base64url(rowhouse::crypto::ed25519_sign(seed(), text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const identity::TokenVerifier verifier(
      identity::TokenOptions(),
      {identity::VerificationKey{kKid, rowhouse::crypto::ed25519_public_key(seed())}});
  check(verifier, std::string(text));
  check(verifier, signed_token(R"({"alg":"EdDSA","kid":"fuzz","typ":"at+jwt"})", text));
  check(verifier, signed_token(text, R"({"iss":"rowhouse"})"));
  return 0;
}
