// A file that a command fills from the server: there as a whole, or as it was before.
//
// What arrives goes to a new file beside it, which takes its place in keep(). What is no regular file (a
// pipe, /dev/null) is written to as it is. Follows a symbolic link. Not synchronised with the disk.
#pragma once

#include <fstream>
#include <string>

#include "base/result.h"

namespace rowhouse::cli {

class OutputFile {
 public:
  OutputFile() = default;
  ~OutputFile();  // without keep(): what arrived is removed
  OutputFile(OutputFile&&) = delete;
  OutputFile& operator=(OutputFile&&) = delete;

  // Once. Error: invalid_parameter (it cannot be written, and why).
  Result<void> open(const std::string& path);
  std::ostream& stream() { return stream_; }
  // Error: disk_full.
  Result<void> keep();

 private:
  std::ofstream stream_;
  std::string target_, temporary_;  // the latter "" when nothing has to be put in its place
};

}  // namespace rowhouse::cli
