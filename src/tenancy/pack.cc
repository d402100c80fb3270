#include "tenancy/pack.h"

namespace rowhouse::tenancy {

std::string_view tier_name(Tier tier) {
  switch (tier) {
    case Tier::pool:
      return "pool";
    case Tier::schema:
      return "schema";
    case Tier::database:
      return "database";
  }
  return "";
}

std::optional<Tier> parse_tier(std::string_view text) {
  for (const Tier tier : {Tier::pool, Tier::schema, Tier::database}) {
    if (text == tier_name(tier)) return tier;
  }
  return std::nullopt;
}

const Column* Resource::find_column(std::string_view column_name) const {
  for (const Column& column : columns) {
    if (column.name == column_name) return &column;
  }
  return nullptr;
}

const Plan* Manifest::find_plan(std::string_view plan_name) const {
  for (const Plan& plan : plans) {
    if (plan.name == plan_name) return &plan;
  }
  return nullptr;
}

const Role* Manifest::find_role(std::string_view role_name) const {
  for (const Role& role : roles) {
    if (role.name == role_name) return &role;
  }
  return nullptr;
}

}  // namespace rowhouse::tenancy
