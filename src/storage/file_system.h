// What BlockingStore needs of a file system, in plain blocking calls: a directory, NFS and SMB implement it.
//
// Paths are relative to the share, made by file_paths.h: small names of ASCII, no "..", "" is the share
// itself. Nothing follows symbolic links. Calls of one FileSystem come one at a time unless Sharing says
// otherwise, from any thread; destructors may run on the event loop, so they do not wait for a network.
//
// Errors: not_found, conflict (something of that name is there, or a folder is not empty), disk_full,
// server_unreachable, storage_failed, overloaded (in use: worth another try soon). The messages name the
// system's error and never a path.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rowhouse::storage {

struct FileInfo {
  enum class Kind { file, folder, other } kind = Kind::file;
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;
  std::uint64_t id = 0;  // of the file, whatever its name is; 0 where there is no reliable one
};

struct FolderEntry {
  std::string name;
  FileInfo info;
  std::string cookie;  // where to go on behind this entry; opaque
};

class OpenFile {
 public:
  virtual ~OpenFile() = default;
  // Fewer bytes only at the end of the file.
  virtual Result<std::string> read(std::uint64_t offset, std::size_t bytes) = 0;
  virtual Result<void> write(std::uint64_t offset, std::string_view data) = 0;
  virtual Result<FileInfo> info() = 0;
  // Makes what was written last and closes; nothing may be called afterwards.
  virtual Result<void> finish() = 0;
};

class FileSystem {
 public:
  enum class Replace {
    yes,
    no,
    unneeded,  // a look just before found nothing of that name
  };

  virtual ~FileSystem() = default;

  virtual Result<std::unique_ptr<OpenFile>> open(const std::string& path) = 0;
  virtual Result<std::unique_ptr<OpenFile>> create(const std::string& path) = 0;  // conflict if it is there
  virtual Result<FileInfo> stat(const std::string& path) = 0;
  // Gives a finished file its name, at once for every reader; with Replace::no conflict if there is one.
  virtual Result<void> publish(const std::string& from, const std::string& to, Replace replace) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
  virtual Result<void> make_folder(
      const std::string& path) = 0;  // its parent exists; conflict if it is there
  virtual Result<void> remove_folder(const std::string& path) = 0;  // conflict if it is not empty
  // At most `max` entries behind `cookie` ("" = from the beginning); fewer only at the end.
  virtual Result<std::vector<FolderEntry>> read_folder(const std::string& path, const std::string& cookie,
                                                       std::size_t max) = 0;

  // Whether a text can go with a file, and that text: "" if there is none.
  virtual bool has_attributes() { return false; }
  virtual Result<void> set_attribute(const std::string& path, const std::string& text);
  virtual Result<std::string> attribute(const std::string& path);
};

// The error of an errno. `what`: "open a file".
Error file_error(std::string_view what, int number);

}  // namespace rowhouse::storage
