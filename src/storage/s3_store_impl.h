// The class behind open_s3(), for s3_store.cc and s3_uploads.cc alone.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "storage/remote_store.h"
#include "storage/s3_signing.h"
#include "storage/s3_store.h"

namespace rowhouse::storage {

class S3Store final : public RemoteStore {
 public:
  S3Store(const StoreTools& tools, Place place, const S3Config& config, const S3Limits& limits);

  Task<Result<ObjectInfo>> put(std::string key, std::uint64_t bytes, ByteSource& source,
                               PutOptions put_options, CallOptions options) override;
  Task<Result<std::unique_ptr<Download>>> get(std::string key, std::optional<ByteRange> range,
                                              CallOptions options) override;
  Task<Result<ObjectInfo>> stat(std::string key, CallOptions options) override;
  Task<Result<ListPage>> list(ListRequest request, CallOptions options) override;
  Task<Result<void>> remove(std::vector<std::string> keys, CallOptions options) override;
  Task<Result<ObjectInfo>> copy(std::string from, std::string to, CallOptions options) override;

  std::uint64_t min_part_bytes() const override { return 5ULL << 20; }
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

  Result<std::optional<std::string>> sign_link(const LinkRequest& request) override;

 protected:
  Task<Result<net::TransferRequest>> prepare(const StoreRequest& request, CallOptions options) override;
  Error failure(const StoreRequest& request, const Answer& answer) const override;
  Task<Result<void>> remove_one(std::string key, CallOptions options) override;

 private:
  std::string path_of(std::string_view key) const;  // "" of the bucket
  ObjectInfo info_of(std::string key, const Answer& head) const;
  // Sends a body that passes by `checked`. Error: whatever is wrong with the request or the source.
  Task<Result<Answer>> send_stream(StoreRequest request, CheckedSource& checked, std::uint64_t bytes,
                                   CallOptions options);
  unsigned digests_of_stream() const;
  Task<Result<Answer>> put_small(StoreRequest request, CheckedSource& checked, std::uint64_t bytes,
                                 PutCondition condition, CallOptions options);
  Task<Result<ObjectInfo>> copy_in_parts(std::string from, std::string to, ObjectInfo source,
                                         CallOptions options);
  Task<Result<std::string>> finish_upload(std::string key, UploadName upload, std::vector<Part> parts,
                                          CallOptions options);

  const S3Signer signer_;
  const std::string bucket_;
  const S3Config::Addressing addressing_;
  const S3Limits limits_;
  std::string host_;  // of the Host header
};

bool is_md5_etag(std::string_view etag);

}  // namespace rowhouse::storage
