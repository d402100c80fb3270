#include "identity/external_issuers.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/text.h"
#include "tenancy/lru_map.h"

namespace rowhouse::identity {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kMetadataLife = 10min;
constexpr auto kLeftAloneFor = 5s;
constexpr std::size_t kMaxIssuers = 1'000;
constexpr std::size_t kMaxAtATime = 2;  // requests to one issuer under way
constexpr std::string_view kDiscoveryPath = "/.well-known/openid-configuration";

Error failed(std::string what) { return Error(ErrorCode::identity_provider_failed, std::move(what)); }

std::string text_of(const json::Value& object, std::string_view name) {
  const json::Value* member = object.find(name);
  const std::string* text = member != nullptr ? member->as_string() : nullptr;
  return text != nullptr ? *text : std::string();
}

bool lists(const json::Value& object, std::string_view name, std::string_view word) {
  const json::Value* list = object.find(name);
  if (list == nullptr || list->as_array() == nullptr) return false;
  return std::find(list->as_array()->begin(), list->as_array()->end(), json::Value(word)) !=
         list->as_array()->end();
}

struct Remembered {
  std::optional<IssuerMetadata> metadata;
  std::optional<crypto::JwkSet> keys;
  Clock::time_point metadata_at, keys_at;
  Clock::time_point left_alone_until;
  std::string failure;
  std::size_t under_way = 0;
};

class Counted {
 public:
  explicit Counted(std::shared_ptr<Remembered> issuer) : issuer_(std::move(issuer)) { ++issuer_->under_way; }
  ~Counted() { --issuer_->under_way; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::shared_ptr<Remembered> issuer_;
};

}  // namespace

Result<IssuerMetadata> parse_issuer_metadata(const json::Value& document, const std::string& issuer,
                                             net::Reach reach) {
  IssuerMetadata metadata;
  metadata.issuer = text_of(document, "issuer");
  if (metadata.issuer != issuer) {
    return failed("the provider calls itself \"" + metadata.issuer.substr(0, 200) +
                  "\": the issuer must be written exactly like that");
  }
  metadata.authorization_endpoint = text_of(document, "authorization_endpoint");
  metadata.token_endpoint = text_of(document, "token_endpoint");
  metadata.jwks_uri = text_of(document, "jwks_uri");
  metadata.userinfo_endpoint = text_of(document, "userinfo_endpoint");
  for (const auto& [name, url] :
       {std::pair("authorization_endpoint", metadata.authorization_endpoint),
        std::pair("token_endpoint", metadata.token_endpoint), std::pair("jwks_uri", metadata.jwks_uri)}) {
    if (!net::is_fetchable_url(url, reach)) {
      return failed(std::string("the provider's ") + name + " is missing or may not be used");
    }
  }
  if (!metadata.userinfo_endpoint.empty() && !net::is_fetchable_url(metadata.userinfo_endpoint, reach)) {
    return failed("the provider's userinfo_endpoint may not be used");
  }
  // Basic is the default where nothing is said.
  constexpr const char* kMethods = "token_endpoint_auth_methods_supported";
  if (!lists(document, kMethods, "client_secret_basic") && lists(document, kMethods, "client_secret_post")) {
    metadata.client_secret = IssuerMetadata::ClientSecret::in_body;
  }
  const json::Value* names_itself = document.find("authorization_response_iss_parameter_supported");
  if (names_itself != nullptr && *names_itself == json::Value(true)) {
    metadata.names_itself = IssuerMetadata::NamesItself::yes;
  }
  if (lists(document, "code_challenge_methods_supported", "S256")) metadata.pkce = IssuerMetadata::Pkce::s256;
  return metadata;
}

struct ExternalIssuers::Impl {
  Impl(net::HttpFetch& http, IssuerOptions wanted) : options(wanted), fetch(http), issuers(kMaxIssuers) {}

  std::shared_ptr<Remembered> entry(const std::string& issuer) {
    if (auto* known = issuers.find(issuer)) return *known;
    auto made = std::make_shared<Remembered>();  // shared with requests under way
    issuers.put(issuer, made);
    return made;
  }

  // Nothing, or why the issuer is not asked now.
  static Result<void> may_ask(const Remembered& known) {
    if (Clock::now() < known.left_alone_until) return failed(known.failure);
    if (known.under_way < kMaxAtATime) return Result<void>();
    return Error(ErrorCode::overloaded, "too many people are signing in right now; try again in a moment");
  }
  static void remember_failure(Remembered& known, const Error& error) {
    if (error.code != ErrorCode::identity_provider_failed) return;
    known.failure = error.message;
    known.left_alone_until = Clock::now() + kLeftAloneFor;
  }

  Task<Result<json::Value>> send(net::ClientRequest request, CallOptions call) {
    request.headers.emplace_back("Accept", "application/json");
    const std::string url = request.url;
    auto response = co_await fetch.send(std::move(request), call);
    if (!response.ok() && response.error().code == ErrorCode::server_unreachable)
      co_return failed(response.error().message);
    if (!response.ok()) co_return std::move(response).error();
    if (response->status != 200) {
      co_return failed(url + " answered with status " + std::to_string(response->status));
    }
    auto document = json::parse(response->body);
    if (!document.ok() || document->as_object() == nullptr)
      co_return failed(url + " did not answer with a JSON object");
    co_return document;
  }

  Task<Result<json::Value>> get_json(std::string url, CallOptions call) {
    net::ClientRequest request;
    request.url = std::move(url);
    co_return co_await send(std::move(request), call);
  }

  enum class Freshness { remembered, anew };
  Task<Result<IssuerMetadata>> metadata(std::string issuer, Freshness freshness, CallOptions call);
  Task<Result<void>> read_keys(std::shared_ptr<Remembered> known, std::string url, CallOptions call);

  const IssuerOptions options;
  net::HttpFetch& fetch;
  tenancy::LruMap<std::string, std::shared_ptr<Remembered>, std::hash<std::string>> issuers;
};

Task<Result<IssuerMetadata>> ExternalIssuers::Impl::metadata(std::string issuer, Freshness freshness,
                                                             CallOptions call) {
  const auto known = entry(issuer);
  const bool is_fresh = known->metadata && Clock::now() < known->metadata_at + kMetadataLife;
  if (is_fresh && freshness == Freshness::remembered) co_return *known->metadata;
  if (freshness == Freshness::remembered) CO_TRY_DO(may_ask(*known));
  const Counted counted(known);
  std::string url = issuer;
  if (url.ends_with('/')) url.pop_back();
  url += kDiscoveryPath;
  auto document = co_await get_json(std::move(url), call);
  if (!document.ok()) {
    remember_failure(*known, document.error());
    co_return std::move(document).error();
  }
  auto found = parse_issuer_metadata(*document, issuer, fetch.options().reach);
  if (!found.ok()) {
    remember_failure(*known, found.error());
    co_return std::move(found).error();
  }
  known->metadata = *found;
  known->metadata_at = Clock::now();
  co_return std::move(found).value();
}

Task<Result<void>> ExternalIssuers::Impl::read_keys(std::shared_ptr<Remembered> known, std::string url,
                                                    CallOptions call) {
  const Counted counted(known);
  auto document = co_await get_json(std::move(url), call);
  if (!document.ok()) {
    remember_failure(*known, document.error());
    co_return std::move(document).error();
  }
  auto keys = crypto::JwkSet::parse(*document);
  if (!keys) {
    const Error error = failed("the provider's jwks_uri holds no JWK Set");
    remember_failure(*known, error);
    co_return error;
  }
  known->keys = std::move(*keys);
  known->keys_at = Clock::now();
  co_return Result<void>();
}

ExternalIssuers::ExternalIssuers(net::HttpFetch& fetch, IssuerOptions options)
    : impl_(std::make_unique<Impl>(fetch, options)) {}
ExternalIssuers::~ExternalIssuers() = default;

Task<Result<IssuerMetadata>> ExternalIssuers::metadata(std::string issuer, CallOptions options) {
  co_return co_await impl_->metadata(std::move(issuer), Impl::Freshness::remembered, options);
}

Task<Result<json::Value>> ExternalIssuers::claims(std::string issuer, crypto::Jws jws, CallOptions options) {
  CO_TRY(const auto metadata, co_await impl_->metadata(issuer, Impl::Freshness::remembered, options));
  const auto known = impl_->entry(issuer);
  const auto age = Clock::now() - known->keys_at;
  const bool is_stale = !known->keys || age >= impl_->options.keys_life;
  const bool is_unknown =
      known->keys && !known->keys->has_key_for(jws) && age >= impl_->options.keys_again_after;
  if (is_stale || is_unknown) {
    CO_TRY_DO(Impl::may_ask(*known));
    CO_TRY_DO(co_await impl_->read_keys(known, metadata.jwks_uri, options));
  }
  const Error refused(ErrorCode::credential_unknown, "the token is not valid, or no longer");
  if (!known->keys || !known->keys->verifies(jws)) co_return refused;
  auto claims = json::parse(jws.payload);
  if (!claims.ok() || claims->as_object() == nullptr) co_return refused;
  co_return claims;
}

Task<Result<ExternalIssuers::Report>> ExternalIssuers::probe(std::string issuer, CallOptions options) {
  Report report;
  CO_TRY(report.metadata, co_await impl_->metadata(issuer, Impl::Freshness::anew, options));
  const auto known = impl_->entry(issuer);
  CO_TRY_DO(co_await impl_->read_keys(known, report.metadata.jwks_uri, options));
  report.keys = known->keys ? known->keys->size() : 0;
  known->left_alone_until = Clock::time_point();
  co_return report;
}

Task<Result<json::Value>> ExternalIssuers::get(std::string url, std::string bearer_token,
                                               CallOptions options) {
  net::ClientRequest request;
  request.url = std::move(url);
  request.headers.emplace_back("Authorization", "Bearer " + bearer_token);
  co_return co_await impl_->send(std::move(request), options);
}

Task<Result<json::Value>> ExternalIssuers::post_form(std::string url, std::string form,
                                                     std::string authorization, CallOptions options) {
  net::ClientRequest request;
  request.method = "POST";
  request.url = std::move(url);
  request.body = std::move(form);
  request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
  if (!authorization.empty()) request.headers.emplace_back("Authorization", std::move(authorization));
  co_return co_await impl_->send(std::move(request), options);
}

net::Reach ExternalIssuers::reach() const { return impl_->fetch.options().reach; }

}  // namespace rowhouse::identity
