#include "identity/sso.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/jws.h"
#include "crypto/seal.h"
#include "identity/attempts.h"
#include "tenancy/api_key.h"

namespace rowhouse::identity {

namespace {

constexpr std::string_view kStatePrefix = "rhs_";
constexpr std::string_view kBrowserPrefix = "rhb_";
constexpr std::size_t kNonceBytes = 32;
constexpr std::size_t kVerifierBytes = 48;  // 64 characters: RFC 7636 wants 43 to 128
constexpr std::size_t kMaxReturnBytes = 500;
constexpr std::size_t kMaxNameBytes = 254;
constexpr std::size_t kMaxCodeBytes = 4'096;
constexpr int kMaxUnderWayPerAddress = 1'000;

// $1 hash of the state, $2 provider, $3 hash of the browser's secret, $4 sealed, $5 address, $6 end, $7 now,
// $8 how many others one address may have.
constexpr std::string_view kBeginSql = R"(
INSERT INTO identity.sso_logins (state_hash, provider_id, browser_hash, sealed, address, expires_at)
SELECT $1::bytea, p.id, $3::bytea, $4::bytea, $5::text, $6::timestamptz FROM identity.identity_providers p
WHERE p.id = $2::uuid AND p.status = 'active' AND (SELECT count(*) FROM identity.sso_logins l
  WHERE l.address = $5::text AND l.expires_at > $7::timestamptz) < $8::bigint RETURNING provider_id)";

constexpr std::string_view kTakeSql = R"(
DELETE FROM identity.sso_logins WHERE state_hash = $1::bytea AND browser_hash = $2::bytea
  AND expires_at > $3::timestamptz RETURNING provider_id, pg_catalog.encode(sealed, 'hex'))";

constexpr std::string_view kPruneSql = "DELETE FROM identity.sso_logins WHERE expires_at <= $1::timestamptz";

Error refused(std::string why) { return Error(ErrorCode::credential_unknown, std::move(why)); }

std::string text_of(const json::Value& object, std::string_view name) {
  const json::Value* member = object.find(name);
  const std::string* text = member != nullptr ? member->as_string() : nullptr;
  return text != nullptr ? *text : std::string();
}

std::string hash_parameter(const std::string& credential) {
  return tenancy::bytea_text(tenancy::hash_of_credential(credential));
}

std::string sealed_context(const std::string& state) { return "sso login " + to_hex(crypto::sha256(state)); }

// "a=1&b=2", percent-encoded.
class Form {
 public:
  Form& add(std::string_view name, std::string_view value) {
    text_ += text_.empty() ? "" : "&";
    text_ += percent_encode(name) + "=" + percent_encode(value);
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// RFC 4648, section 4: what HTTP's Basic wants.
std::string to_base64(std::string_view bytes) {
  std::string text = to_base64url(bytes);
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  constexpr std::size_t kGroup = 4;
  while (text.size() % kGroup != 0) text.push_back('=');
  return text;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

bool has_feature(const tenancy::Tenant& tenant) {
  return tenant.plan() != nullptr && tenant.plan()->features.contains(kSsoFeature);
}

}  // namespace

bool is_local_path(std::string_view path) {
  // "//host" and "/\host" are other hosts to browsers.
  return path.starts_with('/') && path.size() <= kMaxReturnBytes && !path.starts_with("//") &&
         std::all_of(path.begin(), path.end(), [](char c) { return c > ' ' && c < 0x7f && c != '\\'; });
}

// A sign-in that somebody comes back from.
struct SingleSignOn::Begun {
  Provider provider;
  std::string nonce, verifier, return_to;
};

SingleSignOn::SingleSignOn(pg::Pool& identity, tenancy::Registry& registry, audit::Trail& trail,
                           ProviderService& providers, ExternalIssuers& issuers, ExternalUsers& users,
                           SessionService& sessions, const Clock& clock, SsoOptions options,
                           std::string seal_key)
    : identity_(identity),
      registry_(registry),
      trail_(trail),
      providers_(providers),
      issuers_(issuers),
      users_(users),
      sessions_(sessions),
      clock_(clock),
      options_(std::move(options)),
      seal_key_(std::move(seal_key)) {}

Task<Result<void>> prune_sso_logins(pg::Pool& identity, WallTime now, CallOptions options) {
  pg::Params params;
  params.emplace_back(to_rfc3339(now));
  const pg::Statement statement(std::string(kPruneSql), std::move(params), pg::Access::write);
  CO_TRY_DO(co_await identity.run(nullptr, statement, options));
  co_return Result<void>();
}

Error SingleSignOn::refuse(Error error, const std::optional<Uuid>& tenant, const Origin& origin) {
  if (error.code != ErrorCode::credential_unknown) return error;
  audit::SecurityEvent event(audit::SecurityEventKind::login_failed);
  event.tenant = tenant;
  event.detail = "single sign-on: " + error.message;
  event.address = origin.address;
  event.agent = origin.agent;
  event.request_id = origin.request_id;
  trail_.record(std::move(event));
  return Error(ErrorCode::credential_unknown, "the sign-in did not succeed; start again");
}

// --------------------------------------------------------------------------------------------------- start

Task<Result<std::optional<SingleSignOn::Found>>> SingleSignOn::find(Wanted wanted, CallOptions options) {
  std::optional<Found> nobody;
  if (wanted.email.size() > kMaxNameBytes || wanted.tenant.size() > kMaxNameBytes) co_return nobody;
  std::optional<Result<Provider>> provider;
  std::string tenant_name = std::move(wanted.tenant);
  if (!wanted.email.empty()) {
    const std::size_t at = wanted.email.rfind('@');
    if (at == std::string::npos) co_return nobody;
    std::string domain = wanted.email.substr(at + 1);
    provider.emplace(co_await providers_.of_domain(std::move(domain), options));
    if (provider->ok()) tenant_name = (*provider)->tenant.to_string();
  }
  auto tenant = co_await registry_.find_tenant(tenant_name, options);
  if (!tenant.ok() && tenant.error().code == ErrorCode::not_found) co_return nobody;
  if (!tenant.ok()) co_return std::move(tenant).error();
  if (!provider) provider.emplace(co_await providers_.of_tenant((*tenant)->id, options));
  if (!provider->ok() && provider->error().code == ErrorCode::not_found) co_return nobody;
  if (!provider->ok()) co_return provider->error();
  if ((*tenant)->status != tenancy::TenantStatus::active || !has_feature(**tenant)) co_return nobody;
  nobody.emplace(Found{std::move(tenant).value(), std::move(*provider).value()});
  co_return nobody;
}

Task<Result<SingleSignOn::Started>> SingleSignOn::start(Wanted wanted, std::string return_to, Origin origin,
                                                        CallOptions options) {
  if (return_to.empty()) return_to = kSsoDefaultReturn;
  if (!is_local_path(return_to)) {
    co_return Error(ErrorCode::validation_failed, "the way back is not valid")
        .with_field("/return_to", "must be a path of this installation");
  }
  const std::string hint = wanted.email;
  CO_TRY(const auto found, co_await find(std::move(wanted), options));
  if (!found) co_return Error(ErrorCode::not_found, "there is no single sign-on for that");
  const Provider& provider = found->provider;
  CO_TRY(const auto metadata, co_await issuers_.metadata(provider.settings.issuer, options));

  const std::string state = tenancy::make_credential(kStatePrefix);
  const std::string nonce = to_base64url(crypto::random_bytes(kNonceBytes));
  const std::string verifier = to_base64url(crypto::random_bytes(kVerifierBytes));
  Started started;
  started.browser = tenancy::make_credential(kBrowserPrefix);
  json::Value kept;
  kept.set("nonce", nonce);
  kept.set("verifier", verifier);
  kept.set("return_to", return_to);
  const WallTime now = clock_.now();
  pg::Params params;
  params.emplace_back(hash_parameter(state));
  params.emplace_back(provider.id.to_string());
  params.emplace_back(hash_parameter(started.browser));
  params.emplace_back("\\x" + to_hex(crypto::seal(seal_key_, sealed_context(state), json::serialize(kept))));
  params.emplace_back(address_key(origin.address));
  params.emplace_back(to_rfc3339(now + kSignInLife));
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(std::to_string(kMaxUnderWayPerAddress));
  const pg::Statement statement(std::string(kBeginSql), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  if (rows.size() == 0) {
    co_return Error(ErrorCode::rate_limited, "too many sign-ins have begun from this address")
        .with_detail(std::string(kRetryAfterS), std::to_string(std::chrono::seconds(kSignInLife).count()));
  }
  Form query;
  query.add("response_type", "code").add("client_id", provider.settings.client_id);
  query.add("redirect_uri", redirect_uri()).add("scope", joined(provider.settings.scopes));
  query.add("state", state).add("nonce", nonce);
  query.add("code_challenge", to_base64url(crypto::sha256(verifier))).add("code_challenge_method", "S256");
  if (!hint.empty()) query.add("login_hint", hint);
  const std::string& endpoint = metadata.authorization_endpoint;
  started.url = endpoint + (endpoint.find('?') == std::string::npos ? "?" : "&") + query.text();
  co_return started;
}

// -------------------------------------------------------------------------------------------------- finish

// The sign-in that this state and this browser began; nobody can take it again.
Task<Result<SingleSignOn::Begun>> SingleSignOn::take(const Answer& answer, const std::string& browser,
                                                     CallOptions options) {
  if (!tenancy::has_credential_form(answer.state, kStatePrefix)) co_return refused("no state of ours");
  if (!tenancy::has_credential_form(browser, kBrowserPrefix)) co_return refused("not the browser that began");
  pg::Params params;
  params.emplace_back(hash_parameter(answer.state));
  params.emplace_back(hash_parameter(browser));
  params.emplace_back(to_rfc3339(clock_.now()));
  const pg::Statement statement(std::string(kTakeSql), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  if (rows.size() == 0) co_return refused("the state is used, expired or of another browser");
  const auto sealed = from_hex(rows.text(0, 1));
  const auto text = sealed ? crypto::open_sealed(seal_key_, sealed_context(answer.state), *sealed)
                           : std::optional<std::string>();
  if (!text) co_return refused("the sign-in cannot be opened");
  CO_TRY(const auto kept, json::parse(*text));
  auto provider = co_await providers_.by_id(Uuid::parse(rows.text(0, 0)).value_or(Uuid()), options);
  if (!provider.ok() && provider.error().code == ErrorCode::not_found)
    co_return refused("the provider has gone");
  if (!provider.ok()) co_return std::move(provider).error();
  Begun begun;
  begun.provider = std::move(provider).value();
  begun.nonce = text_of(kept, "nonce");
  begun.verifier = text_of(kept, "verifier");
  begun.return_to = text_of(kept, "return_to");
  co_return begun;
}

Task<Result<json::Value>> SingleSignOn::id_token_claims(const Begun& begun, const Answer& answer,
                                                        CallOptions options) {
  const ProviderSettings& settings = begun.provider.settings;
  CO_TRY(const auto metadata, co_await issuers_.metadata(settings.issuer, options));
  const bool must_name_itself = metadata.names_itself == IssuerMetadata::NamesItself::yes;
  if ((must_name_itself || !answer.issuer.empty()) && answer.issuer != settings.issuer)
    co_return refused("the answer names another issuer");
  Form form;
  form.add("grant_type", "authorization_code").add("code", answer.code);
  form.add("redirect_uri", redirect_uri()).add("code_verifier", begun.verifier);
  std::string authorization;
  const bool in_header = metadata.client_secret == IssuerMetadata::ClientSecret::in_header;
  if (settings.client_secret && in_header) {
    // Each half form-encoded first: RFC 6749, section 2.3.1.
    authorization = "Basic " + to_base64(percent_encode(settings.client_id) + ":" +
                                         percent_encode(*settings.client_secret));
  } else {
    form.add("client_id", settings.client_id);
    if (settings.client_secret) form.add("client_secret", *settings.client_secret);
  }
  auto tokens =
      co_await issuers_.post_form(metadata.token_endpoint, form.text(), std::move(authorization), options);
  if (!tokens.ok() && tokens.error().code == ErrorCode::identity_provider_failed)
    co_return refused("the code was not exchanged: " + tokens.error().message);
  if (!tokens.ok()) co_return std::move(tokens).error();
  auto jws = crypto::parse_jws(text_of(*tokens, "id_token"));
  if (!jws || !is_id_token_type(jws->type)) co_return refused("the ID token is not of an accepted form");
  auto claims = co_await issuers_.claims(settings.issuer, std::move(*jws), options);
  if (!claims.ok() && claims.error().code == ErrorCode::credential_unknown)
    co_return refused("the ID token is not signed by the issuer");
  if (!claims.ok()) co_return std::move(claims).error();
  if (!is_id_token_for(*claims, begun.provider, begun.nonce, clock_.now(), options_.clock_skew))
    co_return refused("the ID token is not for this sign-in");
  // What the ID token leaves out, userinfo may say; it must be about the same person.
  const auto said = person_of(*claims, settings);
  const bool is_whole =
      said && !said->email.empty() &&
      (settings.role_mapping.empty() || said->knows_groups == ExternalPerson::Groups::known);
  std::string access_token = text_of(*tokens, "access_token");
  if (!said || is_whole || metadata.userinfo_endpoint.empty() || access_token.empty()) co_return claims;
  auto more = co_await issuers_.get(metadata.userinfo_endpoint, std::move(access_token), options);
  if (!more.ok() && more.error().code == ErrorCode::identity_provider_failed)
    co_return refused("userinfo did not answer: " + more.error().message);
  if (!more.ok()) co_return std::move(more).error();
  if (text_of(*more, "sub") != said->subject) co_return refused("userinfo is about somebody else");
  // An address and whether it is verified belong together.
  if (!said->email.empty()) more->set("email_verified", json::Value(false));
  for (const auto& [name, value] : *claims->as_object()) more->set(name, value);
  co_return more;
}

Task<Result<ExternalPerson>> SingleSignOn::person(const Begun& begun, const Answer& answer,
                                                  CallOptions options) {
  if (!answer.error.empty()) co_return refused("the provider refused");
  if (answer.code.empty() || answer.code.size() > kMaxCodeBytes) co_return refused("there is no code");
  CO_TRY(const auto claims, co_await id_token_claims(begun, answer, options));
  auto found = person_of(claims, begun.provider.settings);
  if (!found) co_return refused("the ID token names nobody");
  co_return std::move(*found);
}

Task<Result<SingleSignOn::Finished>> SingleSignOn::admit(const Begun& begun, const Answer& answer,
                                                         const Origin& origin, CallOptions options) {
  CO_TRY(auto who, co_await person(begun, answer, options));
  auto tenant = co_await registry_.find_tenant(begun.provider.tenant.to_string(), options);
  if (!tenant.ok() && tenant.error().code == ErrorCode::not_found) co_return refused("the tenant has gone");
  if (!tenant.ok()) co_return std::move(tenant).error();
  if ((*tenant)->status == tenancy::TenantStatus::suspended) {
    co_return Error(ErrorCode::tenant_suspended, "the tenant is suspended; its rows are kept");
  }
  if ((*tenant)->status != tenancy::TenantStatus::active) co_return refused("the tenant has gone");
  if (!has_feature(**tenant)) {
    co_return Error(ErrorCode::feature_missing, "the tenant's plan does not include sso:enabled");
  }
  CO_TRY(const Uuid user, co_await users_.member(begun.provider, *tenant, std::move(who),
                                                 address_text(origin.address), options));
  Finished finished;
  CO_TRY(finished.signed_in, co_await sessions_.sign_in_external(user, std::move(tenant).value(),
                                                                 begun.provider.id, origin, options));
  finished.return_to = begun.return_to;
  co_return finished;
}

Task<Result<SingleSignOn::Finished>> SingleSignOn::finish(Answer answer, std::string browser, Origin origin,
                                                          CallOptions options) {
  auto begun = co_await take(answer, browser, options);
  if (!begun.ok()) co_return refuse(std::move(begun).error(), std::nullopt, origin);
  auto finished = co_await admit(*begun, answer, origin, options);
  if (finished.ok()) co_return finished;
  const std::optional<Uuid> tenant = begun->provider.tenant;
  co_return refuse(std::move(finished).error(), tenant, origin);
}

Task<Result<ExternalIssuers::Report>> SingleSignOn::test(std::shared_ptr<const tenancy::Tenant> tenant,
                                                         CallOptions options) {
  CO_TRY(const auto provider, co_await providers_.get(std::move(tenant), options));
  co_return co_await issuers_.probe(provider.settings.issuer, options);
}

}  // namespace rowhouse::identity
