// Objects as files, in blocking steps of a FileSystem: where things lie, what goes with them, how an object
// gets its name. For BlockingStore alone.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "crypto/crypto.h"
#include "storage/file_system.h"
#include "storage/object_store.h"

namespace rowhouse::storage {

// What is read or written in one blocking step.
inline constexpr std::size_t kStepBytes = 1024 * 1024;

// The folders of a store. Paths of FileSystem, keys without the store's prefix.
class FileLayout {
 public:
  explicit FileLayout(std::string prefix);
  const std::string& prefix() const { return prefix_; }  // of keys
  std::string object(std::string_view key) const;
  std::string own_folder(std::string_view name) const;  // ".rowhouse-tmp"
  std::string temporary(std::string_view id) const;
  std::string upload(std::string_view id) const;
  std::string metadata(const std::string& object_path, const FileInfo& info) const;
  // The deepest folder that is never removed.
  const std::string& base() const { return base_; }

 private:
  std::string prefix_, base_;
};

struct FileMetadata {
  std::string sha256;
  std::string content_type;
};

// Random, of 32 hexadecimal digits.
std::string new_file_id();
bool is_file_id(std::string_view text);

// A file on its way. Steps run one after the other, on any thread.
struct FileWriting {
  std::string temporary;  // its path
  std::unique_ptr<OpenFile> file;
  std::uint64_t bytes = 0;
  crypto::Sha256 hash;
  std::string sha256;  // hexadecimal, after the end
};

Result<void> make_folders(FileSystem& files, const FileLayout& layout, std::string_view path);
Result<void> begin_file(FileSystem& files, const FileLayout& layout, FileWriting& writing);
Result<void> write_piece(FileWriting& writing, std::string_view piece);
// Closes; `expected`: the SHA-256 that it must have, "" for any.
Result<void> end_file(FileWriting& writing, const std::string& expected);
// A whole small file.
Result<void> write_file(FileSystem& files, const std::string& path, const std::string& text);
Result<std::string> read_file(FileSystem& files, const std::string& path, std::size_t max_bytes);
// Reads a small file back and compares; large ones are read back in steps.
Result<void> read_back(FileSystem& files, const FileWriting& writing);
Error read_back_failed();

// Gives the finished temporary its key. precondition_failed if it may not replace and there is one.
Result<ObjectInfo> publish_object(FileSystem& files, const FileLayout& layout, const FileWriting& writing,
                                  const std::string& key, const PutOptions& put_options);

ObjectInfo object_info(std::string key, const FileInfo& info);
// not_found: also when it is no file.
Result<ObjectInfo> stat_object(FileSystem& files, const FileLayout& layout, const std::string& key);
// Files that are not there are no error.
Result<void> remove_objects(FileSystem& files, const FileLayout& layout,
                            const std::vector<std::string>& keys);
// All files of a folder (no folders in it), then the folder.
Result<void> remove_flat_folder(FileSystem& files, const std::string& path);
// Temporaries and uploads that nobody will finish. What cannot be removed is left for the next time.
void sweep(FileSystem& files, const FileLayout& layout, std::int64_t now_ms);

}  // namespace rowhouse::storage
