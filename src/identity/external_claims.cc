#include "identity/external_claims.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "identity/users_impl.h"

namespace rowhouse::identity {

namespace {

constexpr std::int64_t kMaxTimeS = 7'258'118'400;  // the year 2200

std::string_view text_of(const json::Value& object, std::string_view name) {
  const json::Value* member = object.find(name);
  const std::string* text = member != nullptr ? member->as_string() : nullptr;
  return text != nullptr ? std::string_view(*text) : std::string_view();
}

// Some write fractions of seconds; those before the point count.
std::optional<WallTime> time_of(const json::Value& object, std::string_view name) {
  const json::Value* member = object.find(name);
  const json::Number* number = member != nullptr ? member->as_number() : nullptr;
  if (number == nullptr) return std::nullopt;
  const auto value = parse_int64(std::string_view(number->text).substr(0, number->text.find('.')));
  if (!value || *value < 0 || *value > kMaxTimeS) return std::nullopt;
  return WallTime(std::chrono::seconds(*value));
}

// A member, or one inside objects.
const json::Value* claim(const json::Value& claims, std::string_view name) {
  if (name.empty()) return nullptr;
  if (const json::Value* member = claims.find(name)) return member;
  const json::Value* at = &claims;
  for (const std::string_view part : split(name, '.')) {
    at = at->find(part);
    if (at == nullptr) return nullptr;
  }
  return at;
}

std::optional<std::vector<std::string>> texts_of(const json::Value& value) {
  std::vector<std::string> texts;
  if (const std::string* text = value.as_string()) {
    texts.push_back(*text);
    return texts;
  }
  if (value.as_array() == nullptr) return std::nullopt;
  for (const json::Value& element : *value.as_array()) {
    if (texts.size() >= kMaxGroups) break;
    if (element.as_string() != nullptr) texts.push_back(*element.as_string());
  }
  return texts;
}

// "aud" may be one text or a list of them.
std::vector<std::string> audiences_of(const json::Value& claims) {
  const json::Value* audience = claims.find("aud");
  if (audience == nullptr) return {};
  return texts_of(*audience).value_or(std::vector<std::string>());
}

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// Nothing of the future, nothing of the past.
bool is_current(const json::Value& claims, WallTime now, std::chrono::seconds skew) {
  const auto expires_at = time_of(claims, "exp");
  if (!expires_at || now >= *expires_at + skew) return false;
  for (const char* name : {"nbf", "iat"}) {
    if (claims.find(name) == nullptr) continue;
    const auto time = time_of(claims, name);
    if (!time || *time > now + skew) return false;
  }
  return true;
}

bool is_plain_text(std::string_view text) {
  return is_valid_utf8(text) &&
         std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; });
}

bool is_true(const json::Value* value) {
  if (value == nullptr) return false;
  // Some write it as a text.
  return value->as_bool() != nullptr ? *value->as_bool() : *value == json::Value("true");
}

}  // namespace

bool is_id_token_type(std::string_view type) { return type.empty() || equals_ignoring_case(type, "JWT"); }

bool is_access_token_type(std::string_view type) {
  return is_id_token_type(type) || equals_ignoring_case(type, "at+jwt") ||
         equals_ignoring_case(type, "application/at+jwt");
}

bool is_id_token_for(const json::Value& claims, const Provider& provider, std::string_view nonce,
                     WallTime now, std::chrono::seconds skew) {
  const std::string& client = provider.settings.client_id;
  if (text_of(claims, "iss") != provider.settings.issuer || provider.settings.issuer.empty()) return false;
  const auto audiences = audiences_of(claims);
  if (!contains(audiences, client)) return false;
  // One that is for several must say for whom it was made.
  const json::Value* party = claims.find("azp");
  if (audiences.size() > 1 && party == nullptr) return false;
  if (party != nullptr && *party != json::Value(client)) return false;
  if (claims.find("iat") == nullptr || !is_current(claims, now, skew)) return false;
  return !nonce.empty() && crypto::constant_time_equal(text_of(claims, "nonce"), nonce);
}

std::optional<WallTime> access_token_end(const json::Value& claims, const Provider& provider, WallTime now,
                                         std::chrono::seconds skew) {
  if (text_of(claims, "iss") != provider.settings.issuer || provider.settings.issuer.empty())
    return std::nullopt;
  const std::string& audience = provider.settings.token_audience;
  if (audience.empty() || !contains(audiences_of(claims), audience)) return std::nullopt;
  // An ID token, or one that only the holder of a key may use.
  if (claims.find("nonce") != nullptr || claims.find("cnf") != nullptr) return std::nullopt;
  if (!is_current(claims, now, skew)) return std::nullopt;
  return time_of(claims, "exp");
}

std::optional<ExternalPerson> person_of(const json::Value& claims, const ProviderSettings& settings) {
  ExternalPerson person;
  person.subject = text_of(claims, "sub");
  if (person.subject.empty() || person.subject.size() > kMaxSubjectBytes || !is_plain_text(person.subject))
    return std::nullopt;
  const json::Value* email = claim(claims, settings.email_claim);
  if (email != nullptr && email->as_string() != nullptr) {
    person.email = clean_email(*email->as_string()).value_or("");
  }
  // It is about the claim "email" alone.
  const bool verified = settings.email_claim == "email" && is_true(claims.find("email_verified"));
  if (verified && !person.email.empty()) person.verified = ExternalPerson::Verified::yes;
  const std::string_view name = text_of(claims, "name");
  if (is_plain_text(name) && utf8_length(name) <= kMaxUserNameCharacters) person.name = name;
  if (const json::Value* groups = claim(claims, settings.groups_claim)) {
    if (auto list = texts_of(*groups)) {
      person.groups = std::move(*list);
      person.knows_groups = ExternalPerson::Groups::known;
    }
  }
  return person;
}

std::string role_of(const ExternalPerson& person, const ProviderSettings& settings) {
  for (const GroupRole& rule : settings.role_mapping) {
    if (contains(person.groups, rule.group)) return rule.role;
  }
  return settings.default_role;
}

bool is_in_domains(std::string_view email, const std::vector<std::string>& domains) {
  const std::size_t at = email.rfind('@');
  if (at == std::string_view::npos) return false;
  return contains(domains, to_lower_ascii(email.substr(at + 1)));
}

}  // namespace rowhouse::identity
