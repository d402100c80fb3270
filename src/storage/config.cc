#include "storage/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "storage/config_reader.h"
#include "storage/object_store.h"

namespace rowhouse::storage {

namespace {

constexpr std::size_t kMaxPrefixBytes = 200;  // with the longest key within the 1,024 bytes of S3

bool is_host(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  if (host.front() == '[') {
    return host.back() == ']' && host.size() > 4 && host.find(':') != std::string_view::npos &&
           all_of(host.substr(1, host.size() - 2),
                  [](char c) { return is_digit(c) || is_one_of(c, "abcdef:."); });
  }
  if (is_one_of(host.front(), ".-")) return false;
  return host.find("..") == std::string_view::npos &&
         all_of(host, [](char c) { return is_lower(c) || is_digit(c) || is_one_of(c, ".-_"); });
}
constexpr std::string_view kHarmless[] = {
    "bucket",     "region",     "container", "project_id",   "endpoint",   "prefix",           "protocol",
    "share_path", "mount_path", "secure",    "cdn_endpoint", "cdn_domain", "cloudfront_domain"};

}  // namespace

std::optional<int> read_port(std::string_view text) {
  const auto value = parse_int64(text);
  if (!value || *value < 1 || *value > 65'535 || !all_of(text, is_digit)) return std::nullopt;
  return static_cast<int>(*value);
}
std::optional<HostPort> read_host_port(std::string_view text) {
  HostPort result;
  const std::size_t bracket = text.starts_with('[') ? text.find(']') : 0;
  if (bracket == std::string_view::npos) return std::nullopt;
  const std::size_t colon = text.find(':', bracket);
  if (colon != std::string_view::npos) {
    const auto port = read_port(text.substr(colon + 1));
    if (!port) return std::nullopt;
    result.port = *port;
  }
  result.host = to_lower_ascii(text.substr(0, colon));
  if (!is_host(result.host)) return std::nullopt;
  return result;
}

std::optional<Url> read_url(std::string_view text) {
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos) return std::nullopt;
  Url url;
  url.scheme = to_lower_ascii(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https") return std::nullopt;
  text.remove_prefix(colon + 3);
  const std::size_t slash = std::min(text.find('/'), text.size());
  const auto host_port = read_host_port(text.substr(0, slash));
  if (!host_port) return std::nullopt;
  url.authority = host_port->host + (host_port->port == 0 ? "" : fmt::format(":{}", host_port->port));
  url.path = text.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();
  const auto fits = [](char c) { return is_alnum(c) || is_one_of(c, "/-._~"); };
  if (!all_of(url.path, fits) || url.path.find("//") != std::string::npos ||
      url.path.find("..") != std::string::npos) {
    return std::nullopt;
  }
  return url;
}

std::string read_prefix(Members& members) {
  auto text = members.text("prefix");
  if (!text) return "";
  std::string prefix = *text;
  if (prefix.ends_with('/')) prefix.pop_back();
  if (prefix.size() > kMaxPrefixBytes) {
    members.fault("prefix", fmt::format("is longer than {} bytes", kMaxPrefixBytes));
  } else if (const auto checked = check_key(prefix); !checked.ok()) {
    members.fault("prefix", checked.error().fields.front().message);
  }
  return prefix + "/";
}

Result<StoreConfig> read_config(std::string_view provider, const json::Value& config,
                                const ConfigLimits& limits) {
  const json::Object* object = config.as_object();
  if (object == nullptr) {
    return Error(ErrorCode::validation_failed, "the storage configuration must be a JSON object")
        .with_field("", fmt::format("must be an object, not {}", config.type_name()));
  }
  Members members(*object);
  StoreConfig result;
  if (provider == "aws_s3") {
    result = read_s3(members);
  } else if (provider == "minio") {
    result = read_minio(members);
  } else if (provider == "azure_blob") {
    result = read_azure(members);
  } else if (provider == "gcs") {
    result = read_gcs(members);
  } else if (provider == "nfs") {
    result = read_nfs(members, limits);
  } else if (provider == "smb") {
    result = read_smb(members, limits);
  } else {
    return Error(ErrorCode::validation_failed, "there is no such storage provider")
        .with_field("/provider", "must be azure_blob, aws_s3, gcs, minio, nfs or smb");
  }
  TRY_DO(members.finish(provider));
  return result;
}

json::Value describe_config(std::string_view, const json::Value& config) {
  json::Value result{json::Object()};
  if (config.as_object() == nullptr) return result;
  for (const auto& [name, value] : *config.as_object()) {
    if (value.is_null()) continue;
    const bool harmless = std::find(std::begin(kHarmless), std::end(kHarmless), name) != std::end(kHarmless);
    result.set(name, harmless ? value : json::Value(true));
  }
  return result;
}

}  // namespace rowhouse::storage
