// Rows from PostgreSQL → JSON, from text results. The hot path of every read: it appends to one string and
// allocates nothing per cell.
//
//   boolean → true/false · integers and numbers as they are (NaN, Infinity as strings) · json, jsonb as they
//   are timestamps → RFC 3339 ("2026-11-21T05:40:00.5Z") · arrays → JSON arrays · everything else → strings
//
// Sessions run with DateStyle ISO and TimeZone UTC.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "pg/types.h"
#include "tenancy/pack.h"

namespace rowhouse::data {

// How the text of a cell becomes JSON.
enum class CellForm { boolean, number, text, timestamp, json, array };

struct CellFormat {
  CellForm form = CellForm::text;
  CellForm element = CellForm::text;  // of an array's elements
};
CellFormat cell_format(const tenancy::Column& column);

void append_cell(std::string& out, CellFormat format, std::string_view text);

class RowRenderer {
 public:
  // The columns are the first ones of the rows that will be rendered.
  explicit RowRenderer(const std::vector<const tenancy::Column*>& columns);
  // The columns stand at `positions` in the rows.
  RowRenderer(const std::vector<const tenancy::Column*>& columns, const std::vector<std::size_t>& positions);

  // {"id":…,"name":…}
  void append_row(std::string& out, const pg::Rows& rows, std::size_t row) const;
  // [{…},{…}] of the first `count` rows.
  void append_rows(std::string& out, const pg::Rows& rows, std::size_t count) const;

 private:
  struct Field {
    Field(std::size_t end, std::size_t column_position, CellFormat cell_format)
        : key_end(end), position(column_position), format(cell_format) {}
    std::size_t key_end;   // of `,"name":` in keys_
    std::size_t position;  // of the column in the rows
    CellFormat format;
  };
  std::string keys_;
  std::vector<Field> fields_;
};

// RFC 3339 for what PostgreSQL writes as "2026-11-21 05:40:00+00"; other forms (infinity, BC) stay as they
// are.
void append_timestamp(std::string& out, std::string_view text);

}  // namespace rowhouse::data
