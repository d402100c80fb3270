// Reads the JSON body of a request strictly: collects a fault for each unknown member and each wrong type.
//
// Errors: validation_failed from done(), one field for each fault. Belongs to one request; `body` must
// outlive it.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/result.h"

namespace rowhouse::http {

class BodyReader {
 public:
  explicit BodyReader(const json::Value& body) : body_(body) {
    if (body.as_object() == nullptr) fault("", "must be an object");
  }

  void text(const char* name, std::string& out) {
    take_text(name, [&](const std::string& value) { out = value; });
  }
  void text(const char* name, std::optional<std::string>& out) {
    const json::Value* value = take(name);
    if (value == nullptr) return;
    if (value->is_null()) {
      out = "";  // null clears
    } else if (const std::string* text = value->as_string()) {
      out = *text;
    } else {
      fault(name, "must be a string or null");
    }
  }
  void object(const char* name, std::optional<json::Value>& out) {
    const json::Value* value = take(name);
    if (value == nullptr) return;
    if (value->as_object() == nullptr) {
      fault(name, "must be an object");
    } else {
      out = *value;
    }
  }
  void texts(const char* name, std::optional<std::vector<std::string>>& out) {
    const json::Value* value = take(name);
    if (value == nullptr) return;
    const json::Array* array = value->as_array();
    if (array == nullptr) return fault(name, "must be a list of strings");
    out.emplace();
    for (const json::Value& element : *array) {
      if (const std::string* text = element.as_string()) {
        out->push_back(*text);
      } else {
        fault(std::string(name) + "/" + std::to_string(out->size()), "must be a string");
        out->emplace_back();
      }
    }
  }
  // Calls `use` with each element of a list; `use` returns what is wrong with it, or "".
  template <class Use>
  void each(const char* name, Use use) {
    const json::Value* value = take(name);
    if (value == nullptr) return;
    if (value->as_array() == nullptr) return fault(name, "must be a list");
    std::size_t index = 0;
    for (const json::Value& element : *value->as_array()) {
      const std::string wrong = use(element);
      if (!wrong.empty()) fault(std::string(name) + "/" + std::to_string(index), wrong);
      ++index;
    }
  }
  // Calls `use` with the string; `use` returns what is wrong with it, or "".
  template <class Use>
  void choice(const char* name, Use use) {
    take_text(name, [&](const std::string& value) {
      const std::string wrong = use(value);
      if (!wrong.empty()) fault(name, wrong);
    });
  }
  // Calls `use` with the integer; `use` returns what is wrong with it, or "".
  template <class Use>
  void number(const char* name, Use use) {
    const json::Value* value = take(name);
    if (value == nullptr || value->is_null()) return;
    const auto integer = value->as_int64();
    if (!integer) return fault(name, "must be an integer");
    const std::string wrong = use(*integer);
    if (!wrong.empty()) fault(name, wrong);
  }
  void flag(const char* name, auto use) {
    const json::Value* value = take(name);
    if (value == nullptr) return;
    if (const bool* boolean = value->as_bool()) {
      use(*boolean);
    } else {
      fault(name, "must be true or false");
    }
  }
  void require(const char* name) {
    if (body_.find(name) == nullptr) fault(name, "is required");
  }
  void fault(const std::string& name, std::string what) {
    error_.fields.emplace_back(name.empty() ? "" : "/" + name, std::move(what));
  }
  // The error if there was any fault, unknown members included.
  Result<void> done() {
    if (const json::Object* object = body_.as_object()) {
      for (const auto& [name, value] : *object) {
        if (std::find(known_.begin(), known_.end(), name) == known_.end()) fault(name, "is not known here");
      }
    }
    if (error_.fields.empty()) return {};
    return error_;
  }

 private:
  const json::Value* take(const char* name) {
    known_.emplace_back(name);
    return body_.find(name);
  }
  void take_text(const char* name, auto use) {
    const json::Value* value = take(name);
    if (value == nullptr || value->is_null()) return;
    if (const std::string* text = value->as_string()) {
      use(*text);
    } else {
      fault(name, "must be a string");
    }
  }

  const json::Value& body_;
  std::vector<std::string> known_;
  Error error_{ErrorCode::validation_failed, "the content is not valid"};
};

}  // namespace rowhouse::http
