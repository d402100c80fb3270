#include "http/key_documents.h"

#include <algorithm>
#include <ctime>

namespace rowhouse::http {
namespace {

constexpr std::chrono::seconds kUsualOverlap = std::chrono::hours(24);
constexpr std::size_t kMaxFractionDigits = 9;

json::Value text_or_null(const std::string& text) { return text.empty() ? json::Value() : json::Value(text); }

json::Value array_of(const std::vector<std::string>& words) {
  json::Array array;
  array.reserve(words.size());
  for (const std::string& word : words) array.emplace_back(word);
  return array;
}

// "2027-01-31T00:00:00Z"; a fraction of a second, as in answers, is dropped.
std::optional<WallTime> parse_utc(const std::string& text) {
  std::tm parts{};
  const char* end = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr) return std::nullopt;
  std::string_view rest(end);
  if (rest.starts_with('.')) {
    const auto digits = std::min(rest.find_first_not_of("0123456789", 1), rest.size()) - 1;
    if (digits == 0 || digits > kMaxFractionDigits) return std::nullopt;
    rest.remove_prefix(digits + 1);
  }
  if (rest != "Z") return std::nullopt;
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

class KeyReader {
 public:
  explicit KeyReader(const json::Value& body) : body_(body) {}

  Result<tenancy::NewKey> read(const tenancy::Grant& own, Scopes scopes);

 private:
  void fault(std::string path, std::string what) {
    error_.fields.emplace_back(std::move(path), std::move(what));
  }
  void read_name(const json::Value& value, std::string& name);
  void read_expiry(const json::Value& value, std::optional<WallTime>& expires_at);
  std::vector<std::string> strings(const json::Value& value, const std::string& path);
  // The value that `from` makes of the strings; its faults are the body's.
  template <class T>
  std::shared_ptr<const T> list(const json::Value& value, const std::string& path);

  const json::Value& body_;
  Error error_{ErrorCode::validation_failed, "the content is not valid"};
};

void KeyReader::read_name(const json::Value& value, std::string& name) {
  const std::string* text = value.as_string();
  if (text == nullptr) {
    fault("/name", "must be a string");
  } else {
    name = *text;
  }
}

void KeyReader::read_expiry(const json::Value& value, std::optional<WallTime>& expires_at) {
  const std::string* text = value.as_string();
  const auto time = text == nullptr ? std::nullopt : parse_utc(*text);
  if (time) {
    expires_at = time;
  } else {
    fault("/expires_at", "must be a UTC time such as 2027-01-31T00:00:00Z");
  }
}

std::vector<std::string> KeyReader::strings(const json::Value& value, const std::string& path) {
  std::vector<std::string> words;
  const json::Array* items = value.as_array();
  if (items == nullptr) {
    fault(path, "must be an array of strings");
    return words;
  }
  for (std::size_t i = 0; i < items->size(); ++i) {
    const std::string* word = (*items)[i].as_string();
    if (word == nullptr) {
      fault(path + "/" + std::to_string(i), "must be a string");
    } else {
      words.push_back(*word);
    }
  }
  return words;
}

template <class T>
std::shared_ptr<const T> KeyReader::list(const json::Value& value, const std::string& path) {
  const std::size_t before = error_.fields.size();
  const auto words = strings(value, path);
  if (error_.fields.size() > before) return nullptr;
  auto made = T::from(words);
  if (made.ok()) return std::make_shared<const T>(std::move(*made));
  if (made.error().fields.empty()) fault(path, made.error().message);
  for (const auto& field : made.error().fields) fault(path + field.path, field.message);
  return nullptr;
}

Result<tenancy::NewKey> KeyReader::read(const tenancy::Grant& own, Scopes scopes) {
  const json::Object* members = body_.as_object();
  if (members == nullptr) {
    fault("", "must be an object");
    return error_;
  }
  tenancy::NewKey wanted("", own);
  for (const auto& [name, value] : *members) {
    if (name == "name") {
      read_name(value, wanted.name);
    } else if (name == "scopes") {
      if (auto given = list<tenancy::Permissions>(value, "/scopes")) wanted.grant.permissions = given;
    } else if (name == "allowed_networks") {
      auto given = list<tenancy::Networks>(value, "/allowed_networks");
      // An empty list binds the key to nothing.
      wanted.grant.networks = given == nullptr || given->empty() ? nullptr : given;
    } else if (name == "expires_at") {
      wanted.grant.expires_at.reset();
      if (!value.is_null()) read_expiry(value, wanted.grant.expires_at);
    } else {
      fault("/" + name, "is not known here");
    }
  }
  if (body_.find("name") == nullptr) fault("/name", "is required");
  if (scopes == Scopes::required && body_.find("scopes") == nullptr) fault("/scopes", "is required");
  if (!error_.fields.empty()) return error_;
  return wanted;
}

}  // namespace

json::Value key_document(const tenancy::ApiKey& key) {
  json::Value document;
  document.set("id", key.id.to_string());
  document.set("name", key.name);
  document.set("hint", key.hint);
  document.set("scopes", array_of(key.scopes));
  document.set("allowed_networks", array_of(key.networks));
  document.set("created_by", text_or_null(key.created_by));
  document.set("created_at", text_or_null(key.created_at));
  document.set("expires_at", text_or_null(key.expires_at));
  document.set("revoked_at", text_or_null(key.revoked_at));
  document.set("last_used_at", text_or_null(key.last_used_at));
  document.set("rotated_at", text_or_null(key.rotated_at));
  document.set("previous_until", text_or_null(key.previous_until));
  return document;
}

json::Value key_list_document(const std::vector<tenancy::ApiKey>& keys) {
  json::Array data;
  data.reserve(keys.size());
  for (const auto& key : keys) data.push_back(key_document(key));
  json::Value document;
  document.set("data", std::move(data));
  return document;
}

json::Value new_key_document(const tenancy::NewApiKey& made) {
  json::Value document;
  document.set("key", key_document(made.key));
  document.set("secret", made.secret);
  return document;
}

Result<tenancy::NewKey> read_new_key(const json::Value& body, const tenancy::Grant& own, Scopes scopes) {
  return KeyReader(body).read(own, scopes);
}

Result<std::chrono::seconds> read_key_rotation(const json::Value& body) {
  Error error(ErrorCode::validation_failed, "the content is not valid");
  const json::Object* members = body.as_object();
  if (members == nullptr) return std::move(error).with_field("", "must be an object");
  std::chrono::seconds overlap = kUsualOverlap;
  for (const auto& [name, value] : *members) {
    const auto seconds = value.as_int64();
    if (name != "overlap_seconds") {
      error.fields.emplace_back("/" + name, "is not known here");
    } else if (!seconds || *seconds < 0 || *seconds > tenancy::kMaxKeyOverlap.count()) {
      error.fields.emplace_back("/overlap_seconds", "must be a whole number from 0 to " +
                                                        std::to_string(tenancy::kMaxKeyOverlap.count()));
    } else {
      overlap = std::chrono::seconds(*seconds);
    }
  }
  if (!error.fields.empty()) return error;
  return overlap;
}

}  // namespace rowhouse::http
