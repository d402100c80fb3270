#include "data/row_decoder.h"

#include <algorithm>
#include <deque>

#include "data/csv.h"
#include "data/ndjson.h"
#include "data/values.h"

namespace rowhouse::data {
namespace {

using tenancy::Column;
using tenancy::Resource;

class CsvDecoder final : public RowDecoder {
 public:
  CsvDecoder(const Resource& resource, std::size_t max_row_bytes)
      : resource_(resource), reader_(max_row_bytes) {}

  Result<void> feed(std::string_view piece) override {
    reader_.feed(piece);
    return take_header();
  }
  Result<void> finish() override {
    reader_.finish();
    TRY_DO(take_header());
    if (!header_seen_) {
      return Error(ErrorCode::validation_failed, "the file is empty: the first row must name the columns");
    }
    return {};
  }
  std::optional<DecodedRow> next() override {
    if (!header_seen_) return std::nullopt;
    auto record = reader_.next();
    if (!record) return std::nullopt;
    return decode(std::move(*record));
  }

 private:
  Result<void> take_header() {
    if (header_seen_) return {};
    auto record = reader_.next();
    if (!record) return {};
    header_seen_ = true;
    Faults faults;
    if (!record->fault.empty()) faults.add("", "the header row cannot be read: " + record->fault);
    RowInput given;
    given.cells.resize(resource_.columns.size());
    for (const auto& cell : record->cells) add_column(cell.value_or(""), given, faults);
    if (faults.empty()) require_columns(resource_, given, "", faults);
    if (faults.empty()) return {};
    Error error = std::move(faults).to_error();
    error.message = "the header row does not fit " + resource_.name + ": " + error.message;
    return error;
  }

  void add_column(const std::string& name, RowInput& given, Faults& faults) {
    const std::string path = "/" + pointer_segment(name);
    if (std::string refusal = column_refusal(resource_, name, BodyUse::create); !refusal.empty()) {
      faults.add(path, std::move(refusal));
      return;
    }
    const auto index = static_cast<std::size_t>(resource_.find_column(name) - resource_.columns.data());
    if (given.cells[index]) faults.add(path, "is named twice in the header row");
    given.cells[index].emplace();
    columns_.push_back(index);
  }

  DecodedRow decode(CsvRecord record) {
    DecodedRow row;
    row.row = ++rows_;
    row.line = record.line;
    row.input.cells.resize(resource_.columns.size());
    if (!record.fault.empty()) {
      row.errors.emplace_back("", std::move(record.fault));
      return row;
    }
    if (record.cells.size() != columns_.size()) {
      row.errors.emplace_back("", "the row has " + std::to_string(record.cells.size()) +
                                      " cells, the header row " + std::to_string(columns_.size()));
      return row;
    }
    Faults faults;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const Column& column = resource_.columns[columns_[i]];
      const auto& cell = record.cells[i];
      if (!cell && !column.nullable && column.has_default) continue;
      Converted converted = cell ? convert_text(column, *cell) : Converted::null();
      row.bytes += cell ? cell->size() : 0;
      row.input.cells[columns_[i]] = accept_value(column, std::move(converted), "/" + column.name, faults);
    }
    row.errors = faults.take();
    return row;
  }

  const Resource& resource_;
  CsvReader reader_;
  bool header_seen_ = false;
  std::vector<std::size_t> columns_;  // index in the resource of each column of the file
  std::uint64_t rows_ = 0;
};

class NdjsonDecoder final : public RowDecoder {
 public:
  NdjsonDecoder(const Resource& resource, std::size_t max_row_bytes)
      : resource_(resource), reader_(max_row_bytes) {}

  Result<void> feed(std::string_view piece) override {
    reader_.feed(piece);
    return {};
  }
  Result<void> finish() override {
    reader_.finish();
    return {};
  }
  std::optional<DecodedRow> next() override {
    auto line = reader_.next();
    if (!line) return std::nullopt;
    DecodedRow row;
    row.row = ++rows_;
    row.line = line->line;
    row.bytes = line->text.size();
    if (!line->fault.empty()) {
      row.errors.emplace_back("", std::move(line->fault));
      return row;
    }
    const auto value = json::parse(line->text);
    if (!value.ok()) {
      row.errors.emplace_back("", "the line is not valid JSON: " + value.error().message);
      return row;
    }
    Faults faults;
    row.input = read_row(resource_, *value, "", BodyUse::create, faults);
    row.errors = faults.take();
    return row;
  }

 private:
  const Resource& resource_;
  NdjsonReader reader_;
  std::uint64_t rows_ = 0;
};

}  // namespace

std::unique_ptr<RowDecoder> make_row_decoder(const Resource& resource, RowFormat format,
                                             std::size_t max_row_bytes) {
  if (format == RowFormat::csv) return std::make_unique<CsvDecoder>(resource, max_row_bytes);
  return std::make_unique<NdjsonDecoder>(resource, max_row_bytes);
}

}  // namespace rowhouse::data
