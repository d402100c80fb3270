// CSV and NDJSON: pieces do not matter; what was read is written and read again to the same cells; files
// become rows that fit their resource, or faults.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "data/csv.h"
#include "data/ndjson.h"
#include "data/row_decoder.h"
#include "testing/sample_resource.h"

using namespace rowhouse;        // NOLINT
using namespace rowhouse::data;  // NOLINT

namespace {

constexpr std::size_t kMaxRecordBytes = 200;

void require(bool condition) {
  if (!condition) std::abort();
}

template <class Reader, class Record>
std::vector<Record> read(std::string_view text, std::size_t piece_bytes, std::size_t max_bytes) {
  Reader reader(max_bytes);
  std::vector<Record> records;
  for (std::size_t i = 0; i < text.size(); i += piece_bytes) {
    reader.feed(text.substr(i, piece_bytes));
    while (auto record = reader.next()) records.push_back(std::move(*record));
  }
  reader.finish();
  while (auto record = reader.next()) records.push_back(std::move(*record));
  return records;
}

void check_csv(std::string_view text, std::size_t piece_bytes) {
  const auto whole = read<CsvReader, CsvRecord>(text, text.size() + 1, kMaxRecordBytes);
  const auto pieces = read<CsvReader, CsvRecord>(text, piece_bytes, kMaxRecordBytes);
  require(whole.size() == pieces.size());
  std::string written = "h\r\n";
  std::vector<CsvRecord> kept;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const CsvRecord& record = whole[i];
    require(record.line == pieces[i].line && record.cells == pieces[i].cells &&
            record.fault == pieces[i].fault);
    require(record.cells.empty() != record.fault.empty());
    // A record of one NULL is an empty line, which says nothing.
    if (!record.fault.empty() || (record.cells.size() == 1 && !record.cells[0])) continue;
    kept.push_back(record);
    for (std::size_t j = 0; j < record.cells.size(); ++j) {
      if (j > 0) written.push_back(',');
      if (record.cells[j]) {
        require(is_valid_utf8(*record.cells[j]));
        append_csv_cell(written, *record.cells[j]);
      }
    }
    written += "\r\n";
  }
  const auto again = read<CsvReader, CsvRecord>(written, written.size(), written.size());
  require(again.size() == kept.size() + 1);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    require(again[i + 1].fault.empty() && again[i + 1].cells == kept[i].cells);
  }
}

void check_ndjson(std::string_view text, std::size_t piece_bytes) {
  const auto whole = read<NdjsonReader, NdjsonLine>(text, text.size() + 1, kMaxRecordBytes);
  const auto pieces = read<NdjsonReader, NdjsonLine>(text, piece_bytes, kMaxRecordBytes);
  require(whole.size() == pieces.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    require(whole[i].line == pieces[i].line && whole[i].text == pieces[i].text &&
            whole[i].fault == pieces[i].fault);
    require(whole[i].text.find('\n') == std::string::npos);
    require(whole[i].text.empty() != whole[i].fault.empty());
  }
}

void check_rows(std::string_view text, RowFormat format) {
  static const tenancy::Resource resource = testing::sample_resource();
  const auto decoder = make_row_decoder(resource, format, kMaxRecordBytes);
  if (!decoder->feed(text).ok() || !decoder->finish().ok()) return;
  std::uint64_t rows = 0;
  while (const auto row = decoder->next()) {
    require(row->row == ++rows);
    if (!row->errors.empty()) continue;
    require(row->input.cells.size() == resource.columns.size());
    for (std::size_t i = 0; i < row->input.cells.size(); ++i) {
      const tenancy::Column& column = resource.columns[i];
      const auto& cell = row->input.cells[i];
      if (!cell) {
        require(column.nullable || column.has_default || column.read_only || column.generated);
        continue;
      }
      require(!column.read_only && !column.generated);
      if (!*cell) {
        require(column.nullable);
        continue;
      }
      require(is_valid_utf8(**cell) && (*cell)->find('\0') == std::string::npos);
      if (column.max_characters) require(utf8_length(**cell) <= *column.max_characters);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece_bytes = 1 + data[0] % 16;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  check_csv(text, piece_bytes);
  check_ndjson(text, piece_bytes);
  check_rows(text, RowFormat::csv);
  check_rows(text, RowFormat::ndjson);
  return 0;
}
