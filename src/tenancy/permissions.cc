#include "tenancy/permissions.h"

#include <algorithm>

#include "base/text.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kEverything = "*";
constexpr std::string_view kAnyVerb = ":*";
constexpr std::size_t kMaxPatternBytes = 127;

// [a-z][a-z0-9_-]*: kinds of the platform's own operations may hold a hyphen.
bool is_part(std::string_view text) {
  if (text.empty() || text[0] < 'a' || text[0] > 'z') return false;
  return std::ranges::all_of(
      text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; });
}

bool has(const std::vector<std::string>& sorted, std::string_view wanted) {
  const auto found = std::lower_bound(sorted.begin(), sorted.end(), wanted,
                                      [](const std::string& a, std::string_view b) { return a < b; });
  return found != sorted.end() && *found == wanted;
}

void sort_and_unite(std::vector<std::string>& words) {
  std::ranges::sort(words);
  words.erase(std::unique(words.begin(), words.end()), words.end());
}

bool is_own(std::span<const OwnOperation> operations, std::string_view operation) {
  return std::ranges::any_of(operations, [&](const OwnOperation& own) { return own.name == operation; });
}

}  // namespace

std::string_view operation_kind(std::string_view operation) {
  return operation.substr(0, operation.find(':'));
}

bool is_permission_pattern(std::string_view text) {
  if (text == kEverything) return true;
  if (text.size() > kMaxPatternBytes) return false;
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || !is_part(text.substr(0, colon))) return false;
  return text.substr(colon) == kAnyVerb || is_part(text.substr(colon + 1));
}

Permissions Permissions::everything() {
  Permissions permissions;
  permissions.everything_ = true;
  return permissions;
}

Result<Permissions> Permissions::from(const std::vector<std::string>& patterns) {
  if (patterns.size() > kMaxPatterns) {
    return Error(ErrorCode::validation_failed,
                 "there are more than " + std::to_string(kMaxPatterns) + " permissions");
  }
  Permissions permissions;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    const std::string& pattern = patterns[i];
    if (!is_permission_pattern(pattern)) {
      return Error(ErrorCode::validation_failed, "a permission is not well-formed")
          .with_field("/" + std::to_string(i), "must be like lead:read, lead:* or *");
    }
    if (pattern == kEverything) return everything();
    if (pattern.ends_with(kAnyVerb)) {
      permissions.kinds_.emplace_back(operation_kind(pattern));
    } else {
      permissions.operations_.push_back(pattern);
    }
  }
  sort_and_unite(permissions.kinds_);
  sort_and_unite(permissions.operations_);
  std::erase_if(permissions.operations_, [&](const std::string& operation) {
    return has(permissions.kinds_, operation_kind(operation));
  });
  return permissions;
}

bool Permissions::contains(std::string_view operation) const {
  return everything_ || has(operations_, operation) || has(kinds_, operation_kind(operation));
}

bool Permissions::covers_pattern(std::string_view pattern) const {
  if (everything_) return true;
  if (pattern == kEverything) return false;
  if (pattern.ends_with(kAnyVerb)) return has(kinds_, operation_kind(pattern));
  return contains(pattern);
}

std::string Permissions::first_not_covered(const Permissions& other) const {
  for (const std::string& pattern : other.patterns()) {
    if (!covers_pattern(pattern)) return pattern;
  }
  return "";
}

bool Permissions::covers(const Permissions& other) const { return first_not_covered(other).empty(); }

std::vector<std::string> Permissions::patterns() const {
  std::vector<std::string> patterns;
  if (everything_) {
    patterns.emplace_back(kEverything);
    return patterns;
  }
  patterns.reserve(kinds_.size() + operations_.size());
  for (const std::string& kind : kinds_) patterns.push_back(kind + std::string(kAnyVerb));
  patterns.insert(patterns.end(), operations_.begin(), operations_.end());
  std::ranges::sort(patterns);
  return patterns;
}

const std::shared_ptr<const Permissions>& all_permissions() {
  static const std::shared_ptr<const Permissions> all =
      std::make_shared<const Permissions>(Permissions::everything());
  return all;
}

bool is_tenant_operation(std::string_view operation) { return is_own(kTenantOperations, operation); }

bool is_platform_operation(std::string_view operation) { return is_own(kPlatformOperations, operation); }

bool is_reserved_kind(std::string_view kind) {
  return std::ranges::any_of(kTenantOperations,
                             [&](const OwnOperation& own) { return operation_kind(own.name) == kind; });
}

}  // namespace rowhouse::tenancy
