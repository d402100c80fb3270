#include "tenancy/tenant_operations.h"

#include <utility>

namespace rowhouse::tenancy {

namespace {

constexpr const char* kSlug = "slug";
constexpr const char* kPack = "pack";
constexpr const char* kTier = "tier";
constexpr const char* kDatabase = "database";
constexpr const char* kSchema = "schema";
constexpr const char* kRole = "role";
constexpr const char* kAddress = "address";

const std::string* text_of(const json::Value& object, std::string_view name) {
  const json::Value* value = object.find(name);
  return value == nullptr ? nullptr : value->as_string();
}

}  // namespace

json::Value operation_input(const Tenant& tenant, const Actor& actor) {
  json::Value input;
  input.set(kSlug, tenant.slug);
  input.set(kPack, tenant.pack_name);
  input.set(kTier, tier_name(tenant.placement.tier));
  input.set(kDatabase, tenant.placement.database);
  input.set(kSchema, tenant.placement.schema);
  input.set(kRole, tenant.placement.role);
  input.set(kAddress, actor.address);
  input.set(kStorage, storage_choice_name(tenant.storage));
  return input;
}

std::string request_key_of(std::string_view kind, const Actor& actor, std::string_view key) {
  return std::string(kind) + "/" + actor.name + "/" + std::string(key);
}

Result<Tenant> subject_of(const operations::Run& run) {
  Tenant tenant;
  struct Text {
    const char* name;
    std::string& place;
  };
  const auto* tier_text = text_of(run.input(), kTier);
  const auto tier = tier_text == nullptr ? std::nullopt : parse_tier(*tier_text);
  bool complete = run.tenant().has_value() && tier.has_value();
  for (const Text& text :
       {Text{kSlug, tenant.slug}, Text{kPack, tenant.pack_name}, Text{kDatabase, tenant.placement.database},
        Text{kSchema, tenant.placement.schema}, Text{kRole, tenant.placement.role}}) {
    const auto* value = text_of(run.input(), text.name);
    complete = complete && value != nullptr && !value->empty();
    if (value != nullptr) text.place = *value;
  }
  if (!complete) return Error(ErrorCode::internal, "the operation does not say which tenant it is about");
  tenant.id = *run.tenant();
  tenant.placement.tier = *tier;
  return tenant;
}

Actor actor_of(const operations::Run& run) {
  const auto* address = text_of(run.input(), kAddress);
  return Actor(run.requested_by(), address == nullptr ? "" : *address);
}

bool has_tier(const json::Value& input, Tier tier) {
  const auto* text = text_of(input, kTier);
  return text != nullptr && *text == tier_name(tier);
}

}  // namespace rowhouse::tenancy
