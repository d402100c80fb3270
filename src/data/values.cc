#include "data/values.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include "base/text.h"
#include "base/uuid.h"

namespace rowhouse::data {
namespace {

using tenancy::Column;
using tenancy::ColumnKind;

constexpr std::string_view kNulFault = "must not contain the character NUL";
constexpr std::size_t kMaxLabelsShown = 20;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string must_be(std::string_view what) { return "must be " + std::string(what); }

std::string type_fault(std::string_view expected, const json::Value& value) {
  return must_be(expected) + ", not " + std::string(value.type_name());
}

bool has_nul(const json::Value& value) {
  if (const std::string* text = value.as_string()) return text->find('\0') != std::string::npos;
  if (const json::Array* array = value.as_array()) return std::any_of(array->begin(), array->end(), has_nul);
  if (const json::Object* object = value.as_object()) {
    return std::any_of(object->begin(), object->end(), [](const json::Member& member) {
      return member.first.find('\0') != std::string::npos || has_nul(member.second);
    });
  }
  return false;
}

struct IntegerRange {
  std::int64_t lowest = std::numeric_limits<std::int64_t>::min();
  std::int64_t highest = std::numeric_limits<std::int64_t>::max();
};

IntegerRange range_of(std::string_view type) {
  IntegerRange range;
  if (type == "smallint") {
    range.lowest = std::numeric_limits<std::int16_t>::min();
    range.highest = std::numeric_limits<std::int16_t>::max();
  } else if (type == "integer") {
    range.lowest = std::numeric_limits<std::int32_t>::min();
    range.highest = std::numeric_limits<std::int32_t>::max();
  }
  return range;
}

Converted convert_integer(const Column& column, std::string_view text) {
  const IntegerRange range = range_of(column.type);
  const auto number = parse_int64(text);
  const std::size_t sign = text.starts_with('-') ? 1 : 0;
  const bool digits_only = text.size() > sign && std::all_of(text.begin() + sign, text.end(), is_digit);
  if (!digits_only) return Converted::fail(must_be("an integer"));
  if (!number || *number < range.lowest || *number > range.highest) {
    return Converted::fail(must_be("between ") + std::to_string(range.lowest) + " and " +
                           std::to_string(range.highest));
  }
  return Converted::of(std::to_string(*number));
}

Converted convert_boolean(std::string_view text) {
  constexpr std::array<std::string_view, 6> kTrue = {"true", "t", "yes", "y", "on", "1"};
  constexpr std::array<std::string_view, 6> kFalse = {"false", "f", "no", "n", "off", "0"};
  const std::string lower = to_lower_ascii(text);
  if (std::find(kTrue.begin(), kTrue.end(), lower) != kTrue.end()) return Converted::of("true");
  if (std::find(kFalse.begin(), kFalse.end(), lower) != kFalse.end()) return Converted::of("false");
  return Converted::fail(must_be("true or false"));
}

// PostgreSQL also takes words such as "now" and "tomorrow": those are refused, a body means the same on every
// day.
bool is_time_like(std::string_view text) {
  return (!text.empty() && is_digit(text.front())) || text == "infinity" || text == "-infinity";
}

bool is_hex_bytes(std::string_view text) {
  return text.starts_with("\\x") && from_hex(text.substr(2)).has_value();
}

// Appends a JSON array in PostgreSQL's form; "" or a fault.
std::string append_array(std::string& out, std::string_view element, const json::Array& array) {
  const auto append_quoted = [&](std::string_view text) {
    out.push_back('"');
    for (const char c : text) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    out.push_back('"');
  };
  const bool of_json = element == "jsonb" || element == "json";
  out.push_back('{');
  for (std::size_t i = 0; i < array.size(); ++i) {
    const json::Value& item = array[i];
    if (i > 0) out.push_back(',');
    if (item.is_null()) {
      out += "NULL";
    } else if (of_json) {
      append_quoted(json::serialize(item));
    } else if (const json::Array* nested = item.as_array()) {
      if (std::string fault = append_array(out, element, *nested); !fault.empty()) return fault;
    } else if (const std::string* text = item.as_string()) {
      append_quoted(*text);
    } else if (const json::Number* number = item.as_number()) {
      append_quoted(number->text);
    } else if (const bool* flag = item.as_bool()) {
      append_quoted(*flag ? "true" : "false");
    } else {
      return must_be("an array of simple values");
    }
  }
  out.push_back('}');
  return {};
}

Converted convert_array(const Column& column, const json::Value& value) {
  const json::Array* array = value.as_array();
  if (array == nullptr) return Converted::fail(type_fault("an array", value));
  if (has_nul(value)) return Converted::fail(std::string(kNulFault));
  std::string literal;
  if (std::string fault = append_array(literal, element_type(column.type), *array); !fault.empty()) {
    return Converted::fail(std::move(fault));
  }
  return Converted::of(std::move(literal));
}

Converted convert_json_number(const Column& column, const json::Value& value) {
  const json::Number* number = value.as_number();
  if (column.kind == ColumnKind::integer) {
    if (number == nullptr) return Converted::fail(type_fault("an integer", value));
    return convert_integer(column, number->text);
  }
  if (number != nullptr) return Converted::of(number->text);
  // JSON has no other way to write these three; answers write them the same way.
  const std::string* text = value.as_string();
  if (text != nullptr && (*text == "NaN" || *text == "Infinity" || *text == "-Infinity")) {
    return Converted::of(*text);
  }
  return Converted::fail(type_fault("a number", value));
}

Converted convert_json_string(const Column& column, const json::Value& value) {
  const std::string* text = value.as_string();
  if (text == nullptr) return Converted::fail(type_fault("a string", value));
  return convert_text(column, *text);
}

// Digits in front of the decimal point that a number needs: "123.4" 3, "0.05" 0, "1e6" 7.
std::int64_t integer_digits(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const auto exponent_at = text.find_first_of("eE");
  std::int64_t exponent = 0;
  if (exponent_at != std::string_view::npos) {
    std::string_view digits = text.substr(exponent_at + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    exponent = parse_int64(digits).value_or(digits.starts_with('-') ? -1'000'000 : 1'000'000);
  }
  const std::string_view mantissa = text.substr(0, exponent_at);
  const auto point = std::min(mantissa.find('.'), mantissa.size());
  for (std::size_t i = 0; i < mantissa.size(); ++i) {
    if (mantissa[i] == '.' || mantissa[i] == '0') continue;
    const auto place = static_cast<std::int64_t>(point) - static_cast<std::int64_t>(i) + (i > point ? 1 : 0);
    return std::max<std::int64_t>(0, place + std::clamp<std::int64_t>(exponent, -1'000'000, 1'000'000));
  }
  return 0;
}

std::string precision_fault(std::string_view type, std::string_view text) {
  constexpr std::string_view kPrefix = "numeric(";
  if (!type.starts_with(kPrefix) || !type.ends_with(')')) return {};
  if (text.ends_with("Infinity")) return must_be("a finite number");
  if (text == "NaN") return {};
  const auto parts = split(type.substr(kPrefix.size(), type.size() - kPrefix.size() - 1), ',');
  const auto precision = parse_int64(parts[0]);
  const auto scale = parts.size() > 1 ? parse_int64(parts[1]) : std::optional<std::int64_t>(0);
  if (!precision || !scale) return {};
  const std::int64_t places = std::max<std::int64_t>(0, *precision - *scale);
  if (integer_digits(text) <= places) return {};
  return "must have at most " + std::to_string(places) + " digits before the decimal point";
}

std::string label_fault(const Column& column, std::string_view text) {
  if (std::find(column.labels.begin(), column.labels.end(), text) != column.labels.end()) return {};
  std::string fault = must_be("one of ");
  for (std::size_t i = 0; i < column.labels.size() && i < kMaxLabelsShown; ++i) {
    if (i > 0) fault += ", ";
    fault += column.labels[i];
  }
  if (column.labels.size() > kMaxLabelsShown) fault += ", …";
  return fault;
}

}  // namespace

std::string_view element_type(std::string_view type) {
  const auto bracket = type.find('[');
  return bracket == std::string_view::npos ? std::string_view() : type.substr(0, bracket);
}

bool is_number_text(std::string_view text) {
  if (text == "NaN" || text == "Infinity" || text == "-Infinity") return true;
  std::size_t i = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  const auto digits = [&] {
    const std::size_t start = i;
    while (i < text.size() && is_digit(text[i])) ++i;
    return i - start;
  };
  const std::size_t whole = digits();
  std::size_t fraction = 0;
  if (i < text.size() && text[i] == '.') {
    ++i;
    fraction = digits();
  }
  if (whole + fraction == 0) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

std::string array_literal(const std::vector<pg::Param>& elements) {
  std::string out = "{";
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (i > 0) out.push_back(',');
    if (!elements[i]) {
      out += "NULL";
      continue;
    }
    out.push_back('"');
    for (const char c : *elements[i]) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    out.push_back('"');
  }
  out.push_back('}');
  return out;
}

Converted convert_json(const Column& column, const json::Value& value) {
  if (value.is_null()) return Converted::null();
  switch (column.kind) {
    case ColumnKind::boolean: {
      const bool* flag = value.as_bool();
      if (flag == nullptr) return Converted::fail(type_fault("a boolean", value));
      return Converted::of(*flag ? "true" : "false");
    }
    case ColumnKind::integer:
    case ColumnKind::number:
      return convert_json_number(column, value);
    case ColumnKind::json:
      if (has_nul(value)) return Converted::fail(std::string(kNulFault));
      return Converted::of(json::serialize(value));
    case ColumnKind::array:
      return convert_array(column, value);
    case ColumnKind::text:
    case ColumnKind::uuid:
    case ColumnKind::date:
    case ColumnKind::timestamp:
    case ColumnKind::bytes:
    case ColumnKind::other:
      break;
  }
  return convert_json_string(column, value);
}

Converted convert_text(const Column& column, std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return Converted::fail(std::string(kNulFault));
  switch (column.kind) {
    case ColumnKind::boolean:
      return convert_boolean(text);
    case ColumnKind::integer:
      return convert_integer(column, text);
    case ColumnKind::number:
      if (!is_number_text(text)) return Converted::fail(must_be("a number"));
      break;
    case ColumnKind::uuid:
      if (!Uuid::parse(text)) return Converted::fail(must_be("a UUID"));
      break;
    case ColumnKind::date:
      if (!is_time_like(text)) return Converted::fail(must_be("a date such as 2026-11-21"));
      break;
    case ColumnKind::timestamp:
      if (!is_time_like(text)) return Converted::fail(must_be("a time such as 2026-11-21T05:40:00Z"));
      break;
    case ColumnKind::bytes:
      if (!is_hex_bytes(text)) return Converted::fail(must_be("bytes in hexadecimal such as \\x00ff"));
      break;
    case ColumnKind::json: {
      const auto value = json::parse(text);
      if (!value.ok()) return Converted::fail("must be JSON: " + value.error().message);
      if (has_nul(*value)) return Converted::fail(std::string(kNulFault));
      break;
    }
    case ColumnKind::array: {
      if (text.starts_with('{')) break;
      const auto value = json::parse(text);
      if (!value.ok()) return Converted::fail(must_be("an array such as [\"a\",\"b\"]"));
      return convert_array(column, *value);
    }
    case ColumnKind::text:
    case ColumnKind::other:
      break;
  }
  return Converted::of(std::string(text));
}

std::string storage_fault(const Column& column, std::string_view text) {
  if (!column.labels.empty() && column.kind != ColumnKind::array) return label_fault(column, text);
  if (column.kind == ColumnKind::number) return precision_fault(column.type, text);
  if (column.kind == ColumnKind::text && column.max_characters &&
      utf8_length(text) > *column.max_characters) {
    return "must have at most " + std::to_string(*column.max_characters) + " characters";
  }
  return {};
}

}  // namespace rowhouse::data
