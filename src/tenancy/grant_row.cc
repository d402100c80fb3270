#include "tenancy/grant_row.h"

#include "base/text.h"

namespace rowhouse::tenancy {

namespace {

// Neither a pattern nor a network holds a comma, a quote or a brace.
std::string array_text(const std::vector<std::string>& words) {
  std::string text = "{";
  for (const std::string& word : words) text += (text.size() == 1 ? "" : ",") + word;
  return text + "}";
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  if (text.empty()) return words;
  const auto parts = split(text, ',');
  words.reserve(parts.size());
  for (const std::string_view word : parts) words.emplace_back(word);
  return words;
}

}  // namespace

std::string grant_columns(std::string_view table, std::string_view expires_at) {
  const std::string name(table);
  return "pg_catalog.array_to_string(" + name + ".scopes, ','), pg_catalog.array_to_string(" + name +
         ".networks, ','), (extract(epoch FROM " + std::string(expires_at) + ") * 1000)::bigint";
}

Result<Grant> grant_from_row(const pg::Rows& rows, std::size_t row, std::size_t first_column) {
  Grant grant;
  auto permissions = Permissions::from(words_of(rows.text(row, first_column)));
  auto networks = Networks::from(words_of(rows.text(row, first_column + 1)));
  if (!permissions.ok() || !networks.ok()) {
    return Error(ErrorCode::internal, "the registry holds a credential with strange rights");
  }
  // Those that may do everything share one object: there may be many.
  if (!permissions->is_everything()) {
    grant.permissions = std::make_shared<const Permissions>(std::move(*permissions));
  }
  if (!networks->empty()) grant.networks = std::make_shared<const Networks>(std::move(*networks));
  if (const auto expires_ms = parse_int64(rows.text(row, first_column + 2))) {
    grant.expires_at = WallTime(std::chrono::milliseconds(*expires_ms));
  }
  return grant;
}

void append_grant(pg::Params& params, const Grant& grant) {
  params.emplace_back(array_text(grant.permissions->patterns()));
  params.emplace_back(
      array_text(grant.networks == nullptr ? std::vector<std::string>() : grant.networks->texts()));
  params.emplace_back(grant.expires_at ? pg::Param(to_rfc3339(*grant.expires_at)) : std::nullopt);
}

}  // namespace rowhouse::tenancy
