#include "tenancy/api_key_rows.h"

#include "base/text.h"

namespace rowhouse::tenancy {

namespace {

// RFC 3339 in UTC, as everywhere; null stays null.
std::string rfc3339(const std::string& column) {
  return "pg_catalog.to_char(" + column + " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  if (text.empty()) return words;
  const auto parts = split(text, ',');
  words.reserve(parts.size());
  for (const std::string_view word : parts) words.emplace_back(word);
  return words;
}

json::Value array_of(const std::vector<std::string>& words) {
  json::Array array;
  array.reserve(words.size());
  for (const std::string& word : words) array.emplace_back(word);
  return array;
}

}  // namespace

std::string key_columns(std::string_view name) {
  const std::string t = std::string(name) + ".";
  return t + "id, " + t + "name, " + t + "hint, " + t + "created_by, " + rfc3339(t + "created_at") + ", " +
         rfc3339(t + "expires_at") + ", " + rfc3339(t + "revoked_at") + ", " + rfc3339(t + "last_used_at") +
         ", pg_catalog.array_to_string(" + t + "scopes, ','), pg_catalog.array_to_string(" + t +
         "networks, ','), " + rfc3339(t + "rotated_at") + ", " + rfc3339(t + "previous_until");
}

Error no_such_key(KeyTable table) {
  return Error(ErrorCode::not_found,
               table == KeyTable::api_keys ? "the tenant has no such key" : "there is no such service key");
}

ApiKey key_from_row(const pg::Rows& rows, std::size_t row) {
  ApiKey key;
  key.id = Uuid::parse(rows.text(row, 0)).value_or(Uuid());
  key.name = rows.text(row, 1);
  key.hint = rows.text(row, 2);
  key.created_by = rows.text(row, 3);
  key.created_at = rows.text(row, 4);
  key.expires_at = rows.text(row, 5);
  key.revoked_at = rows.text(row, 6);
  key.last_used_at = rows.text(row, 7);
  key.scopes = words_of(rows.text(row, 8));
  key.networks = words_of(rows.text(row, 9));
  key.rotated_at = rows.text(row, 10);
  key.previous_until = rows.text(row, 11);
  return key;
}

Faults faults_of_key(const NewKey& wanted, WallTime now) {
  Faults faults;
  check_name("/name", wanted.name, faults);
  if (wanted.grant.has_expired(now)) faults.emplace_back("/expires_at", "must be in the future");
  if (wanted.grant.permissions->patterns().empty()) {
    faults.emplace_back("/scopes", "must hold at least one operation");
  }
  return faults;
}

std::string key_summary(const NewKey& wanted, std::string_view hint) {
  json::Value values;
  values.set("name", wanted.name);
  values.set("hint", hint);
  values.set("scopes", array_of(wanted.grant.permissions->patterns()));
  if (wanted.grant.networks != nullptr)
    values.set("allowed_networks", array_of(wanted.grant.networks->texts()));
  if (wanted.grant.expires_at) values.set("expires_at", to_rfc3339(*wanted.grant.expires_at));
  return json::serialize(values);
}

}  // namespace rowhouse::tenancy
