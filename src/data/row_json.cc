#include "data/row_json.h"

#include "base/json.h"
#include "data/values.h"

namespace rowhouse::data {
namespace {

using tenancy::Column;
using tenancy::ColumnKind;

constexpr std::size_t kExpectedCellBytes = 32;
constexpr int kMaxArrayDepth = 8;

// PostgreSQL's arrays have at most six dimensions. The element types whose texts are no plain strings:
CellForm element_form(std::string_view type) {
  if (type == "boolean") return CellForm::boolean;
  if (type == "smallint" || type == "integer" || type == "bigint" || type == "numeric" || type == "real" ||
      type == "double precision" || type.starts_with("numeric(")) {
    return CellForm::number;
  }
  if (type == "json" || type == "jsonb") return CellForm::json;
  if (type.starts_with("timestamp")) return CellForm::timestamp;
  return CellForm::text;
}

bool is_plain_number(std::string_view text) {
  const std::size_t sign = text.starts_with('-') ? 1 : 0;
  return text.size() > sign && text[sign] >= '0' && text[sign] <= '9';
}

// Only type json keeps the line breaks that were written between its tokens; they would break NDJSON in two.
void append_json_line(std::string& out, std::string_view text) {
  const std::size_t start = out.size();
  out += text;
  for (std::size_t i = start; i < out.size(); ++i) {
    if (out[i] == '\n' || out[i] == '\r') out[i] = ' ';
  }
}

void append_scalar(std::string& out, CellForm form, std::string_view text) {
  switch (form) {
    case CellForm::boolean:
      out += text.starts_with('t') ? "true" : "false";
      return;
    case CellForm::number:
      if (is_plain_number(text)) {
        out += text;
      } else {
        json::append_string(out, text);
      }
      return;
    case CellForm::timestamp:
      append_timestamp(out, text);
      return;
    case CellForm::json:
      append_json_line(out, text);
      return;
    case CellForm::text:
    case CellForm::array:
      json::append_string(out, text);
      return;
  }
}

// Reads PostgreSQL's array text. Quoted elements are unescaped into `element_`, which keeps its memory.
class ArrayReader {
 public:
  ArrayReader(std::string& out, CellForm element, std::string_view text)
      : out_(out), form_(element), rest_(text) {}

  bool run() {
    // "[0:1]={…}": bounds other than from 1 do not exist in JSON.
    if (rest_.starts_with('[')) {
      const auto equals = rest_.find('=');
      if (equals == std::string_view::npos) return false;
      rest_.remove_prefix(equals + 1);
    }
    return list(0) && rest_.empty();
  }

 private:
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool list(int depth) {
    if (depth == kMaxArrayDepth || !take('{')) return false;
    out_.push_back('[');
    if (!take('}')) {
      do {
        if (out_.back() != '[') out_.push_back(',');
        if (!(rest_.starts_with('{') ? list(depth + 1) : item())) return false;
      } while (take(','));
      if (!take('}')) return false;
    }
    out_.push_back(']');
    return true;
  }

  bool item() {
    if (take('"')) {
      if (!quoted()) return false;
      append_scalar(out_, form_, element_);
      return true;
    }
    const auto end = rest_.find_first_of(",}");
    if (end == std::string_view::npos || end == 0) return false;
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end);
    if (text == "NULL") {
      out_ += "null";
    } else {
      append_scalar(out_, form_, text);
    }
    return true;
  }

  bool quoted() {
    element_.clear();
    for (std::size_t i = 0; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        return true;
      }
      if (rest_[i] == '\\' && ++i == rest_.size()) return false;
      element_.push_back(rest_[i]);
    }
    return false;
  }

  std::string& out_;
  CellForm form_;
  std::string_view rest_;
  std::string element_;
};

void append_array(std::string& out, CellForm element, std::string_view text) {
  const std::size_t start = out.size();
  if (ArrayReader(out, element, text).run()) return;
  out.resize(start);
  json::append_string(out, text);
}

}  // namespace

CellFormat cell_format(const Column& column) {
  CellFormat format;
  switch (column.kind) {
    case ColumnKind::boolean:
      format.form = CellForm::boolean;
      break;
    case ColumnKind::integer:
    case ColumnKind::number:
      format.form = CellForm::number;
      break;
    case ColumnKind::timestamp:
      format.form = CellForm::timestamp;
      break;
    case ColumnKind::json:
      format.form = CellForm::json;
      break;
    case ColumnKind::array:
      format.form = CellForm::array;
      format.element = element_form(element_type(column.type));
      break;
    case ColumnKind::text:
    case ColumnKind::uuid:
    case ColumnKind::date:
    case ColumnKind::bytes:
    case ColumnKind::other:
      break;
  }
  return format;
}

void append_timestamp(std::string& out, std::string_view text) {
  out.push_back('"');
  const auto space = text.find(' ');
  // Infinity has no blank; "0044-03-15 00:00:00+00 BC" has two and no form in RFC 3339.
  if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
    out += text;
  } else {
    out.append(text, 0, space);
    out.push_back('T');
    const std::string_view time = text.substr(space + 1);
    if (time.ends_with("+00")) {
      out.append(time, 0, time.size() - 3);
      out.push_back('Z');
    } else {
      out += time;
    }
  }
  out.push_back('"');
}

void append_cell(std::string& out, CellFormat format, std::string_view text) {
  if (format.form == CellForm::array) {
    append_array(out, format.element, text);
  } else {
    append_scalar(out, format.form, text);
  }
}

RowRenderer::RowRenderer(const std::vector<const Column*>& columns) : RowRenderer(columns, {}) {}

RowRenderer::RowRenderer(const std::vector<const Column*>& columns,
                         const std::vector<std::size_t>& positions) {
  fields_.reserve(columns.size());
  keys_.reserve(columns.size() * kExpectedCellBytes);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    keys_.push_back(i == 0 ? '{' : ',');
    json::append_string(keys_, columns[i]->name);
    keys_.push_back(':');
    fields_.emplace_back(keys_.size(), positions.empty() ? i : positions[i], cell_format(*columns[i]));
  }
}

void RowRenderer::append_row(std::string& out, const pg::Rows& rows, std::size_t row) const {
  std::size_t key_start = 0;
  for (const Field& field : fields_) {
    out.append(keys_, key_start, field.key_end - key_start);
    key_start = field.key_end;
    if (rows.is_null(row, field.position)) {
      out += "null";
    } else {
      append_cell(out, field.format, rows.text(row, field.position));
    }
  }
  out.push_back('}');
}

void RowRenderer::append_rows(std::string& out, const pg::Rows& rows, std::size_t count) const {
  out.reserve(out.size() + count * (keys_.size() + fields_.size() * kExpectedCellBytes) + 2);
  out.push_back('[');
  for (std::size_t row = 0; row < count; ++row) {
    if (row > 0) out.push_back(',');
    append_row(out, rows, row);
  }
  out.push_back(']');
}

}  // namespace rowhouse::data
