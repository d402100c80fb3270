#include "identity/providers.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/seal.h"
#include "identity/users_impl.h"

namespace rowhouse::identity {

namespace {

constexpr std::size_t kMaxIssuerBytes = 500;
constexpr std::size_t kMaxClientBytes = 300;
constexpr std::size_t kMaxSecretBytes = 500;
constexpr std::size_t kMaxScopes = 20;
constexpr std::size_t kMaxScopeBytes = 100;
constexpr std::size_t kMaxClaimBytes = 200;
constexpr std::size_t kMaxRules = 100;
constexpr std::size_t kMaxGroupBytes = 300;
constexpr std::size_t kMaxDomains = 50;
constexpr std::size_t kMaxDomainBytes = 253;
constexpr std::size_t kMinDomainBytes = 3;

std::string columns() {
  return "SELECT p.id, p.tenant_id, p.issuer, p.client_id, pg_catalog.encode(p.client_secret, 'hex'), "
         "p.scopes, "
         "p.email_claim, p.groups_claim, p.role_mapping::text, p.default_role, p.new_members, "
         "p.accepts_tokens, "
         "p.token_audience, p.status, " +
         timestamp_sql("p.created_at") + ", " + timestamp_sql("p.updated_at") +
         ", (SELECT pg_catalog.string_agg(d.domain, ' ' ORDER BY d.domain) FROM identity.verified_domains d "
         "WHERE d.tenant_id = p.tenant_id) FROM identity.identity_providers p WHERE ";
}

// $1 id if new, $2 tenant, $3 issuer, $4 client, $5 secret, $6 keep the secret, $7 scopes, $8 and $9 claims,
// $10 mapping, $11 default role, $12 new members, $13 tokens, $14 audience, $15 status. Whoever came by
// another issuer or client is a stranger now.
// What it was must be read before it is written, hence the count.
constexpr std::string_view kSetSql = R"(
was AS (SELECT id, issuer, client_id FROM identity.identity_providers WHERE tenant_id = $2::uuid FOR UPDATE),
t AS (INSERT INTO identity.identity_providers AS p (id, tenant_id, issuer, client_id, client_secret, scopes, email_claim,
    groups_claim, role_mapping, default_role, new_members, accepts_tokens, token_audience, status)
  SELECT $1::uuid, $2::uuid, $3::text, $4::text, $5::bytea, $7::text, $8::text, $9::text, $10::jsonb, $11::text,
    $12::text, $13::boolean, $14::text, $15::text WHERE (SELECT count(*) FROM was) >= 0
  ON CONFLICT (tenant_id) DO UPDATE SET issuer = EXCLUDED.issuer, client_id = EXCLUDED.client_id,
    client_secret = CASE WHEN $6::boolean THEN p.client_secret ELSE EXCLUDED.client_secret END,
    scopes = EXCLUDED.scopes, email_claim = EXCLUDED.email_claim, groups_claim = EXCLUDED.groups_claim,
    role_mapping = EXCLUDED.role_mapping, default_role = EXCLUDED.default_role, new_members = EXCLUDED.new_members,
    accepts_tokens = EXCLUDED.accepts_tokens, token_audience = EXCLUDED.token_audience, status = EXCLUDED.status
  RETURNING p.id),
exchanged AS (SELECT id FROM was WHERE issuer <> $3::text OR client_id <> $4::text),
strangers AS (DELETE FROM identity.external_identities e USING exchanged x WHERE e.provider_id = x.id),
under_way AS (DELETE FROM identity.sso_logins l USING was WHERE l.provider_id = was.id),
ended AS (UPDATE identity.sessions s SET revoked_at = pg_catalog.now(), end_reason = 'identity provider changed'
  FROM was WHERE s.provider_id = was.id AND s.revoked_at IS NULL
    AND ($15::text <> 'active' OR was.id IN (SELECT id FROM exchanged)) RETURNING s.id))";

constexpr std::string_view kRemoveSql = R"(
t AS (DELETE FROM identity.identity_providers WHERE tenant_id = $1::uuid RETURNING id),
ended AS (UPDATE identity.sessions s SET revoked_at = pg_catalog.now(), end_reason = 'identity provider removed'
  FROM t WHERE s.provider_id = t.id AND s.revoked_at IS NULL RETURNING s.id))";

// The provider first, then the sessions that ended.
constexpr std::string_view kConcernedSql = "SELECT id, 0 FROM t UNION ALL SELECT id, 1 FROM ended ORDER BY 2";

// $1 tenant, $2 domains. Nothing comes back for one that is another tenant's.
constexpr std::string_view kDomainsSql = R"(
gone AS (DELETE FROM identity.verified_domains WHERE tenant_id = $1::uuid AND domain <> ALL ($2::text[])),
t AS (INSERT INTO identity.verified_domains AS d (domain, tenant_id)
  SELECT wanted, $1::uuid FROM pg_catalog.unnest($2::text[]) AS wanted
  ON CONFLICT (domain) DO UPDATE SET tenant_id = d.tenant_id WHERE d.tenant_id = $1::uuid RETURNING d.domain))";

Error no_provider() { return Error(ErrorCode::not_found, "the tenant has no identity provider"); }

bool is_word(std::string_view text, std::size_t max_bytes) {
  return !text.empty() && text.size() <= max_bytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

bool is_text(std::string_view text, std::size_t max_bytes) {
  return text.size() <= max_bytes && is_valid_utf8(text) &&
         std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; });
}

bool is_domain(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  return text.size() >= kMinDomainBytes && text.size() <= kMaxDomainBytes &&
         std::all_of(text.begin(), text.end(), allowed) && text.find('.') != std::string_view::npos &&
         !text.starts_with('.') && !text.ends_with('.') && text.find("..") == std::string_view::npos;
}

// '{"a","b"}' for text[]; domains need no escapes.
std::string array_text(const std::vector<std::string>& domains) {
  std::string text = "{";
  for (const std::string& domain : domains) text += (text.size() > 1 ? ",\"" : "\"") + domain + "\"";
  return text + "}";
}

std::string secret_context(const Uuid& tenant) { return "client secret " + tenant.to_string(); }

json::Value mapping_json(const std::vector<GroupRole>& rules) {
  json::Array list;
  for (const GroupRole& rule : rules) {
    json::Value entry;
    entry.set("group", rule.group);
    entry.set("role", rule.role);
    list.push_back(std::move(entry));
  }
  return json::Value(std::move(list));
}

std::vector<GroupRole> mapping_from(std::string_view text) {
  std::vector<GroupRole> rules;
  const auto list = json::parse(text);
  if (!list.ok() || list->as_array() == nullptr) return rules;
  for (const json::Value& entry : *list->as_array()) {
    const json::Value* group = entry.find("group");
    const json::Value* role = entry.find("role");
    if (group == nullptr || role == nullptr || group->as_string() == nullptr || role->as_string() == nullptr)
      continue;
    rules.push_back(GroupRole{*group->as_string(), *role->as_string()});
  }
  return rules;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (const auto word : split(text, ' ')) {
    if (!word.empty()) words.emplace_back(word);
  }
  return words;
}

void check_scopes(const std::vector<std::string>& scopes, Error& faults) {
  const bool is_fit =
      scopes.size() <= kMaxScopes && std::all_of(scopes.begin(), scopes.end(), [](const std::string& scope) {
        return is_word(scope, kMaxScopeBytes) && scope.find_first_of("\"\\") == std::string::npos;
      });
  if (!is_fit) faults.fields.emplace_back("/scopes", "must be at most 20 words");
  if (std::find(scopes.begin(), scopes.end(), "openid") == scopes.end())
    faults.fields.emplace_back("/scopes", "must hold openid");
}

Error faults_of(ProviderSettings& settings, net::Reach reach) {
  Error faults(ErrorCode::validation_failed, "the identity provider is not valid");
  const auto fault = [&faults](const char* path, const char* what) {
    faults.fields.emplace_back(path, what);
  };
  if (settings.issuer.size() > kMaxIssuerBytes || !net::is_fetchable_url(settings.issuer, reach) ||
      settings.issuer.find('?') != std::string::npos) {
    fault("/issuer", "must be an https URL without query");
  }
  if (!is_word(settings.client_id, kMaxClientBytes))
    fault("/client_id", "is required: 300 characters at most");
  if (settings.client_secret && !is_text(*settings.client_secret, kMaxSecretBytes))
    fault("/client_secret", "is too long or no text");
  check_scopes(settings.scopes, faults);
  if (!is_word(settings.email_claim, kMaxClaimBytes)) fault("/email_claim", "must be the name of a claim");
  if (!settings.groups_claim.empty() && !is_word(settings.groups_claim, kMaxClaimBytes))
    fault("/groups_claim", "must be the name of a claim");
  if (settings.role_mapping.size() > kMaxRules) fault("/role_mapping", "is too long: 100 groups at most");
  if (std::any_of(settings.role_mapping.begin(), settings.role_mapping.end(), [](const GroupRole& rule) {
        return rule.group.empty() || !is_text(rule.group, kMaxGroupBytes);
      })) {
    fault("/role_mapping", "has a group without name, or with too long a one");
  }
  const bool takes_tokens = settings.tokens == ProviderSettings::Tokens::accepted;
  if (takes_tokens && !is_word(settings.token_audience, kMaxIssuerBytes))
    fault("/token_audience", "is required where access tokens are accepted");
  // Otherwise an ID token would be an access token.
  if (takes_tokens && settings.token_audience == settings.client_id)
    fault("/token_audience", "must not be the client's id");
  if (settings.domains) {
    for (std::string& domain : *settings.domains) domain = to_lower_ascii(domain);
    const bool are_domains = settings.domains->size() <= kMaxDomains &&
                             std::all_of(settings.domains->begin(), settings.domains->end(), is_domain);
    if (!are_domains) fault("/domains", "must be at most 50 domains, like acme.example");
  }
  return faults;
}

json::Value summary_of(const ProviderSettings& settings) {
  json::Value summary;
  summary.set("issuer", settings.issuer);
  summary.set("client_id", settings.client_id);
  summary.set("role_mapping", mapping_json(settings.role_mapping));
  summary.set("default_role", settings.default_role);
  summary.set("new_members", settings.new_members == ProviderSettings::NewMembers::join ? "join" : "refuse");
  summary.set("accepts_tokens", settings.tokens == ProviderSettings::Tokens::accepted);
  summary.set("status", account_status_name(settings.status));
  return summary;
}

}  // namespace

ProviderService::ProviderService(pg::Pool& identity, UserService& users, const Clock& clock, net::Reach reach,
                                 std::string seal_key)
    : identity_(identity), users_(users), clock_(clock), reach_(reach), seal_key_(std::move(seal_key)) {}

// Other nodes hear of it from the database.
void ProviderService::announce(const pg::Rows& concerned) const {
  if (!changed_) return;
  for (std::size_t row = 0; row < concerned.size(); ++row) {
    if (const auto subject = Uuid::parse(concerned.text(row, 0))) changed_(*subject);
  }
}

// ---------------------------------------------------------------------------------------------------- read

Task<Result<Provider>> ProviderService::one(std::string condition, pg::Params params, CallOptions options) {
  const pg::Statement statement(columns() + condition, std::move(params));
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  if (rows.size() != 1) co_return no_provider();
  Provider provider;
  provider.id = Uuid::parse(rows.text(0, 0)).value_or(Uuid());
  provider.tenant = Uuid::parse(rows.text(0, 1)).value_or(Uuid());
  ProviderSettings& settings = provider.settings;
  settings.issuer = rows.text(0, 2);
  settings.client_id = rows.text(0, 3);
  if (!rows.is_null(0, 4)) {
    const auto sealed = from_hex(rows.text(0, 4));
    if (sealed)
      settings.client_secret = crypto::open_sealed(seal_key_, secret_context(provider.tenant), *sealed);
    if (!settings.client_secret) co_return Error(ErrorCode::internal, "a client secret cannot be opened");
  }
  settings.scopes = words_of(rows.text(0, 5));
  settings.email_claim = rows.text(0, 6);
  settings.groups_claim = rows.text(0, 7);
  settings.role_mapping = mapping_from(rows.text(0, 8));
  settings.default_role = rows.text(0, 9);
  settings.new_members =
      rows.text(0, 10) == "join" ? ProviderSettings::NewMembers::join : ProviderSettings::NewMembers::refuse;
  settings.tokens =
      rows.text(0, 11) == "t" ? ProviderSettings::Tokens::accepted : ProviderSettings::Tokens::refused;
  settings.token_audience = rows.text(0, 12);
  settings.status = parse_account_status(rows.text(0, 13)).value_or(AccountStatus::disabled);
  provider.created_at = rows.text(0, 14);
  provider.updated_at = rows.text(0, 15);
  settings.domains = words_of(rows.text(0, 16));
  co_return provider;
}

Task<Result<Provider>> ProviderService::get(Tenant tenant, CallOptions options) {
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  co_return co_await one("p.tenant_id = $1::uuid", std::move(params), options);
}

Task<Result<Provider>> ProviderService::of_tenant(Uuid tenant, CallOptions options) {
  pg::Params params;
  params.emplace_back(tenant.to_string());
  co_return co_await one("p.tenant_id = $1::uuid AND p.status = 'active'", std::move(params), options);
}

Task<Result<Provider>> ProviderService::by_id(Uuid provider, CallOptions options) {
  pg::Params params;
  params.emplace_back(provider.to_string());
  co_return co_await one("p.id = $1::uuid AND p.status = 'active'", std::move(params), options);
}

Task<Result<Provider>> ProviderService::of_domain(std::string domain, CallOptions options) {
  domain = to_lower_ascii(domain);
  if (!is_domain(domain)) co_return no_provider();
  pg::Params params;
  params.emplace_back(std::move(domain));
  co_return co_await one(
      "p.status = 'active' AND p.tenant_id = (SELECT d.tenant_id FROM identity.verified_domains d "
      "WHERE d.domain = $1::text)",
      std::move(params), options);
}

Task<Result<Provider>> ProviderService::of_token(std::string issuer, std::vector<std::string> audiences,
                                                 CallOptions options) {
  std::erase_if(audiences, [](const std::string& audience) { return !is_word(audience, kMaxIssuerBytes); });
  if (!is_word(issuer, kMaxIssuerBytes) || audiences.empty() || audiences.size() > kMaxScopes)
    co_return no_provider();
  json::Array list;
  for (std::string& audience : audiences) list.emplace_back(std::move(audience));
  pg::Params params;
  params.emplace_back(std::move(issuer));
  params.emplace_back(json::serialize(json::Value(std::move(list))));
  co_return co_await one(
      "p.status = 'active' AND p.accepts_tokens AND p.issuer = $1::text AND p.token_audience IN (SELECT "
      "pg_catalog.jsonb_array_elements_text($2::jsonb))",
      std::move(params), options);
}

// ----------------------------------------------------------------------------------------------------- set

// Every role that somebody may get this way is one that the requester could give by hand.
Task<Result<void>> ProviderService::check_roles(Tenant tenant, const ProviderSettings& settings,
                                                Requester requester, CallOptions options) {
  std::vector<std::pair<std::string, std::string>> named;
  for (std::size_t i = 0; i < settings.role_mapping.size(); ++i) {
    named.emplace_back("/role_mapping/" + std::to_string(i) + "/role", settings.role_mapping[i].role);
  }
  if (!settings.default_role.empty()) named.emplace_back("/default_role", settings.default_role);
  for (const auto& [path, role] : named) {
    const auto known = co_await users_.role_to_give(tenant, role, requester, options);
    if (known.ok()) continue;
    if (known.error().code != ErrorCode::validation_failed) co_return known.error();
    co_return Error(ErrorCode::validation_failed, "the role is not known")
        .with_field(path, "is none of the tenant's roles");
  }
  co_return Result<void>();
}

Task<Result<Provider>> ProviderService::set(Tenant tenant, ProviderSettings settings, Requester requester,
                                            CallOptions options) {
  const Error faults = faults_of(settings, reach_);
  if (!faults.fields.empty()) co_return faults;
  CO_TRY_DO(may_give(requester, *tenancy::all_permissions(), tenancy::RowScope::all));
  if (settings.domains && requester.side == Requester::Side::tenant) {
    co_return Error(
        ErrorCode::forbidden,
        "which domains belong to a tenant is for the operator of the platform to say; leave them out");
  }
  CO_TRY_DO(co_await check_roles(tenant, settings, requester, options));
  if (settings.domains) {
    pg::Params wanted;
    wanted.emplace_back(tenant->id.to_string());
    wanted.emplace_back(array_text(*settings.domains));
    auto change = change_of("sso.domains_set", requester.actor, "tenant", tenant->id);
    change.tenant = tenant->id;
    const pg::Statement statement =
        recorded_statement(kDomainsSql, "SELECT domain FROM t", std::move(wanted), change);
    CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
    if (rows.size() < settings.domains->size()) {
      co_return Error(ErrorCode::conflict, "a domain belongs to another tenant")
          .with_field("/domains", "holds one that belongs to another tenant, or one twice");
    }
  }
  const bool keeps_secret = !settings.client_secret.has_value();
  pg::Param secret;
  if (settings.client_secret && !settings.client_secret->empty()) {
    secret = "\\x" + to_hex(crypto::seal(seal_key_, secret_context(tenant->id), *settings.client_secret));
  }
  pg::Params params;
  params.emplace_back(Uuid::make_v7(clock_.now()).to_string());
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(settings.issuer);
  params.emplace_back(settings.client_id);
  params.push_back(std::move(secret));
  params.emplace_back(keeps_secret ? "true" : "false");
  params.emplace_back(joined(settings.scopes));
  params.emplace_back(settings.email_claim);
  params.emplace_back(settings.groups_claim);
  params.emplace_back(json::serialize(mapping_json(settings.role_mapping)));
  params.emplace_back(settings.default_role);
  params.emplace_back(settings.new_members == ProviderSettings::NewMembers::join ? "join" : "refuse");
  params.emplace_back(settings.tokens == ProviderSettings::Tokens::accepted ? "true" : "false");
  params.emplace_back(settings.token_audience);
  params.emplace_back(account_status_name(settings.status));
  auto change = change_of("sso.provider_set", requester.actor, "tenant", tenant->id);
  change.tenant = tenant->id;
  change.new_json = json::serialize(summary_of(settings));
  const pg::Statement statement = recorded_statement(kSetSql, kConcernedSql, std::move(params), change);
  auto rows = co_await identity_.run(nullptr, statement, options);
  if (!rows.ok() && rows.error().code == ErrorCode::conflict) {
    co_return Error(ErrorCode::conflict,
                    "tokens of this issuer and audience are taken already; choose another audience")
        .with_field("/token_audience", "is taken");
  }
  if (!rows.ok()) co_return std::move(rows).error();
  announce(*rows);
  co_return co_await get(tenant, options);
}

Task<Result<void>> ProviderService::remove(Tenant tenant, Requester requester, CallOptions options) {
  CO_TRY_DO(may_give(requester, *tenancy::all_permissions(), tenancy::RowScope::all));
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  auto change = change_of("sso.provider_removed", requester.actor, "tenant", tenant->id);
  change.tenant = tenant->id;
  const pg::Statement statement = recorded_statement(kRemoveSql, kConcernedSql, std::move(params), change);
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  if (rows.size() == 0) co_return no_provider();
  announce(rows);
  co_return Result<void>();
}

}  // namespace rowhouse::identity
