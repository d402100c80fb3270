#include "tenancy/names.h"

#include <array>
#include <utility>

#include "base/text.h"

namespace rowhouse::tenancy {

namespace {

// Latin-1 Supplement and Latin Extended-A (U+00C0 to U+017F), one entry for each code point; "" = a
// separator.
constexpr std::array<std::string_view, 0x180 - 0xC0> kLatin = {
    "a", "a", "a",  "a",  "a", "a", "ae", "c", "e", "e", "e", "e", "i", "i", "i",  "i",   // C0
    "d", "n", "o",  "o",  "o", "o", "o",  "",  "o", "u", "u", "u", "u", "y", "th", "ss",  // D0
    "a", "a", "a",  "a",  "a", "a", "ae", "c", "e", "e", "e", "e", "i", "i", "i",  "i",   // E0
    "d", "n", "o",  "o",  "o", "o", "o",  "",  "o", "u", "u", "u", "u", "y", "th", "y",   // F0
    "a", "a", "a",  "a",  "a", "a", "c",  "c", "c", "c", "c", "c", "c", "c", "d",  "d",   // 100
    "d", "d", "e",  "e",  "e", "e", "e",  "e", "e", "e", "e", "e", "g", "g", "g",  "g",   // 110
    "g", "g", "g",  "g",  "h", "h", "h",  "h", "i", "i", "i", "i", "i", "i", "i",  "i",   // 120
    "i", "i", "ij", "ij", "j", "j", "k",  "k", "k", "l", "l", "l", "l", "l", "l",  "l",   // 130
    "l", "l", "l",  "n",  "n", "n", "n",  "n", "n", "n", "n", "n", "o", "o", "o",  "o",   // 140
    "o", "o", "oe", "oe", "r", "r", "r",  "r", "r", "r", "s", "s", "s", "s", "s",  "s",   // 150
    "s", "s", "t",  "t",  "t", "t", "t",  "t", "u", "u", "u", "u", "u", "u", "u",  "u",   // 160
    "u", "u", "u",  "u",  "w", "w", "y",  "y", "y", "z", "z", "z", "z", "z", "z",  "s",   // 170
};

// Takes one code point off the front of valid UTF-8.
char32_t take_code_point(std::string_view& text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  char32_t code = length == 1 ? first : first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) code = code << 6 | (byte(i) & 0x3FU);
  text.remove_prefix(length);
  return code;
}

// Controls, and the invisible characters with which two different names could look the same.
bool is_control(char32_t code) { return code < 0x20 || (code >= 0x7F && code < 0xA0); }
bool is_invisible(char32_t code) {
  return code == 0xAD || code == 0x61C || (code >= 0x200B && code <= 0x200F) || code == 0x2028 ||
         code == 0x2029 || (code >= 0x202A && code <= 0x202E) || (code >= 0x2060 && code <= 0x2069) ||
         code == 0xFEFF || (code >= 0xFFF9 && code <= 0xFFFB) || (code >= 0xE0000 && code <= 0xE0FFF);
}
// U+200D joins emoji; U+FE0F and U+200C belong to ordinary writing as well.
bool is_joiner(char32_t code) { return code == 0x200C || code == 0x200D; }
bool is_space(char32_t code) {
  return code == ' ' || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_slug_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

void append_separator(std::string& slug) {
  if (!slug.empty() && slug.back() != '-') slug += '-';
}

std::string without_dashes_at_the_end(std::string slug) {
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return slug;
}

void append_letter(std::string& slug, char32_t code) {
  if (code < 0x80) {
    const char c = static_cast<char>(code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code);
    if (is_slug_letter(c)) {
      slug += c;
    } else if (c != '\'') {  // "O'Brien" is one word
      append_separator(slug);
    }
    return;
  }
  if (code == 0x2019) return;  // the same apostrophe, typographic
  const std::string_view latin = code >= 0xC0 && code < 0x180 ? kLatin[code - 0xC0] : std::string_view();
  const bool is_combining_mark = code >= 0x300 && code < 0x370;
  if (is_combining_mark) return;
  if (latin.empty()) {
    append_separator(slug);
  } else {
    slug += latin;
  }
}

std::string object_name(std::string_view prefix, std::string_view slug, const Uuid& id) {
  std::string name(prefix);
  for (const char c : slug) name += c == '-' ? '_' : c;
  return name + "_" + short_id(id);
}

}  // namespace

std::optional<std::string> fault_of_tenant_name(std::string_view name) {
  if (!is_valid_utf8(name)) return "is not valid UTF-8";
  std::size_t characters = 0;
  bool visible = false;
  for (auto rest = name; !rest.empty(); ++characters) {
    const char32_t code = take_code_point(rest);
    if (is_control(code)) return "must not contain control characters";
    if (is_invisible(code) && !is_joiner(code)) return "must not contain invisible formatting characters";
    visible = visible || !(is_space(code) || is_joiner(code) || (code >= 0xFE00 && code <= 0xFE0F));
  }
  if (!visible) return "must not be blank";
  if (characters > kMaxTenantNameCharacters) {
    return "must have at most " + std::to_string(kMaxTenantNameCharacters) + " characters";
  }
  return std::nullopt;
}

bool is_valid_slug(std::string_view text) {
  if (text.empty() || text.size() > kMaxSlugBytes) return false;
  if (!is_slug_letter(text.front()) || !is_slug_letter(text.back())) return false;
  for (const char c : text) {
    if (!is_slug_letter(c) && c != '-') return false;
  }
  return !Uuid::parse(text).has_value();
}

std::string slug_from_name(std::string_view name, const Uuid& id) {
  std::string slug;
  while (!name.empty() && slug.size() < kMaxSlugBytes) append_letter(slug, take_code_point(name));
  if (slug.size() > kMaxSlugBytes) slug.resize(kMaxSlugBytes);
  slug = without_dashes_at_the_end(std::move(slug));
  return is_valid_slug(slug) ? slug : "tenant-" + short_id(id);
}

std::string slug_with_number(std::string_view slug, std::uint64_t number) {
  const std::string suffix = "-" + std::to_string(number);
  const auto stem = without_dashes_at_the_end(std::string(slug.substr(0, kMaxSlugBytes - suffix.size())));
  return stem + suffix;
}

std::string short_id(const Uuid& id) { return id.to_string().substr(24); }

std::string tenant_database_name(std::string_view slug, const Uuid& id) {
  return object_name("tenant_", slug, id);
}
std::string tenant_role_name(std::string_view slug, const Uuid& id) {
  return object_name("tenant_", slug, id);
}
std::string tenant_schema_name(std::string_view slug, const Uuid& id) { return object_name("t_", slug, id); }

}  // namespace rowhouse::tenancy
