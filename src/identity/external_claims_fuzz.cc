// A JSON document as the claims of an ID token, of an access token, and as the metadata of a provider. What
// is accepted must be for this provider; nothing may crash.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "identity/external_claims.h"
#include "identity/external_issuers.h"

namespace {

using namespace rowhouse;
using namespace rowhouse::identity;

constexpr std::chrono::seconds kSkew{30};

Provider provider() {
  Provider provider;
  provider.settings.issuer = "https://id.acme.example";
  provider.settings.client_id = "rowhouse";
  provider.settings.token_audience = "urn:rows";
  provider.settings.groups_claim = "realm_access.roles";
  provider.settings.role_mapping = {GroupRole{"boss", "admin"}};
  return provider;
}

void require(bool held) {
  if (!held) std::abort();
}

bool is_text(const json::Value& claims, std::string_view name, std::string_view text) {
  const json::Value* member = claims.find(name);
  return member != nullptr && *member == json::Value(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto document = json::parse(input);
  if (!document.ok()) return 0;
  static const Provider known = provider();
  const WallTime now{std::chrono::seconds(1'800'000'000)};
  const json::Value& claims = *document;

  if (is_id_token_for(claims, known, "n", now, kSkew)) {
    require(is_text(claims, "iss", known.settings.issuer) && is_text(claims, "nonce", "n"));
    require(claims.find("exp") != nullptr && claims.find("iat") != nullptr && claims.find("aud") != nullptr);
  }
  if (const auto end = access_token_end(claims, known, now, kSkew)) {
    require(is_text(claims, "iss", known.settings.issuer) && *end + kSkew > now);
    require(claims.find("cnf") == nullptr && claims.find("nonce") == nullptr);
  }
  if (const auto person = person_of(claims, known.settings)) {
    require(!person->subject.empty() && person->subject.size() <= kMaxSubjectBytes);
    require(is_valid_utf8(person->subject) && person->groups.size() <= kMaxGroups);
    require(person->verified == ExternalPerson::Verified::no || !person->email.empty());
    const std::string role = role_of(*person, known.settings);
    require(role.empty() || role == "admin");
  }
  const auto metadata = parse_issuer_metadata(claims, known.settings.issuer, net::Reach::any_address);
  if (metadata.ok()) {
    for (const std::string& url :
         {metadata->authorization_endpoint, metadata->token_endpoint, metadata->jwks_uri}) {
      require(url.starts_with("https://"));
    }
  }
  return 0;
}
