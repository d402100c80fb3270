#include "tenancy/tenant.h"

#include <array>
#include <utility>

namespace rowhouse::tenancy {

namespace {

constexpr std::array<std::pair<TenantStatus, std::string_view>, 5> kStatuses = {{
    {TenantStatus::provisioning, "provisioning"},
    {TenantStatus::active, "active"},
    {TenantStatus::suspended, "suspended"},
    {TenantStatus::archived, "archived"},
    {TenantStatus::deleting, "deleting"},
}};

constexpr std::array<std::pair<StorageChoice, std::string_view>, 3> kStorageChoices = {{
    {StorageChoice::byos, "byos"},
    {StorageChoice::provisioned, "provisioned"},
    {StorageChoice::none, "none"},
}};

template <class Table, class Value>
std::string_view name_in(const Table& table, Value value) {
  for (const auto& [candidate, name] : table) {
    if (candidate == value) return name;
  }
  return "";
}

template <class Value, class Table>
std::optional<Value> value_in(const Table& table, std::string_view text) {
  for (const auto& [candidate, name] : table) {
    if (name == text) return candidate;
  }
  return std::nullopt;
}

}  // namespace

std::string_view tenant_status_name(TenantStatus status) { return name_in(kStatuses, status); }
std::optional<TenantStatus> parse_tenant_status(std::string_view text) {
  return value_in<TenantStatus>(kStatuses, text);
}

std::string_view storage_choice_name(StorageChoice choice) { return name_in(kStorageChoices, choice); }
std::optional<StorageChoice> parse_storage_choice(std::string_view text) {
  return value_in<StorageChoice>(kStorageChoices, text);
}

}  // namespace rowhouse::tenancy
