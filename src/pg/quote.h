// The one place that puts names and values into SQL text. Pure functions (PostgreSQL manual, 4.1).
#pragma once

#include <string>
#include <string_view>

namespace rowhouse::pg {

// Longest name PostgreSQL keeps (NAMEDATALEN - 1); longer ones would be cut and could collide.
inline constexpr std::size_t kMaxNameBytes = 63;

// "leads" → "\"leads\"". The name must be valid UTF-8 of 1 to 63 bytes without NUL: anything else is a bug
// and aborts.
std::string quote_name(std::string_view name);
// quote_name(schema) + "." + quote_name(name)
std::string quote_qualified(std::string_view schema, std::string_view name);
// 'O''Brien', with E'' where there are backslashes. For statements that take no parameters (CREATE ROLE, …).
std::string quote_literal(std::string_view value);

}  // namespace rowhouse::pg
