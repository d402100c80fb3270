#include "identity/tokens.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/ed25519.h"

namespace rowhouse::identity {

namespace {

constexpr std::string_view kAlgorithm = "EdDSA";
constexpr std::size_t kMaxKeyIdCharacters = 64;
constexpr std::size_t kMaxRoleBytes = 63;
constexpr std::size_t kParts = 3;
// An object of plain members is all that header and claims are.
constexpr std::size_t kMaxTokenDepth = 2;
constexpr std::size_t kHeaderMembers = 3;
// However long tokens were to live when this one was signed.
constexpr std::chrono::hours kLongestLife{1};
// A WallTime counts nanoseconds, which fit until 2262.
constexpr std::int64_t kMaxTimeS = 7'258'118'400;  // the year 2200

Error refused() {
  return Error(ErrorCode::credential_unknown, "the access token is not valid, or no longer");
}

std::int64_t seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::string_view text_of(const json::Value& object, std::string_view name) {
  const json::Value* member = object.find(name);
  const std::string* text = member != nullptr ? member->as_string() : nullptr;
  return text != nullptr ? std::string_view(*text) : std::string_view();
}

std::optional<Uuid> uuid_of(const json::Value& object, std::string_view name) {
  const auto id = Uuid::parse(text_of(object, name));
  // One spelling only, and nobody has the nil id.
  if (!id || id->is_nil() || id->to_string() != text_of(object, name)) return std::nullopt;
  return id;
}

std::optional<WallTime> time_of(const json::Value& object, std::string_view name) {
  const json::Value* member = object.find(name);
  const auto value = member != nullptr ? member->as_int64() : std::nullopt;
  if (!value || *value < 0 || *value > kMaxTimeS) return std::nullopt;
  return WallTime(std::chrono::seconds(*value));
}

std::optional<json::Value> decoded(std::string_view part) {
  const auto text = from_base64url(part);
  if (!text) return std::nullopt;
  auto value = json::parse(*text, kMaxTokenDepth);
  if (!value.ok() || value->as_object() == nullptr) return std::nullopt;
  return std::move(value).value();
}

// The key id of a header that is exactly ours. Whatever else a header may say about keys (jwk, jku, x5u,
// crit, …) is refused unread.
std::optional<std::string> key_id_of(std::string_view part) {
  const auto header = decoded(part);
  if (!header || header->as_object()->size() != kHeaderMembers) return std::nullopt;
  if (text_of(*header, "alg") != kAlgorithm || text_of(*header, "typ") != kAccessTokenType)
    return std::nullopt;
  const std::string_view kid = text_of(*header, "kid");
  if (!is_key_id(kid)) return std::nullopt;
  return std::string(kid);
}

bool is_role(std::string_view text) {
  return !text.empty() && text.size() <= kMaxRoleBytes && is_valid_utf8(text) &&
         std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; });
}

std::optional<AccessClaims> claims_of(const json::Value& payload, const TokenOptions& options) {
  if (text_of(payload, "iss") != options.issuer) return std::nullopt;
  const auto token = uuid_of(payload, "jti");
  const auto user = uuid_of(payload, "sub");
  const auto session = uuid_of(payload, "sid");
  const auto issued_at = time_of(payload, "iat");
  const auto expires_at = time_of(payload, "exp");
  const std::string_view role = text_of(payload, "role");
  if (!token || !user || !session || !issued_at || !expires_at || !is_role(role)) return std::nullopt;
  AccessClaims claims;
  claims.token = *token;
  claims.user = *user;
  claims.session = *session;
  claims.issued_at = *issued_at;
  claims.expires_at = *expires_at;
  claims.role = role;
  // Who it is for and whether it names a tenant must agree: neither kind can pass for the other.
  const std::string_view audience = text_of(payload, "aud");
  if (audience == kTenantAudience) {
    claims.tenant = uuid_of(payload, "tid");
    if (!claims.tenant) return std::nullopt;
    return claims;
  }
  if (audience != kPlatformAudience || payload.find("tid") != nullptr) return std::nullopt;
  return claims;
}

bool is_current(const AccessClaims& claims, WallTime now, std::chrono::seconds skew) {
  if (claims.expires_at <= claims.issued_at || claims.expires_at - claims.issued_at > kLongestLife)
    return false;
  return now < claims.expires_at + skew && claims.issued_at <= now + skew;
}

}  // namespace

bool is_key_id(std::string_view text) {
  return !text.empty() && text.size() <= kMaxKeyIdCharacters &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

TokenSigner::TokenSigner(TokenOptions options, SigningKey key)
    : options_(std::move(options)), key_(std::move(key)) {}
TokenSigner::~TokenSigner() { crypto::wipe(key_.seed); }

std::string TokenSigner::sign(const AccessClaims& claims) const {
  json::Value header;
  header.set("alg", kAlgorithm);
  header.set("kid", key_.kid);
  header.set("typ", kAccessTokenType);
  json::Value payload;
  payload.set("iss", options_.issuer);
  payload.set("aud", claims.tenant ? kTenantAudience : kPlatformAudience);
  payload.set("sub", claims.user.to_string());
  if (claims.tenant) payload.set("tid", claims.tenant->to_string());
  payload.set("role", claims.role);
  payload.set("sid", claims.session.to_string());
  payload.set("jti", claims.token.to_string());
  payload.set("iat", seconds(claims.issued_at));
  payload.set("exp", seconds(claims.expires_at));
  std::string token = to_base64url(json::serialize(header)) + "." + to_base64url(json::serialize(payload));
  const std::string signature = crypto::ed25519_sign(key_.seed, token);
  return token + "." + to_base64url(signature);
}

TokenVerifier::TokenVerifier(TokenOptions options, const std::vector<VerificationKey>& keys)
    : options_(std::move(options)) {
  for (const VerificationKey& key : keys) keys_.emplace(key.kid, key);
}

Result<AccessClaims> TokenVerifier::verify(std::string_view token, WallTime now) const {
  if (!has_access_token_form(token)) return refused();
  const auto parts = split(token, '.');
  const auto kid = key_id_of(parts[0]);
  if (!kid) return refused();
  const auto key = keys_.find(*kid);
  const auto signature = from_base64url(parts[2]);
  if (key == keys_.end() || !signature) return refused();
  if (key->second.accepted_until && now >= *key->second.accepted_until) return refused();
  const std::string_view signed_text = token.substr(0, parts[0].size() + 1 + parts[1].size());
  if (!crypto::ed25519_verify(key->second.public_key, signed_text, *signature)) return refused();
  const auto payload = decoded(parts[1]);
  if (!payload) return refused();
  auto claims = claims_of(*payload, options_);
  if (!claims) return refused();
  if (!is_current(*claims, now, options_.clock_skew)) {
    const bool was_good = is_current(*claims, claims->issued_at, options_.clock_skew);
    return was_good && now > claims->issued_at ? refused().with_detail(std::string(kTokenExpired), "yes")
                                               : refused();
  }
  return std::move(*claims);
}

bool has_access_token_form(std::string_view text) {
  if (text.size() > kMaxAccessTokenBytes) return false;
  const auto parts = split(text, '.');
  return parts.size() == kParts &&
         std::none_of(parts.begin(), parts.end(), [](std::string_view part) { return part.empty(); });
}

json::Value jwks(const std::vector<VerificationKey>& keys) {
  json::Array list;
  for (const VerificationKey& key : keys) {
    json::Value jwk;
    jwk.set("kty", "OKP");
    jwk.set("crv", "Ed25519");
    jwk.set("use", "sig");
    jwk.set("alg", kAlgorithm);
    jwk.set("kid", key.kid);
    jwk.set("x", to_base64url(key.public_key));
    list.push_back(std::move(jwk));
  }
  json::Value set;
  set.set("keys", json::Value(std::move(list)));
  return set;
}

}  // namespace rowhouse::identity
