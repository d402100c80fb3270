#include "testing/temporary_directory.h"

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace rowhouse::testing {

TemporaryDirectory::TemporaryDirectory() : path_("/tmp/rowhouse-test-XXXXXX") {
  // The user whom PostgreSQL runs as must be able to pass through.
  if (mkdtemp(path_.data()) == nullptr || chmod(path_.c_str(), 0711) != 0) {
    std::perror("mkdtemp");
    std::abort();
  }
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace rowhouse::testing
