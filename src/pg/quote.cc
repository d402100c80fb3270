#include "pg/quote.h"

#include <cstdlib>

#include "base/text.h"

namespace rowhouse::pg {

std::string quote_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || name.find('\0') != std::string_view::npos ||
      !is_valid_utf8(name)) {
    std::abort();
  }
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  quoted += '"';
  return quoted;
}

std::string quote_qualified(std::string_view schema, std::string_view name) {
  return quote_name(schema) + "." + quote_name(name);
}

std::string quote_literal(std::string_view value) {
  if (value.find('\0') != std::string_view::npos || !is_valid_utf8(value)) std::abort();
  // With E'' backslashes mean the same whatever standard_conforming_strings says. The leading space keeps the
  // E apart from a word before it, as PQescapeLiteral does.
  const bool has_backslash = value.find('\\') != std::string_view::npos;
  std::string quoted = has_backslash ? " E'" : "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  quoted += '\'';
  return quoted;
}

}  // namespace rowhouse::pg
