// The script that brings a schema to where another one like it was brought, in one round trip. Private to
// this folder.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tenancy/pack_migrator.h"

namespace rowhouse::tenancy {

// One transaction for each migration: its record (first, because it locks out another node), the migration,
// what Rowhouse did beyond it. Without migrations one for that alone. Commits are not flushed. Fails, and so
// undoes the migration, when it changed the role or the settings of the session.
class BatchScript {
 public:
  // `schema`: where the notes were taken. nullopt when they name it in a way that cannot be told from other
  // text, or when nothing was done there.
  static std::optional<BatchScript> make(std::string_view schema, std::string_view pack,
                                         const MigrationNotes& notes, std::chrono::milliseconds lock_timeout);
  std::string for_schema(const std::string& schema) const;

 private:
  bool append_notes(std::string_view text, std::string_view schema);
  void append(std::string_view text) { pieces_.back() += text; }
  void append_schema() { pieces_.emplace_back(); }

  std::vector<std::string> pieces_ =
      std::vector<std::string>(1);  // the schema's name stands between two of them
};

// Names that Rowhouse gave to schemas of tenants: they need no quotes, and hold twelve random digits, so that
// no other text holds them.
bool is_generated_schema_name(std::string_view name);

}  // namespace rowhouse::tenancy
