#include "verify/inventory.h"

#include <algorithm>

#include "base/text.h"
#include "pg/quote.h"

namespace rowhouse::verify {
namespace {

// $1: schemas to leave out. Every query below reads from here.
constexpr std::string_view kSchemas =
    "WITH s AS (SELECT oid, nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> "
    "'information_schema' AND nspname <> ALL ($1::text[])) ";

constexpr std::string_view kRelations =
    "SELECT c.oid, s.nspname, c.relname, c.relkind, c.relispartition, c.relrowsecurity, "
    "c.relforcerowsecurity, "
    "(SELECT pg_catalog.array_agg(a.attname ORDER BY k.ordinality) FROM pg_catalog.pg_index i "
    " CROSS JOIN LATERAL pg_catalog.unnest(i.indkey) WITH ORDINALITY k(unnest, ordinality) "
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.unnest "
    " WHERE i.indrelid = c.oid AND i.indisprimary) "
    "FROM pg_catalog.pg_class c JOIN s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', "
    "'f') "
    "ORDER BY s.nspname, c.relname";

constexpr std::string_view kColumns =
    "SELECT a.attrelid, a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), b.typname, "
    "b.typcategory, t.typtype, a.attnotnull OR t.typnotnull, a.atthasdef, a.attgenerated <> '', "
    "a.attidentity, "
    "CASE WHEN b.typname IN ('varchar', 'bpchar') THEN greatest(a.atttypmod, t.typtypmod) - 4 END, "
    "CASE WHEN b.typname = 'numeric' AND greatest(a.atttypmod, t.typtypmod) > 4 "
    " THEN ((greatest(a.atttypmod, t.typtypmod) - 4) >> 16) & 65535 END, "
    "CASE WHEN b.typname = 'numeric' AND greatest(a.atttypmod, t.typtypmod) > 4 "
    " THEN (greatest(a.atttypmod, t.typtypmod) - 4) & 65535 END, "
    "(SELECT pg_catalog.array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e "
    " WHERE e.enumtypid = b.oid OR e.enumtypid = b.typelem) "
    "FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN s ON s.oid = "
    "c.relnamespace "
    "JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
    "JOIN pg_catalog.pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END "
    "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY "
    "a.attrelid, a.attnum";

// Constraints of partitions are those of their parents.
constexpr std::string_view kConstraints =
    "SELECT k.contype, k.conrelid, k.conname, k.confrelid, "
    "(SELECT pg_catalog.array_agg(a.attname ORDER BY u.ordinality) FROM pg_catalog.unnest(k.conkey) WITH "
    "ORDINALITY u(unnest, ordinality) "
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.unnest), "
    "(SELECT pg_catalog.array_agg(a.attname ORDER BY u.ordinality) FROM pg_catalog.unnest(k.confkey) WITH "
    "ORDINALITY u(unnest, ordinality) "
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.unnest), "
    "k.conkey::text, CASE WHEN k.contype = 'c' THEN pg_catalog.pg_get_expr(k.conbin, k.conrelid) END "
    "FROM pg_catalog.pg_constraint k JOIN s ON s.oid = k.connamespace JOIN pg_catalog.pg_class c ON c.oid = "
    "k.conrelid "
    "WHERE k.conparentid = 0 AND (k.contype = 'c' OR NOT c.relispartition) ORDER BY k.conrelid, k.conname";

constexpr std::string_view kUniqueIndexes =
    "SELECT i.indrelid, c.relname, (SELECT pg_catalog.array_agg(a.attname ORDER BY u.ordinality) "
    " FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY u(unnest, ordinality) "
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.unnest) "
    "FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN s ON s.oid = "
    "c.relnamespace "
    "WHERE i.indisunique AND NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k "
    "WHERE "
    "k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')) ORDER BY 1, 2";

constexpr std::string_view kPolicies =
    "SELECT p.polrelid, p.polname, p.polcmd, p.polpermissive, pg_catalog.pg_get_expr(p.polqual, p.polrelid), "
    "pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) FROM pg_catalog.pg_policy p "
    "JOIN pg_catalog.pg_class c ON c.oid = p.polrelid JOIN s ON s.oid = c.relnamespace ORDER BY 1, 2";

constexpr std::string_view kOnTables =
    "SELECT 'trigger', t.tgrelid::oid, t.tgname FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON "
    "c.oid = "
    "t.tgrelid JOIN s ON s.oid = c.relnamespace WHERE NOT t.tgisinternal AND t.tgparentid = 0 "
    "UNION ALL SELECT 'index', i.indrelid::oid, c.relname FROM pg_catalog.pg_index i JOIN "
    "pg_catalog.pg_class c ON c.oid = "
    "i.indexrelid JOIN s ON s.oid = c.relnamespace WHERE NOT c.relispartition "
    "UNION ALL SELECT 'rule', r.ev_class::oid, r.rulename FROM pg_catalog.pg_rewrite r JOIN "
    "pg_catalog.pg_class c ON "
    "c.oid = r.ev_class JOIN s ON s.oid = c.relnamespace WHERE r.rulename <> '_RETURN' "
    "UNION ALL SELECT 'statistics', e.stxrelid::oid, e.stxname FROM pg_catalog.pg_statistic_ext e JOIN s ON "
    "s.oid = "
    "e.stxnamespace ORDER BY 1, 2, 3";

constexpr std::string_view kFunctions =
    "SELECT p.oid, s.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid), "
    "(SELECT pg_catalog.array_agg(pg_catalog.format_type(u.unnest, NULL) ORDER BY u.ordinality) "
    " FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY u(unnest, ordinality)), p.pronargdefaults, "
    "p.prokind, "
    "p.prorettype IN ('pg_catalog.trigger'::pg_catalog.regtype, "
    "'pg_catalog.event_trigger'::pg_catalog.regtype), "
    "p.prosecdef, p.proretset FROM pg_catalog.pg_proc p JOIN s ON s.oid = p.pronamespace ORDER BY 2, 3, 4";

constexpr std::string_view kSequences =
    "SELECT c.oid, s.nspname, c.relname FROM pg_catalog.pg_class c JOIN s ON s.oid = c.relnamespace WHERE "
    "c.relkind = 'S' "
    "ORDER BY 2, 3";

constexpr std::string_view kRoles =
    "SELECT rolname, rolsuper, rolbypassrls, rolcanlogin, oid < 16384 FROM pg_catalog.pg_roles ORDER BY 1";
constexpr std::string_view kDatabases =
    "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn ORDER BY 1";

constexpr std::string_view kOthers =
    "SELECT 'publication', pubname::text FROM pg_catalog.pg_publication "
    "UNION ALL SELECT 'subscription', subname::text FROM pg_catalog.pg_subscription "
    "UNION ALL SELECT 'event trigger', evtname::text FROM pg_catalog.pg_event_trigger "
    "UNION ALL SELECT 'foreign server', srvname::text FROM pg_catalog.pg_foreign_server "
    "UNION ALL SELECT 'foreign data wrapper', fdwname::text FROM pg_catalog.pg_foreign_data_wrapper "
    "UNION ALL SELECT 'large object', oid::text FROM pg_catalog.pg_largeobject_metadata ORDER BY 1, 2";

bool truth(const Cell& cell) { return cell == "t"; }
std::string text(const Cell& cell) { return cell.value_or(""); }
char letter(const Cell& cell) { return cell && !cell->empty() ? (*cell)[0] : ' '; }
int number(const Cell& cell, int otherwise) {
  return cell ? static_cast<int>(parse_int64(*cell).value_or(otherwise)) : otherwise;
}
std::vector<std::string> list(const Cell& cell) {
  return cell ? array_elements(*cell) : std::vector<std::string>();
}

using Rows = std::vector<std::vector<Cell>>;

class Taker {
 public:
  Taker(SqlClient& administrator, const std::set<std::string>& foreign)
      : sql_(administrator), foreign_(array_text({foreign.begin(), foreign.end()})) {}

  Result<Inventory> take() {
    TRY_DO(relations());
    TRY_DO(constraints());
    TRY_DO(objects());
    TRY_DO(server());
    return std::move(inventory_);
  }

 private:
  Result<Rows> read(std::string_view query) {
    auto answer = sql_.run(std::string(kSchemas) + std::string(query), {foreign_});
    if (!answer.ok()) return Error(ErrorCode::internal, "the catalog cannot be read: " + answer.words);
    return std::move(answer.rows);
  }
  Result<Rows> read_server(std::string_view query) {
    auto answer = sql_.run(std::string(query));
    if (!answer.ok()) return Error(ErrorCode::internal, "the catalog cannot be read: " + answer.words);
    return std::move(answer.rows);
  }

  Result<void> relations() {
    TRY(const auto rows, read(kRelations));
    std::map<std::string, std::size_t> places;
    for (const auto& row : rows) {
      RelationInfo& relation = inventory_.relations.emplace_back();
      relation.oid = text(row[0]);
      relation.schema = text(row[1]);
      relation.name = text(row[2]);
      relation.kind = letter(row[3]);
      relation.is_partition = truth(row[4]);
      relation.row_security = truth(row[5]);
      relation.forced = truth(row[6]);
      relation.key = list(row[7]);
      places[relation.oid] = inventory_.relations.size() - 1;
    }
    TRY(const auto columns, read(kColumns));
    for (const auto& row : columns) {
      ColumnInfo column;
      column.number = number(row[1], 0);
      column.name = text(row[2]);
      column.type = text(row[3]);
      column.base = text(row[4]);
      column.category = letter(row[5]);
      column.kind = letter(row[6]);
      column.not_null = truth(row[7]);
      column.has_default = truth(row[8]);
      column.generated = truth(row[9]);
      column.identity = letter(row[10]);
      column.length = number(row[11], -1);
      column.precision = number(row[12], -1);
      column.scale = number(row[13], 0);
      column.labels = list(row[14]);
      inventory_.relations[places.at(text(row[0]))].columns.push_back(std::move(column));
    }
    return {};
  }

  Result<void> constraints() {
    TRY(const auto rows, read(kConstraints));
    for (const auto& row : rows) {
      const char kind = letter(row[0]);
      if (kind == 'f') {
        inventory_.foreign_keys.push_back(
            {text(row[1]), text(row[2]), text(row[3]), list(row[4]), list(row[5])});
      } else if (kind == 'c') {
        CheckInfo check{text(row[1]), text(row[2]), text(row[7]), {}};
        for (const std::string& column : list(row[6])) check.columns.push_back(number(column, 0));
        inventory_.checks.push_back(std::move(check));
      } else if (kind == 'p' || kind == 'u' || kind == 'x') {
        inventory_.keys.push_back({text(row[1]), text(row[2]), kind, list(row[4])});
      }
    }
    TRY(const auto indexes, read(kUniqueIndexes));
    for (const auto& row : indexes)
      inventory_.keys.push_back({text(row[0]), text(row[1]), 'i', list(row[2])});
    TRY(const auto policies, read(kPolicies));
    for (const auto& row : policies) {
      inventory_.policies.push_back(
          {text(row[0]), text(row[1]), letter(row[2]), truth(row[3]), text(row[4]), text(row[5])});
    }
    return {};
  }

  Result<void> objects() {
    TRY(const auto rows, read(kOnTables));
    for (const auto& row : rows) {
      auto& place = row[0] == "trigger" ? inventory_.triggers
                    : row[0] == "index" ? inventory_.indexes
                    : row[0] == "rule"  ? inventory_.rules
                                        : inventory_.statistics;
      place.push_back({text(row[1]), text(row[2])});
    }
    TRY(const auto functions, read(kFunctions));
    for (const auto& row : functions) {
      FunctionInfo function;
      function.oid = text(row[0]);
      function.schema = text(row[1]);
      function.name = text(row[2]);
      function.arguments = text(row[3]);
      function.types = list(row[4]);
      function.defaults = number(row[5], 0);
      function.kind = letter(row[6]);
      function.is_trigger = truth(row[7]);
      function.security_definer = truth(row[8]);
      function.returns_set = truth(row[9]);
      inventory_.functions.push_back(std::move(function));
    }
    TRY(const auto sequences, read(kSequences));
    for (const auto& row : sequences)
      inventory_.sequences.push_back({text(row[0]), text(row[1]), text(row[2])});
    return {};
  }

  Result<void> server() {
    TRY(const auto roles, read_server(kRoles));
    for (const auto& row : roles) {
      inventory_.roles.push_back(
          {text(row[0]), truth(row[1]), truth(row[2]), truth(row[3]), truth(row[4]), false});
    }
    TRY(const auto databases, read_server(kDatabases));
    for (const auto& row : databases) inventory_.databases.push_back(text(row[0]));
    TRY(const auto others, read_server(kOthers));
    for (const auto& row : others) inventory_.others.emplace_back(text(row[0]), text(row[1]));
    return {};
  }

  SqlClient& sql_;
  std::string foreign_;
  Inventory inventory_;
};

}  // namespace

const ColumnInfo* RelationInfo::find(std::string_view column) const {
  const auto place =
      std::find_if(columns.begin(), columns.end(), [&](const auto& one) { return one.name == column; });
  return place == columns.end() ? nullptr : &*place;
}
bool RelationInfo::has(std::string_view column) const { return find(column) != nullptr; }
std::string RelationInfo::qualified() const { return pg::quote_qualified(schema, name); }

const RelationInfo* Inventory::relation(std::string_view oid) const {
  const auto place = std::find_if(relations.begin(), relations.end(),
                                  [&](const auto& relation) { return relation.oid == oid; });
  return place == relations.end() ? nullptr : &*place;
}

Result<Inventory> take_inventory(SqlClient& administrator, const std::set<std::string>& foreign_schemas) {
  return Taker(administrator, foreign_schemas).take();
}

std::vector<std::string> array_elements(const std::string& text) {
  std::vector<std::string> elements;
  if (text.size() <= 2) return elements;
  std::string element;
  bool quoted = false;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      quoted = !quoted;
    } else if (c == '\\' && i + 2 < text.size()) {
      element += text[++i];
    } else if (c == ',' && !quoted) {
      elements.push_back(std::exchange(element, {}));
    } else {
      element += c;
    }
  }
  elements.push_back(element);
  return elements;
}

std::string array_text(const std::vector<std::string>& elements) {
  std::string text = "{";
  for (const std::string& element : elements) {
    if (text.size() > 1) text += ',';
    text += '"';
    for (const char c : element) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text + "}";
}

}  // namespace rowhouse::verify
