// A file of rows, piece by piece → rows to write. CSV with a header row, or NDJSON. Pure.
//
// Rows are counted from 1, without the header. In CSV an empty cell that is not quoted is NULL, and DEFAULT
// for a column that cannot be NULL.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "data/body.h"
#include "data/data_service.h"

namespace rowhouse::data {

struct DecodedRow {
  std::uint64_t row = 0;
  std::uint64_t line = 0;  // where it begins in the file, from 1
  std::size_t bytes = 0;   // roughly what it holds
  RowInput input;
  std::vector<FieldError> errors;  // not empty: the row is rejected
};

class RowDecoder {
 public:
  virtual ~RowDecoder() = default;
  // Error: validation_failed when the header does not fit the resource.
  virtual Result<void> feed(std::string_view piece) = 0;
  // The file has ended. Error: validation_failed when a CSV has no header.
  virtual Result<void> finish() = 0;
  virtual std::optional<DecodedRow> next() = 0;
};

// `resource` must outlive the decoder.
std::unique_ptr<RowDecoder> make_row_decoder(const tenancy::Resource& resource, RowFormat format,
                                             std::size_t max_row_bytes);

}  // namespace rowhouse::data
