// Names made from tenants' names: slugs, and the databases, roles and schemas on the server.
//
// Pure functions. A slug is [a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?, never in the form of a UUID, so that "id or
// slug" is unambiguous. Object names end in twelve hexadecimal digits of the tenant's id: tenants whose slugs
// differ only in what a name on the server cannot hold still get different objects, and none is longer than
// 63 bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/uuid.h"

namespace rowhouse::tenancy {

inline constexpr std::size_t kMaxTenantNameCharacters = 200;
inline constexpr std::size_t kMaxSlugBytes = 40;

// What is wrong with a tenant's name (for people), or nullopt: 1 to 200 characters of valid UTF-8, at least
// one of them visible, no control characters, no invisible formatting that lets two names look alike.
std::optional<std::string> fault_of_tenant_name(std::string_view name);

bool is_valid_slug(std::string_view text);

// Lower case, common Latin letters without their marks, everything else a dash. A name with nothing usable
// (only emoji) becomes "tenant-<short id>".
std::string slug_from_name(std::string_view name, const Uuid& id);

// "acme", 2 → "acme-2"; the slug is cut where the result would be too long.
std::string slug_with_number(std::string_view slug, std::uint64_t number);

// The last twelve hexadecimal digits: all of them random in a version 7 UUID.
std::string short_id(const Uuid& id);

std::string tenant_database_name(std::string_view slug, const Uuid& id);  // "tenant_acme_corp_0123456789ab"
std::string tenant_role_name(std::string_view slug, const Uuid& id);      // the same
std::string tenant_schema_name(std::string_view slug, const Uuid& id);    // "t_acme_corp_0123456789ab"

}  // namespace rowhouse::tenancy
