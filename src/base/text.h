// Text helpers that several modules need: encodings, UTF-8 checks, splitting. Pure functions, no locale.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rowhouse {

// Lower-case hexadecimal.
std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view text);

// Base64url without padding (RFC 4648, section 5). Decoding is strict: no padding, no foreign characters, no
// stray bits in the last character, so that one value has one spelling.
std::string to_base64url(std::string_view bytes);
std::optional<std::string> from_base64url(std::string_view text);

// Percent-decoding. In a query component '+' is a space, in a path segment it is itself. nullopt for a bad
// escape.
enum class Plus { is_space, is_plus };
std::optional<std::string> percent_decode(std::string_view text, Plus plus = Plus::is_space);
// Percent-encoding of everything but the unreserved characters of RFC 3986.
std::string percent_encode(std::string_view text);

// Well-formed UTF-8 without surrogates or overlong forms (Unicode 15, table 3-7). NUL counts as well-formed.
bool is_valid_utf8(std::string_view text);
// Number of code points; `text` must be valid UTF-8.
std::size_t utf8_length(std::string_view text);

std::vector<std::string_view> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);
std::string to_lower_ascii(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);

// Decimal integer, whole text, optional '-'. nullopt on anything else or overflow.
std::optional<std::int64_t> parse_int64(std::string_view text);

}  // namespace rowhouse
