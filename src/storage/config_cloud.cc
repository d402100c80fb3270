// Configurations of S3, Azure and Google.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "storage/config_reader.h"
#include "storage/object_store.h"

namespace rowhouse::storage {

namespace {

constexpr std::size_t kMaxServiceAccountBytes = 16'384;

// "d111.cloudfront.net" or "https://cdn.example.com[/path]", as a base without a slash at its end.
std::string read_cdn(Members& members, std::string_view name) {
  const auto text = members.text(name);
  if (!text) return "";
  const bool has_scheme = text->find("://") != std::string::npos;
  const auto url = read_url(has_scheme ? *text : "https://" + *text);
  if (!url || url->scheme != "https") {
    members.fault(name, "must be a host name or an https:// address");
    return "";
  }
  return "https://" + url->authority + url->path;
}

std::string read_credential(Members& members, std::string_view name) {
  std::string text = members.required(name, 512);
  if (!all_of(text, is_printable)) members.fault(name, "has a character that is not printable ASCII");
  return text;
}

std::string read_bucket(Members& members, std::string_view name, std::string_view punctuation,
                        std::size_t max_bytes) {
  std::string bucket = members.required(name, max_bytes);
  if (bucket.empty()) return bucket;
  const auto fits = [&](char c) { return is_lower(c) || is_digit(c) || is_one_of(c, punctuation); };
  if (bucket.size() < 3 || !all_of(bucket, fits) || is_one_of(bucket.front(), punctuation) ||
      is_one_of(bucket.back(), punctuation) || bucket.find("..") != std::string::npos) {
    members.fault(name,
                  fmt::format("must be 3 to {} small letters, digits and \"{}\"; the first and the last "
                              "a letter or digit",
                              max_bytes, punctuation));
  }
  return bucket;
}

std::string read_region(Members& members, std::string region) {
  const auto fits = [](char c) { return is_alnum(c) || is_one_of(c, "-_"); };
  if (region.size() > 64 || !all_of(region, fits)) {
    members.fault("region", "must be at most 64 letters, digits and \"-\"");
  }
  return region;
}

}  // namespace

StoreConfig read_s3(Members& members) {
  S3Config config;
  config.access_key = read_credential(members, "access_key");
  config.secret_key = read_credential(members, "secret_key");
  config.region = read_region(members, members.required("region"));
  config.bucket = read_bucket(members, "bucket", ".-", 63);
  config.cdn_base = read_cdn(members, "cloudfront_domain");
  config.prefix = read_prefix(members);
  if (const auto endpoint = members.text("endpoint")) {
    const auto url = read_url(*endpoint);
    if (!url || !url->path.empty()) {
      members.fault("endpoint", "must be https://HOST[:PORT] without a path");
    } else {
      config.endpoint = url->scheme + "://" + url->authority;
    }
  } else {
    const bool in_china = config.region.starts_with("cn-");
    config.endpoint =
        fmt::format("https://s3.{}.amazonaws.com{}", to_lower_ascii(config.region), in_china ? ".cn" : "");
    // Amazon's certificate is for one name before the region; a bucket with a dot would be two.
    const bool has_dot = config.bucket.find('.') != std::string::npos;
    config.addressing = has_dot ? S3Config::Addressing::path : S3Config::Addressing::host;
  }
  return config;
}

StoreConfig read_minio(Members& members) {
  S3Config config;
  config.access_key = read_credential(members, "access_key");
  config.secret_key = read_credential(members, "secret_key");
  config.bucket = read_bucket(members, "bucket", ".-", 63);
  config.prefix = read_prefix(members);
  if (auto region = members.text("region")) config.region = read_region(members, *region);
  std::optional<bool> secure;
  if (const json::Value* value = members.take("secure")) {
    if (value->as_bool() == nullptr) {
      members.fault("secure", "must be true or false");
    } else {
      secure = *value->as_bool();
    }
  }
  const std::string endpoint = members.required("endpoint");
  if (endpoint.empty()) return config;
  const bool has_scheme = endpoint.find("://") != std::string::npos;
  const std::string scheme = secure.value_or(true) ? "https://" : "http://";
  const auto url = read_url(has_scheme ? endpoint : scheme + endpoint);
  if (!url || !url->path.empty()) {
    members.fault("endpoint", "must be HOST[:PORT] or https://HOST[:PORT], without a path");
    return config;
  }
  if (has_scheme && secure && (url->scheme == "https") != *secure) {
    members.fault("secure", "contradicts the endpoint");
  }
  config.endpoint = url->scheme + "://" + url->authority;
  return config;
}

namespace {

// Standard base64 of a key: what Azure gives out.
bool is_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return false;
  const std::size_t end = text.find('=');
  const std::string_view digits = text.substr(0, end);
  const std::string_view padding = end == std::string_view::npos ? "" : text.substr(end);
  return all_of(digits, [](char c) { return is_alnum(c) || c == '+' || c == '/'; }) &&
         (padding.empty() || padding == "=" || padding == "==");
}

struct ConnectionString {
  std::string protocol = "https", account, key, suffix = "core.windows.net", blob_endpoint;
};
// "Name=value;Name=value". An unknown name is passed over: the portal's strings name the other services too.
std::optional<std::string> read_connection_string(std::string_view text, ConnectionString& out) {
  for (const std::string_view part : split(text, ';')) {
    if (trim(part).empty()) continue;
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) return "has a part that is not NAME=VALUE";
    const std::string name = to_lower_ascii(trim(part.substr(0, equals)));
    const std::string value(trim(part.substr(equals + 1)));
    if (name == "defaultendpointsprotocol") out.protocol = to_lower_ascii(value);
    if (name == "accountname") out.account = value;
    if (name == "accountkey") out.key = value;
    if (name == "endpointsuffix") out.suffix = value;
    if (name == "blobendpoint") out.blob_endpoint = value;
    if (name == "sharedaccesssignature") return "has a shared access signature; an account key is needed";
    if (name == "usedevelopmentstorage")
      return "is the emulator's; name AccountName, AccountKey, BlobEndpoint";
  }
  const auto fits = [](char c) { return is_lower(c) || is_digit(c); };
  if (out.account.size() < 3 || out.account.size() > 24 || !all_of(out.account, fits)) {
    return "has no valid AccountName (3 to 24 small letters and digits)";
  }
  if (!is_base64(out.key)) return "has no valid AccountKey (base64)";
  if (out.protocol != "https" && out.protocol != "http") return "has no valid DefaultEndpointsProtocol";
  return std::nullopt;
}

}  // namespace

StoreConfig read_azure(Members& members) {
  AzureConfig config;
  config.container = read_bucket(members, "container", "-", 63);
  if (config.container.find("--") != std::string::npos) members.fault("container", "has \"--\"");
  config.cdn_base = read_cdn(members, "cdn_endpoint");
  config.prefix = read_prefix(members);
  const std::string text = members.required("connection_string");
  if (text.empty()) return config;
  ConnectionString parts;
  if (const auto fault = read_connection_string(text, parts)) {
    members.fault("connection_string", *fault);
    return config;
  }
  config.account = parts.account;
  config.key = parts.key;
  const std::string endpoint = parts.blob_endpoint.empty() ? fmt::format("{}://{}.blob.{}", parts.protocol,
                                                                         parts.account, parts.suffix)
                                                           : parts.blob_endpoint;
  const auto url = read_url(endpoint);
  if (!url) {
    members.fault("connection_string", "has no valid BlobEndpoint or EndpointSuffix");
    return config;
  }
  config.endpoint = url->scheme + "://" + url->authority + url->path;
  return config;
}

namespace {

// The key of a service account as Google gives it out: the members that are used.
std::optional<std::string> read_service_account(const json::Value& account, GcsConfig& config) {
  const auto text = [&](std::string_view name) {
    const json::Value* value = account.find(name);
    return value == nullptr || value->as_string() == nullptr ? std::string() : *value->as_string();
  };
  if (account.as_object() == nullptr) return "must be the JSON of a service account's key";
  if (text("type") != "service_account") return "is not of type \"service_account\"";
  config.client_email = text("client_email");
  config.private_key_pem = text("private_key");
  config.private_key_id = text("private_key_id");
  if (config.client_email.find('@') == std::string::npos || !all_of(config.client_email, is_printable)) {
    return "has no valid client_email";
  }
  if (config.private_key_pem.find("-----BEGIN ") == std::string::npos ||
      config.private_key_pem.find("PRIVATE KEY-----") == std::string::npos) {
    return "has no private_key in PEM";
  }
  if (!all_of(config.private_key_id, is_alnum)) return "has no valid private_key_id";
  const std::string token_uri = text("token_uri");
  config.token_uri = token_uri.empty() ? "https://oauth2.googleapis.com/token" : token_uri;
  if (!read_url(config.token_uri)) return "has no valid token_uri";
  return std::nullopt;
}

}  // namespace

StoreConfig read_gcs(Members& members) {
  GcsConfig config;
  config.bucket = read_bucket(members, "bucket", "._-", 222);
  config.project_id = members.required("project_id", 128);
  const auto fits = [](char c) { return is_alnum(c) || is_one_of(c, "-.:_"); };
  if (!all_of(config.project_id, fits)) members.fault("project_id", "is not a project's id");
  config.cdn_base = read_cdn(members, "cdn_domain");
  config.prefix = read_prefix(members);
  if (const auto endpoint = members.text("endpoint")) {
    const auto url = read_url(*endpoint);
    if (!url || !url->path.empty()) {
      members.fault("endpoint", "must be https://HOST[:PORT] without a path");
    } else {
      config.endpoint = url->scheme + "://" + url->authority;
    }
  }
  const json::Value* key = members.take("service_account_key");
  if (key == nullptr) {
    members.fault("service_account_key", "is missing");
    return config;
  }
  json::Value parsed;
  if (const std::string* text = key->as_string()) {
    auto result = text->size() > kMaxServiceAccountBytes
                      ? Result<json::Value>(Error(ErrorCode::malformed_json, "too long"))
                      : json::parse(*text);
    // The parser's message could quote the key.
    if (result.ok()) parsed = std::move(result).value();
    key = &parsed;
  }
  if (const auto fault = read_service_account(*key, config)) members.fault("service_account_key", *fault);
  return config;
}

}  // namespace rowhouse::storage
