// Shared by the readers of configurations (config.cc, config_cloud.cc, config_shares.cc): members, hosts,
// addresses, and which characters are what.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "storage/config.h"

namespace rowhouse::storage {

inline constexpr std::size_t kMaxValueBytes = 4'096;

inline bool is_one_of(char c, std::string_view others) { return others.find(c) != std::string_view::npos; }
inline bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
inline bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_alnum(char c) { return is_lower(c) || is_upper(c) || is_digit(c); }
inline bool is_printable(char c) { return c > 0x20 && c < 0x7f; }

template <class Predicate>
bool all_of(std::string_view text, Predicate predicate) {
  return std::all_of(text.begin(), text.end(), predicate);
}

// The members of one configuration: each is taken once, and what is left over is a fault.
class Members {
 public:
  explicit Members(const json::Object& object) : object_(object) {}

  void fault(std::string_view member, std::string what) {
    faults_.emplace_back(fmt::format("/{}", member), std::move(what));
  }
  const json::Value* take(std::string_view name) {
    taken_.push_back(name);
    for (const auto& [member, value] : object_) {
      if (member == name && !value.is_null()) return &value;
    }
    return nullptr;
  }
  std::optional<std::string> text(std::string_view name, std::size_t max_bytes = kMaxValueBytes) {
    const json::Value* value = take(name);
    if (value == nullptr) return std::nullopt;
    const std::string* text = value->as_string();
    if (text == nullptr) {
      fault(name, fmt::format("must be a string, not {}", value->type_name()));
      return std::nullopt;
    }
    if (text->empty() || text->size() > max_bytes) {
      fault(name,
            text->empty() ? std::string("is empty") : fmt::format("is longer than {} bytes", max_bytes));
      return std::nullopt;
    }
    if (text->find('\0') != std::string::npos) {
      fault(name, "has a NUL");
      return std::nullopt;
    }
    return *text;
  }
  std::string required(std::string_view name, std::size_t max_bytes = kMaxValueBytes) {
    const std::size_t before = faults_.size();
    auto value = text(name, max_bytes);
    if (!value && faults_.size() == before) fault(name, "is missing");
    return value.value_or("");
  }
  Result<void> finish(std::string_view provider) {
    for (const auto& [member, value] : object_) {
      if (std::find(taken_.begin(), taken_.end(), member) == taken_.end()) {
        fault(member, fmt::format("is no member of a configuration of {}", provider));
      }
    }
    if (faults_.empty()) return {};
    Error error(ErrorCode::validation_failed, "the storage configuration is not valid");
    error.fields = std::move(faults_);
    return error;
  }

 private:
  const json::Object& object_;
  std::vector<std::string_view> taken_;
  std::vector<FieldError> faults_;
};

struct HostPort {
  std::string host;  // "host", "1.2.3.4" or "[::1]", lower case
  int port = 0;
};
std::optional<int> read_port(std::string_view text);
std::optional<HostPort> read_host_port(std::string_view text);  // with or without ":port"

struct Url {
  std::string scheme, authority, path;
};
// "https://host[:port][/path]" and no more: no user, no query, no fragment.
std::optional<Url> read_url(std::string_view text);

std::string read_prefix(Members& members);

StoreConfig read_s3(Members& members);
StoreConfig read_minio(Members& members);
StoreConfig read_azure(Members& members);
StoreConfig read_gcs(Members& members);
StoreConfig read_nfs(Members& members, const ConfigLimits& limits);
StoreConfig read_smb(Members& members, const ConfigLimits& limits);

}  // namespace rowhouse::storage
