// Finds the statements of an SQL script without understanding them: where each begins and which words lead
// it.
//
// For telling an author which line of a migration may not be there, and for knowing whether a migration
// touches rows. Comments, strings, quoted names, dollar quotes and BEGIN ATOMIC bodies are skipped. What
// really happened is checked in the database afterwards; this is not a guard.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rowhouse::tenancy {

struct SqlStatement {
  std::size_t line = 0;              // from 1
  std::array<std::string, 3> words;  // the first three, upper case; "" when there are fewer
  // All parts: words in upper case, "(", ")", ","; "" for anything else (strings, quoted names, operators).
  std::vector<std::string> parts;
};

std::vector<SqlStatement> scan_statements(std::string_view sql);

// Why a migration may not hold this statement, or "": it ends the transaction, changes who runs it, or needs
// a client.
std::string_view fault_of_statement(const SqlStatement& statement);

// Statements that may read or write rows that are already there by way of queries, which row security is for:
// all but those that are known to change definitions alone. (Building an index or checking a NOT NULL reads
// tables without queries; a foreign key and a default that calls a function of the pack's own do not.)
bool touches_rows(const SqlStatement& statement);

// Statements that leave the bodies of views and functions as they are, among those that touch no rows.
bool changes_tables_alone(const SqlStatement& statement);

}  // namespace rowhouse::tenancy
