// The class behind make_blocking_store(); its functions are in blocking_store.cc, blocking_list.cc and
// blocking_upload.cc.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "storage/blocking_store.h"
#include "storage/file_objects.h"
#include "storage/lanes.h"

namespace rowhouse::storage {

class BlockingStore final : public ObjectStore {
 public:
  BlockingStore(net::Executor& executor, net::BlockingWork& work, const Clock& clock,
                std::vector<std::unique_ptr<FileSystem>> files, BlockingStoreOptions options)
      : lanes_(executor, work, std::move(files), options.sharing),
        clock_(clock),
        options_(std::move(options)),
        layout_(options_.prefix) {}

  Task<Result<ObjectInfo>> put(std::string key, std::uint64_t bytes, ByteSource& source,
                               PutOptions put_options, CallOptions options) override;
  Task<Result<std::unique_ptr<Download>>> get(std::string key, std::optional<ByteRange> range,
                                              CallOptions options) override;
  Task<Result<ObjectInfo>> stat(std::string key, CallOptions options) override;
  Task<Result<ListPage>> list(ListRequest request, CallOptions options) override;
  Task<Result<void>> remove(std::vector<std::string> keys, CallOptions options) override;
  Task<Result<ObjectInfo>> copy(std::string from, std::string to, CallOptions options) override;

  std::uint64_t min_part_bytes() const override { return 1; }
  std::uint64_t part_alignment() const override { return 1; }
  bool parallel_parts() const override { return true; }
  Task<Result<std::string>> begin_upload(std::string key, PutOptions put_options,
                                         CallOptions options) override;
  Task<Result<Part>> put_part(std::string key, std::string upload, int number, std::uint64_t bytes,
                              ByteSource& source, CallOptions options) override;
  Task<Result<std::vector<Part>>> list_parts(std::string key, std::string upload,
                                             CallOptions options) override;
  Task<Result<ObjectInfo>> complete_upload(std::string key, std::string upload, std::vector<Part> parts,
                                           CallOptions options) override;
  Task<Result<void>> abort_upload(std::string key, std::string upload, CallOptions options) override;

  Result<std::optional<std::string>> sign_link(const LinkRequest&) override {
    return std::optional<std::string>();
  }
  const std::string& identity() const override { return options_.identity; }

 private:
  // Gives a file that was written and checked its place.
  using Publish = std::function<Result<ObjectInfo>(FileSystem&)>;

  Task<Result<ObjectInfo>> write_object(Lane& lane, FileWriting& writing, std::uint64_t bytes,
                                        ByteSource& source, std::string sha256, Publish publish,
                                        CallOptions options);
  Task<Result<void>> verify(Lane& lane, FileWriting& writing, CallOptions options);
  // Removes a temporary, whatever became of the call that made it.
  Task<void> discard(Lane& lane, FileWriting& writing);
  Task<void> sweep_sometimes(Lane& lane, CallOptions options);
  Task<Result<PutOptions>> upload_info(Lane& lane, std::string key, std::string upload, CallOptions options);
  Task<Result<void>> join_parts(Lane& lane, FileWriting& writing, std::string folder, std::vector<Part> parts,
                                CallOptions options);
  Task<Result<void>> append_part(Lane& lane, FileWriting& writing, std::string path, Part part,
                                 CallOptions options);
  bool reads_back() const { return options_.verify == BlockingStoreOptions::Verify::read_back; }

  Lanes lanes_;
  const Clock& clock_;
  BlockingStoreOptions options_;
  FileLayout layout_;
  std::chrono::steady_clock::time_point next_sweep_{};
};

}  // namespace rowhouse::storage
