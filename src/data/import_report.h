// What became of the rows of an import: counts in memory, refused rows in a temporary file without a name, so
// that a report of any length takes no memory.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/insert_each.h"
#include "net/http_message.h"

namespace rowhouse::data {

class ImportReport {
 public:
  // Counts a row; keeps it if it is a duplicate or was rejected. Error: disk_full.
  Result<void> add(std::uint64_t row, std::uint64_t line, const RowOutcome& outcome);
  std::uint64_t inserted() const { return inserted_; }
  std::uint64_t rejected() const { return rejected_; }

  // {"inserted", "updated", "duplicates", "rejected", "rows": […]}, read back piece by piece.
  static std::unique_ptr<net::BodySource> stream(ImportReport report);

 private:
  friend class ReportSource;
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;  // made with the first row that is kept
  std::uint64_t inserted_ = 0, updated_ = 0, duplicates_ = 0, rejected_ = 0;
};

}  // namespace rowhouse::data
