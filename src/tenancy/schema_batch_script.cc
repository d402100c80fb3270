#include "tenancy/schema_batch_script.h"

#include <algorithm>

#include "pg/quote.h"
#include "tenancy/sql_scanner.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::size_t kRandomDigits = 12;

bool is_name_part(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Division by zero unless the session is as it was before the migration.
constexpr std::string_view kSessionCheck =
    ";\nSELECT 1 / (CURRENT_USER OPERATOR(pg_catalog.=) 'tenant_owner'::pg_catalog.name"
    " AND pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) "
    "'origin'::pg_catalog.text"
    " AND pg_catalog.current_setting('search_path') OPERATOR(pg_catalog.=) '";

}  // namespace

bool is_generated_schema_name(std::string_view name) {
  if (name.size() <= kRandomDigits + 2 || name[name.size() - kRandomDigits - 1] != '_') return false;
  const std::string_view random = name.substr(name.size() - kRandomDigits);
  const auto is_plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return name[0] >= 'a' && name[0] <= 'z' && random.find_first_not_of(kHexDigits) == std::string_view::npos &&
         std::ranges::all_of(name, is_plain);
}

std::optional<BatchScript> BatchScript::make(std::string_view schema, std::string_view pack,
                                             const MigrationNotes& notes,
                                             std::chrono::milliseconds lock_timeout) {
  if (!is_generated_schema_name(schema)) return std::nullopt;
  BatchScript script;
  std::string_view preparation = notes.preparation;
  if (notes.migrations.empty()) {  // other row rules
    if (preparation.empty()) return std::nullopt;
    script.append(begin_as_owner_sql(lock_timeout) + "; SET LOCAL synchronous_commit = off;\n");
    if (!script.append_notes(preparation, schema)) return std::nullopt;
    script.append("COMMIT;\n");
    return script;
  }
  for (const MigrationNotes::Migration& note : notes.migrations) {
    const PackMigration& migration = *note.migration;
    script.append(begin_as_owner_sql(lock_timeout));
    script.append(
        "; SET LOCAL synchronous_commit = off;\nINSERT INTO rowhouse.pack_migrations (schema_name, pack, "
        "number, name, checksum) VALUES ('");
    script.append_schema();
    script.append("', " + pg::quote_literal(pack) + ", " + std::to_string(migration.number) + ", " +
                  pg::quote_literal(migration.name) + ", " + pg::quote_literal(migration.checksum()) +
                  ");\n");
    if (!script.append_notes(preparation, schema) || !script.append_notes(note.before, schema))
      return std::nullopt;
    preparation = "";
    script.append("SET LOCAL search_path = ");
    script.append_schema();
    script.append(", pg_temp;\n" + migration.sql + "\n");
    if (std::ranges::any_of(scan_statements(migration.sql), touches_rows)) {
      script.append(kSessionCheck);
      script.append_schema();
      script.append(", pg_temp'::pg_catalog.text)::pg_catalog.int4");
    }
    script.append(";\nSET LOCAL search_path = pg_catalog, pg_temp;\n");
    if (!script.append_notes(note.after, schema)) return std::nullopt;
    script.append("COMMIT;\n");
  }
  return script;
}

// The notes with a place for another name wherever they name the schema; false if it is part of another word.
bool BatchScript::append_notes(std::string_view text, std::string_view schema) {
  if (text.empty()) return true;
  std::size_t done = 0;
  for (auto at = text.find(schema); at != std::string_view::npos; at = text.find(schema, done)) {
    const std::size_t end = at + schema.size();
    if ((at > 0 && is_name_part(text[at - 1])) || (end < text.size() && is_name_part(text[end])))
      return false;
    append(text.substr(done, at - done));
    append_schema();
    done = end;
  }
  append(text.substr(done));
  append(";\n");
  return true;
}

std::string BatchScript::for_schema(const std::string& schema) const {
  std::string text = pieces_.front();
  for (std::size_t i = 1; i < pieces_.size(); ++i) {
    text += schema;
    text += pieces_[i];
  }
  return text;
}

}  // namespace rowhouse::tenancy
