#include "tenancy/pack_names.h"

#include <algorithm>

#include "base/text.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::size_t kMaxPackNameBytes = 40;
constexpr std::size_t kMaxNameBytes = 63;
constexpr std::size_t kMaxOperationBytes = 127;
constexpr std::size_t kMaxMetricStemBytes = 80;
constexpr std::size_t kMaxMigrationNameBytes = 63;
constexpr std::size_t kMaxSampleStemBytes = 100;
constexpr std::size_t kMaxVersionPartDigits = 9;

constexpr std::array<std::string_view, 7> kReservedColumns = {"select", "order",       "limit", "cursor",
                                                              "count",  "on_conflict", "format"};

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A lower-case letter, then letters, digits and `extra`.
bool is_name(std::string_view text, char extra, std::size_t max_bytes) {
  if (text.empty() || text.size() > max_bytes || !is_lower(text[0])) return false;
  return std::ranges::all_of(text, [&](char c) { return is_lower(c) || is_digit(c) || c == extra; });
}

bool is_word(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return is_lower(c) || is_digit(c) || c == '_'; });
}

}  // namespace

bool is_pack_name(std::string_view text) { return is_name(text, '-', kMaxPackNameBytes); }
bool is_simple_name(std::string_view text) { return is_name(text, '_', kMaxNameBytes); }

bool is_metric_name(std::string_view text) {
  constexpr std::string_view kStart = "tenant_";
  constexpr std::string_view kEnding = "_total";
  if (text.size() <= kStart.size() + kEnding.size() || !text.starts_with(kStart) || !text.ends_with(kEnding))
    return false;
  const auto stem = text.substr(kStart.size(), text.size() - kStart.size() - kEnding.size());
  return stem.size() <= kMaxMetricStemBytes && is_word(stem);
}

bool is_operation_name(std::string_view text) {
  const auto parts = split(text, ':');
  return parts.size() == 2 && text.size() <= kMaxOperationBytes &&
         is_name(parts[0], '_', kMaxOperationBytes) && is_name(parts[1], '_', kMaxOperationBytes);
}

bool is_migration_name(std::string_view text) {
  return text.size() > 5 && text.size() <= kMaxMigrationNameBytes &&
         std::ranges::all_of(text.substr(0, 4), is_digit) && text[4] == '_' && is_word(text.substr(5));
}

bool is_sample_path(std::string_view text) {
  constexpr std::string_view kFolder = "sample/";
  constexpr std::string_view kEnding = ".csv";
  if (text.size() <= kFolder.size() + kEnding.size() || !text.starts_with(kFolder) ||
      !text.ends_with(kEnding))
    return false;
  const auto stem = text.substr(kFolder.size(), text.size() - kFolder.size() - kEnding.size());
  const auto fits = [](char c) {
    return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-';
  };
  return stem.size() <= kMaxSampleStemBytes && stem[0] != '.' && stem[0] != '-' &&
         std::ranges::all_of(stem, fits);
}

bool is_reserved_column(std::string_view text) {
  return std::ranges::find(kReservedColumns, text) != kReservedColumns.end();
}

std::optional<PackVersion> parse_pack_version(std::string_view text) {
  const auto parts = split(text, '.');
  PackVersion version{};
  if (parts.size() != version.size()) return std::nullopt;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string_view part = parts[i];
    if (part.empty() || part.size() > kMaxVersionPartDigits || !std::ranges::all_of(part, is_digit))
      return std::nullopt;
    if (part.size() > 1 && part[0] == '0') return std::nullopt;
    version[i] = static_cast<std::uint32_t>(*parse_int64(part));
  }
  return version;
}

}  // namespace rowhouse::tenancy
