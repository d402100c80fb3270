#include "base/json.h"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>

#include "base/text.h"

namespace rowhouse::json {

std::optional<std::int64_t> Value::as_int64() const {
  const Number* number = as_number();
  return number != nullptr ? parse_int64(number->text) : std::nullopt;
}

const Value* Value::find(std::string_view name) const {
  const Object* object = as_object();
  if (object == nullptr) return nullptr;
  for (const auto& [key, value] : *object) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Value::set(std::string name, Value value) {
  if (is_null()) data_ = Object();
  Object& object = *as_object();
  for (auto& [key, existing] : object) {
    if (key == name) {
      existing = std::move(value);
      return;
    }
  }
  object.emplace_back(std::move(name), std::move(value));
}

std::string_view Value::type_name() const {
  switch (data_.index()) {
    case 1:
      return "boolean";
    case 2:
      return "number";
    case 3:
      return "string";
    case 4:
      return "array";
    case 5:
      return "object";
    default:
      return "null";
  }
}

namespace {

// Builds a Value from the parser's events. Text may arrive in parts: on_*_part appends, on_* completes.
class Builder {
 public:
  static constexpr std::size_t max_object_size = 4096;
  static constexpr std::size_t max_array_size = 1'000'000;
  static constexpr std::size_t max_key_size = 4096;
  static constexpr std::size_t max_string_size = 64U << 20;
  using error_code = boost::json::error_code;

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return open(Object()); }
  bool on_object_end(std::size_t, error_code&) { return close(); }
  bool on_array_begin(error_code&) { return open(Array()); }
  bool on_array_end(std::size_t, error_code&) { return close(); }
  bool on_key_part(boost::json::string_view part, std::size_t, error_code&) { return add_text(part); }
  bool on_key(boost::json::string_view part, std::size_t, error_code& error) {
    add_text(part);
    key_ = std::exchange(text_, {});
    if (stack_.back().find(key_) != nullptr) {
      duplicate_ = key_;
      error = boost::json::error::syntax;
      return false;
    }
    keys_.push_back(key_);
    return true;
  }
  bool on_string_part(boost::json::string_view part, std::size_t, error_code&) { return add_text(part); }
  bool on_string(boost::json::string_view part, std::size_t, error_code&) {
    add_text(part);
    return add(Value(std::exchange(text_, {})));
  }
  bool on_number_part(boost::json::string_view part, error_code&) { return add_text(part); }
  bool on_int64(std::int64_t, boost::json::string_view part, error_code&) { return add_number(part); }
  bool on_uint64(std::uint64_t, boost::json::string_view part, error_code&) { return add_number(part); }
  bool on_double(double, boost::json::string_view part, error_code&) { return add_number(part); }
  bool on_bool(bool value, error_code&) { return add(Value(value)); }
  bool on_null(error_code&) { return add(Value()); }
  bool on_comment_part(boost::json::string_view, error_code&) { return true; }
  bool on_comment(boost::json::string_view, error_code&) { return true; }

  Value take() { return std::move(root_); }
  const std::string& duplicate() const { return duplicate_; }

 private:
  bool add_text(boost::json::string_view part) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool add_number(boost::json::string_view part) {
    add_text(part);
    return add(Value(Number(std::exchange(text_, {}))));
  }
  bool open(Value container) {
    stack_.push_back(std::move(container));
    return true;
  }
  bool close() {
    Value done = std::move(stack_.back());
    stack_.pop_back();
    return add(std::move(done));
  }
  bool add(Value value) {
    if (stack_.empty()) {
      root_ = std::move(value);
    } else if (Array* array = stack_.back().as_array(); array != nullptr) {
      array->push_back(std::move(value));
    } else {
      stack_.back().as_object()->emplace_back(std::move(keys_.back()), std::move(value));
      keys_.pop_back();
    }
    return true;
  }

  Value root_;
  std::vector<Value> stack_;
  std::vector<std::string> keys_;  // the pending key of each open object
  std::string key_;
  std::string text_;
  std::string duplicate_;
};

void append_pretty(std::string& out, const Value& value, std::size_t indent) {
  const auto line = [&](std::size_t depth) {
    out.push_back('\n');
    out.append(depth * 2, ' ');
  };
  if (const Array* array = value.as_array(); array != nullptr && !array->empty()) {
    out.push_back('[');
    for (std::size_t i = 0; i < array->size(); ++i) {
      if (i > 0) out.push_back(',');
      line(indent + 1);
      append_pretty(out, (*array)[i], indent + 1);
    }
    line(indent);
    out.push_back(']');
  } else if (const Object* object = value.as_object(); object != nullptr && !object->empty()) {
    out.push_back('{');
    for (std::size_t i = 0; i < object->size(); ++i) {
      if (i > 0) out.push_back(',');
      line(indent + 1);
      append_string(out, (*object)[i].first);
      out += ": ";
      append_pretty(out, (*object)[i].second, indent + 1);
    }
    line(indent);
    out.push_back('}');
  } else {
    append(out, value);
  }
}

}  // namespace

Result<Value> parse(std::string_view text, std::size_t max_depth) {
  boost::json::parse_options options;
  options.max_depth = max_depth;
  boost::json::basic_parser<Builder> parser(options);
  boost::json::error_code error;
  const std::size_t consumed = parser.write_some(false, text.data(), text.size(), error);
  if (!error && consumed < text.size()) error = boost::json::error::extra_data;
  if (!error && !parser.done()) error = boost::json::error::incomplete;
  if (!error) return parser.handler().take();
  if (!parser.handler().duplicate().empty()) {
    return Error(ErrorCode::malformed_json,
                 "the member \"" + parser.handler().duplicate() + "\" appears twice");
  }
  if (error == boost::json::error::too_deep) {
    return Error(ErrorCode::malformed_json,
                 "the value is nested deeper than " + std::to_string(max_depth) + " levels");
  }
  return Error(ErrorCode::malformed_json, error.message() + " at byte " + std::to_string(consumed));
}

void append_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out.push_back('"');
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, start, i - start);
    start = i + 1;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += "\\u00";
        out.push_back(kHex[c >> 4]);
        out.push_back(kHex[c & 15]);
    }
  }
  out.append(text, start);
  out.push_back('"');
}

void append(std::string& out, const Value& value) {
  if (const bool* flag = value.as_bool()) {
    out += *flag ? "true" : "false";
  } else if (const Number* number = value.as_number()) {
    out += number->text;
  } else if (const std::string* text = value.as_string()) {
    append_string(out, *text);
  } else if (const Array* array = value.as_array()) {
    out.push_back('[');
    for (std::size_t i = 0; i < array->size(); ++i) {
      if (i > 0) out.push_back(',');
      append(out, (*array)[i]);
    }
    out.push_back(']');
  } else if (const Object* object = value.as_object()) {
    out.push_back('{');
    for (std::size_t i = 0; i < object->size(); ++i) {
      if (i > 0) out.push_back(',');
      append_string(out, (*object)[i].first);
      out.push_back(':');
      append(out, (*object)[i].second);
    }
    out.push_back('}');
  } else {
    out += "null";
  }
}

std::string serialize(const Value& value) {
  std::string out;
  append(out, value);
  return out;
}

std::string serialize_pretty(const Value& value) {
  std::string out;
  append_pretty(out, value, 0);
  return out;
}

}  // namespace rowhouse::json
