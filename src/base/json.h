// JSON values (RFC 8259) as Rowhouse needs them: strict, bounded, numbers kept as they were written.
//
// A number is kept as text because PostgreSQL's numeric holds more than a double does. Objects keep the order
// of their members; a duplicate member is an error, as are invalid UTF-8, nesting deeper than `max_depth`,
// and anything after the value. The parser underneath is Boost.JSON's. An object look-up is linear: bodies
// are small.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace rowhouse::json {

inline constexpr std::size_t kMaxDepth = 32;

class Value;
using Array = std::vector<Value>;
using Member = std::pair<std::string, Value>;
using Object = std::vector<Member>;

// The text of a JSON number, exactly as written ("1e400" is one).
struct Number {
  explicit Number(std::string digits) : text(std::move(digits)) {}
  std::string text;
  bool operator==(const Number&) const = default;
};

class Value {
 public:
  Value() = default;  // null
  Value(std::nullptr_t) {}
  Value(bool value) : data_(value) {}
  Value(std::int64_t value) : data_(Number(std::to_string(value))) {}
  Value(int value) : Value(static_cast<std::int64_t>(value)) {}
  Value(Number value) : data_(std::move(value)) {}
  Value(std::string value) : data_(std::move(value)) {}
  Value(std::string_view value) : data_(std::string(value)) {}
  Value(const char* value) : data_(std::string(value)) {}
  Value(Array value) : data_(std::move(value)) {}
  Value(Object value) : data_(std::move(value)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  const bool* as_bool() const { return std::get_if<bool>(&data_); }
  const Number* as_number() const { return std::get_if<Number>(&data_); }
  const std::string* as_string() const { return std::get_if<std::string>(&data_); }
  const Array* as_array() const { return std::get_if<Array>(&data_); }
  const Object* as_object() const { return std::get_if<Object>(&data_); }
  Array* as_array() { return std::get_if<Array>(&data_); }
  Object* as_object() { return std::get_if<Object>(&data_); }
  // The number as an integer; nullopt if it is not one or does not fit.
  std::optional<std::int64_t> as_int64() const;

  // Member of an object, or null if this is no object or has no such member.
  const Value* find(std::string_view name) const;
  // Sets or replaces a member; this becomes an object if it was null.
  void set(std::string name, Value value);

  // "null", "boolean", "number", "string", "array" or "object".
  std::string_view type_name() const;
  bool operator==(const Value&) const = default;

 private:
  std::variant<std::monostate, bool, Number, std::string, Array, Object> data_;
};

// The error is malformed_json; its message says what and at which byte.
Result<Value> parse(std::string_view text, std::size_t max_depth = kMaxDepth);

std::string serialize(const Value& value);
// Two-space indentation, for people.
std::string serialize_pretty(const Value& value);
void append_string(std::string& out, std::string_view text);  // quoted and escaped
void append(std::string& out, const Value& value);

}  // namespace rowhouse::json
