// The class behind open_gcs(), for gcs_store.cc and gcs_uploads.cc alone.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "storage/gcs_signing.h"
#include "storage/gcs_store.h"
#include "storage/remote_store.h"

namespace rowhouse::storage {

class GcsStore final : public RemoteStore {
 public:
  GcsStore(const StoreTools& tools, Place place, GcsSigner signer, std::string token_uri, std::string bucket);

  Task<Result<ObjectInfo>> put(std::string key, std::uint64_t bytes, ByteSource& source,
                               PutOptions put_options, CallOptions options) override;
  Task<Result<std::unique_ptr<Download>>> get(std::string key, std::optional<ByteRange> range,
                                              CallOptions options) override;
  Task<Result<ObjectInfo>> stat(std::string key, CallOptions options) override;
  Task<Result<ListPage>> list(ListRequest request, CallOptions options) override;
  Task<Result<ObjectInfo>> copy(std::string from, std::string to, CallOptions options) override;

  std::uint64_t min_part_bytes() const override { return 256 * 1024; }
  std::uint64_t part_alignment() const override { return 256 * 1024; }
  bool parallel_parts() const override { return false; }
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
  bool renew_credentials() override;
  Task<Result<void>> remove_one(std::string key, CallOptions options) override;

 private:
  // How far a session has come.
  struct Session {
    std::uint64_t persisted = 0;
    std::optional<json::Value> finished;  // the object
  };
  // What the service does not keep of an upload; see gcs_store.h.
  struct UploadState {
    std::uint64_t part_bytes = 0;
    int tail_part = 0;  // 0: no tail yet
    std::string tail;
  };

  Task<Result<std::string>> access_token(CallOptions options);
  std::string objects_path() const;
  std::string object_path(std::string_view key) const;
  std::string upload_path() const;
  Result<ObjectInfo> info_of(const json::Value& object) const;
  StoreRequest session_request(const UploadName& upload) const;
  Task<Result<Session>> session_of(UploadName upload, CallOptions options);
  Task<Result<UploadState>> read_state(std::string upload_id, CallOptions options);
  Task<Result<void>> write_state(std::string upload_id, UploadState state, CallOptions options);
  Task<Result<void>> send_chunk(const UploadName& upload, std::uint64_t first, std::uint64_t end,
                                net::TransferSource& source, CallOptions options);
  std::optional<std::uint32_t> sum_of_parts(const std::string& upload_id,
                                            const std::vector<Part>& parts) const;
  Task<Result<json::Value>> finish_session(UploadName upload, std::uint64_t total, CallOptions options);
  Task<Result<void>> verify(const json::Value& object, std::uint64_t bytes, std::uint32_t crc,
                            CallOptions options);

  const GcsSigner signer_;
  const std::string token_uri_, bucket_;
  std::string token_;
  WallTime token_ends_{};
  // CRC-32C of the parts that this store sent, by upload and number. The service tells only that of the
  // whole.
  std::map<std::string, std::map<int, std::uint32_t>> sums_;
};

}  // namespace rowhouse::storage
