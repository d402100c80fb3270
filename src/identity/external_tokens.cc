#include "identity/external_tokens.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "crypto/jws.h"
#include "identity/external_claims.h"

namespace rowhouse::identity {

namespace {

constexpr std::chrono::minutes kBelievedFor{5};

Error refused() {
  return Error(ErrorCode::credential_unknown, "the access token is not valid, or no longer");
}

std::string text_of(const json::Value& object, std::string_view name) {
  const json::Value* member = object.find(name);
  const std::string* text = member != nullptr ? member->as_string() : nullptr;
  return text != nullptr ? *text : std::string();
}

std::vector<std::string> audiences_of(const json::Value& claims) {
  std::vector<std::string> audiences;
  const json::Value* audience = claims.find("aud");
  if (audience == nullptr) return audiences;
  if (const std::string* text = audience->as_string()) audiences.push_back(*text);
  if (audience->as_array() == nullptr) return audiences;
  for (const json::Value& each : *audience->as_array()) {
    if (each.as_string() != nullptr) audiences.push_back(*each.as_string());
  }
  return audiences;
}

}  // namespace

Task<Result<AccessClaims>> ExternalTokens::verify(std::string token, CallOptions options) {
  auto jws = crypto::parse_jws(token);
  if (!jws || !is_access_token_type(jws->type)) co_return refused();
  // Not believed yet: it only says whom to ask.
  const auto said = json::parse(jws->payload);
  if (!said.ok() || said->as_object() == nullptr) co_return refused();
  std::string issuer = text_of(*said, "iss");
  if (issuer.empty() || issuer == options_.issuer) co_return refused();
  auto provider = co_await providers_.of_token(std::move(issuer), audiences_of(*said), options);
  if (!provider.ok() && provider.error().code == ErrorCode::not_found) co_return refused();
  if (!provider.ok()) co_return std::move(provider).error();
  auto claims = co_await issuers_.claims(provider->settings.issuer, std::move(*jws), options);
  if (!claims.ok() && claims.error().code == ErrorCode::credential_unknown) co_return refused();
  if (!claims.ok()) co_return std::move(claims).error();
  const WallTime now = clock_.now();
  const auto end = access_token_end(*claims, *provider, now, options_.clock_skew);
  const auto person = person_of(*claims, provider->settings);
  if (!end || !person) co_return refused();
  auto user = co_await users_.known(provider->id, person->subject, options);
  if (!user.ok() && user.error().code == ErrorCode::not_found) co_return refused();
  if (!user.ok()) co_return std::move(user).error();
  AccessClaims access;
  access.token = Uuid::make_v7(now);
  access.user = *user;
  access.session = provider->id;
  access.tenant = provider->tenant;
  access.issued_at = std::chrono::floor<std::chrono::seconds>(now);
  access.expires_at = std::min<WallTime>(*end, std::chrono::floor<std::chrono::seconds>(now + kBelievedFor));
  co_return access;
}

}  // namespace rowhouse::identity
