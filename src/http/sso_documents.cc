#include "http/sso_documents.h"

#include <optional>
#include <utility>
#include <vector>

#include "http/body_reader.h"

namespace rowhouse::http {
namespace {

using identity::ProviderSettings;

constexpr std::string_view kSsoSchemas = R"json({
"IdentityProvider": {"type": "object", "description": "The OpenID Connect provider of a tenant", "properties": {
  "id": {"type": "string", "format": "uuid"},
  "issuer": {"type": "string"},
  "client_id": {"type": "string"},
  "has_secret": {"type": "boolean", "description": "The secret itself is never shown"},
  "scopes": {"type": "array", "items": {"type": "string"}},
  "email_claim": {"type": "string"},
  "groups_claim": {"type": ["string", "null"]},
  "role_mapping": {"type": "array", "items": {"$ref": "#/components/schemas/GroupRole"}},
  "default_role": {"type": ["string", "null"]},
  "new_members": {"type": "string", "enum": ["join", "refuse"]},
  "accepts_tokens": {"type": "boolean"},
  "token_audience": {"type": ["string", "null"]},
  "status": {"$ref": "#/components/schemas/AccountStatus"},
  "domains": {"type": "array", "items": {"type": "string"},
    "description": "Of e-mail addresses; the platform has found that they belong to the tenant"},
  "redirect_uri": {"type": "string", "description": "To be registered at the provider"},
  "created_at": {"type": "string", "format": "date-time"},
  "updated_at": {"type": "string", "format": "date-time"}},
  "required": ["id", "issuer", "client_id", "has_secret", "scopes", "email_claim", "groups_claim", "role_mapping",
    "default_role", "new_members", "accepts_tokens", "token_audience", "status", "domains", "redirect_uri",
    "created_at", "updated_at"]},
"GroupRole": {"type": "object", "additionalProperties": false, "properties": {
  "group": {"type": "string", "description": "At the provider"},
  "role": {"type": "string", "description": "Of the tenant"}},
  "required": ["group", "role"]},
"IdentityProviderSet": {"type": "object", "additionalProperties": false,
  "description": "Everything but the secret and the domains is replaced by what is sent", "properties": {
  "issuer": {"type": "string", "description": "URL, exactly as the provider writes it into its tokens"},
  "client_id": {"type": "string"},
  "client_secret": {"type": ["string", "null"], "format": "password",
    "description": "Left out: stays as it is. null: a public client"},
  "scopes": {"type": "array", "items": {"type": "string"}, "default": ["openid", "email", "profile"]},
  "email_claim": {"type": "string", "default": "email"},
  "groups_claim": {"type": ["string", "null"], "default": "groups",
    "description": "Where there is no claim of this name, dots go into objects"},
  "role_mapping": {"type": "array", "items": {"$ref": "#/components/schemas/GroupRole"},
    "description": "The first that fits counts, at every sign-in"},
  "default_role": {"type": ["string", "null"], "description": "Of those whom no group fits; null: they are refused"},
  "new_members": {"type": "string", "enum": ["join", "refuse"], "default": "refuse",
    "description": "What becomes of people who sign in and are no users of the tenant"},
  "accepts_tokens": {"type": "boolean", "default": false,
    "description": "Take the provider's access tokens on the tenant's routes"},
  "token_audience": {"type": ["string", "null"], "description": "The audience of these tokens; not the client's id"},
  "status": {"$ref": "#/components/schemas/AccountStatus"},
  "domains": {"type": "array", "items": {"type": "string"}, "description": "For the platform alone"}},
  "required": ["issuer", "client_id"]},
"IdentityProviderReport": {"type": "object", "description": "What the provider says of itself", "properties": {
  "issuer": {"type": "string"},
  "authorization_endpoint": {"type": "string"},
  "token_endpoint": {"type": "string"},
  "userinfo_endpoint": {"type": ["string", "null"]},
  "jwks_uri": {"type": "string"},
  "keys": {"type": "integer", "description": "Keys that signatures can be checked with"},
  "offers_pkce": {"type": "boolean", "description": "false: it does not say so; PKCE is used in any case"},
  "problems": {"type": "array", "items": {"type": "string"}}},
  "required": ["issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "keys",
    "offers_pkce", "problems"]},
"SsoQuestion": {"type": "object", "additionalProperties": false, "description": "One of both", "properties": {
  "email": {"type": "string", "description": "Only its domain counts"},
  "tenant": {"type": "string", "description": "Slug or id"}}},
"SsoAnswer": {"type": "object", "properties": {
  "available": {"type": "boolean"},
  "tenant": {"type": ["string", "null"], "description": "Slug, for GET /v1/auth/sso/start"}},
  "required": ["available", "tenant"]}
})json";

json::Value text_or_null(const std::string& text) { return text.empty() ? json::Value() : json::Value(text); }

json::Value list_of(const std::vector<std::string>& texts) {
  json::Array list;
  for (const std::string& text : texts) list.emplace_back(text);
  return json::Value(std::move(list));
}

void read_mapping(BodyReader& reader, std::vector<identity::GroupRole>& rules) {
  reader.each("role_mapping", [&rules](const json::Value& element) -> std::string {
    const json::Value* group = element.find("group");
    const json::Value* role = element.find("role");
    const bool is_whole = element.as_object() != nullptr && element.as_object()->size() == 2 &&
                          group != nullptr && role != nullptr && group->as_string() != nullptr &&
                          role->as_string() != nullptr;
    if (!is_whole) return "must be an object of group and role";
    rules.push_back(identity::GroupRole{*group->as_string(), *role->as_string()});
    return "";
  });
}

}  // namespace

std::string_view sso_schemas() { return kSsoSchemas; }

json::Value provider_document(const identity::Provider& provider, const std::string& redirect_uri) {
  const ProviderSettings& settings = provider.settings;
  json::Array mapping;
  for (const identity::GroupRole& rule : settings.role_mapping) {
    json::Value entry;
    entry.set("group", rule.group);
    entry.set("role", rule.role);
    mapping.push_back(std::move(entry));
  }
  json::Value document;
  document.set("id", provider.id.to_string());
  document.set("issuer", settings.issuer);
  document.set("client_id", settings.client_id);
  document.set("has_secret", settings.client_secret.has_value());
  document.set("scopes", list_of(settings.scopes));
  document.set("email_claim", settings.email_claim);
  document.set("groups_claim", text_or_null(settings.groups_claim));
  document.set("role_mapping", json::Value(std::move(mapping)));
  document.set("default_role", text_or_null(settings.default_role));
  document.set("new_members", settings.new_members == ProviderSettings::NewMembers::join ? "join" : "refuse");
  document.set("accepts_tokens", settings.tokens == ProviderSettings::Tokens::accepted);
  document.set("token_audience", text_or_null(settings.token_audience));
  document.set("status", identity::account_status_name(settings.status));
  document.set("domains", list_of(settings.domains.value_or(std::vector<std::string>())));
  document.set("redirect_uri", redirect_uri);
  document.set("created_at", provider.created_at);
  document.set("updated_at", provider.updated_at);
  return document;
}

json::Value provider_report_document(const identity::ExternalIssuers::Report& report) {
  const identity::IssuerMetadata& metadata = report.metadata;
  const bool has_pkce = metadata.pkce == identity::IssuerMetadata::Pkce::s256;
  json::Array problems;
  if (report.keys == 0) problems.emplace_back("none of its keys can check a signature");
  if (!has_pkce) problems.emplace_back("it does not say that it knows PKCE with S256");
  json::Value document;
  document.set("issuer", metadata.issuer);
  document.set("authorization_endpoint", metadata.authorization_endpoint);
  document.set("token_endpoint", metadata.token_endpoint);
  document.set("userinfo_endpoint", text_or_null(metadata.userinfo_endpoint));
  document.set("jwks_uri", metadata.jwks_uri);
  document.set("keys", static_cast<std::int64_t>(report.keys));
  document.set("offers_pkce", has_pkce);
  document.set("problems", json::Value(std::move(problems)));
  return document;
}

Result<ProviderSettings> read_provider(const json::Value& body) {
  ProviderSettings settings;
  BodyReader reader(body);
  reader.require("issuer");
  reader.require("client_id");
  reader.text("issuer", settings.issuer);
  reader.text("client_id", settings.client_id);
  reader.text("client_secret", settings.client_secret);
  std::optional<std::vector<std::string>> scopes;
  reader.texts("scopes", scopes);
  if (scopes) settings.scopes = std::move(*scopes);
  reader.text("email_claim", settings.email_claim);
  std::optional<std::string> groups_claim, default_role, audience;
  reader.text("groups_claim", groups_claim);
  if (groups_claim) settings.groups_claim = *groups_claim;
  read_mapping(reader, settings.role_mapping);
  reader.text("default_role", default_role);
  settings.default_role = default_role.value_or("");
  reader.choice("new_members", [&settings](const std::string& text) {
    if (text == "join") settings.new_members = ProviderSettings::NewMembers::join;
    return text == "join" || text == "refuse" ? "" : "must be join or refuse";
  });
  reader.flag("accepts_tokens", [&settings](bool accepts) {
    settings.tokens = accepts ? ProviderSettings::Tokens::accepted : ProviderSettings::Tokens::refused;
  });
  reader.text("token_audience", audience);
  settings.token_audience = audience.value_or("");
  reader.choice("status", [&settings](const std::string& text) {
    const auto status = identity::parse_account_status(text);
    settings.status = status.value_or(settings.status);
    return status ? "" : "must be active or disabled";
  });
  reader.texts("domains", settings.domains);
  TRY_DO(reader.done());
  return settings;
}

Result<SsoQuestion> read_sso_question(const json::Value& body) {
  SsoQuestion question;
  BodyReader reader(body);
  reader.text("email", question.email);
  reader.text("tenant", question.tenant);
  if (question.email.empty() == question.tenant.empty())
    reader.fault("tenant", "or email is required, not both");
  TRY_DO(reader.done());
  return question;
}

}  // namespace rowhouse::http
