// The class behind open_azure(), for azure_store.cc and azure_uploads.cc alone.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "storage/azure_signing.h"
#include "storage/azure_store.h"
#include "storage/remote_store.h"

namespace rowhouse::storage {

// Azure takes "\\" for "/" and drops dots at the end of a segment: such characters stand for themselves as
// U+F05C and U+F02E, as other systems write them; where a key has those already, U+F0F0 goes before them.
std::string azure_name(std::string_view key);
std::string key_of_azure_name(std::string_view name);

class AzureStore final : public RemoteStore {
 public:
  AzureStore(const StoreTools& tools, Place place, AzureSigner signer, std::string container,
             const AzureLimits& limits);

  Task<Result<ObjectInfo>> put(std::string key, std::uint64_t bytes, ByteSource& source,
                               PutOptions put_options, CallOptions options) override;
  Task<Result<std::unique_ptr<Download>>> get(std::string key, std::optional<ByteRange> range,
                                              CallOptions options) override;
  Task<Result<ObjectInfo>> stat(std::string key, CallOptions options) override;
  Task<Result<ListPage>> list(ListRequest request, CallOptions options) override;
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

  // A link for a put works with the header "x-ms-blob-type: BlockBlob", which no URL can hold.
  Result<std::optional<std::string>> sign_link(const LinkRequest& request) override;

 protected:
  Task<Result<net::TransferRequest>> prepare(const StoreRequest& request, CallOptions options) override;
  Error failure(const StoreRequest& request, const Answer& answer) const override;
  Task<Result<void>> remove_one(std::string key, CallOptions options) override;

 private:
  std::string path_of(std::string_view key) const;  // "" of the container
  std::string name_of(std::string_view key) const { return azure_name(full_key(key)); }
  ObjectInfo info_of(std::string key, const Answer& head) const;
  Task<Result<Answer>> head_of(std::string key, CallOptions options);
  Task<Result<void>> check_alive(std::string upload_id, CallOptions options);
  Task<Result<void>> commit(std::string key, const UploadName& upload, const std::vector<Part>& parts,
                            std::string content_type, CallOptions options);

  const AzureSigner signer_;
  const std::string container_;
  const AzureLimits limits_;
  std::set<std::string> alive_;  // uploads whose marker was seen: not asked for again with every part
};

// What the service tells of the bytes it received. nullopt: nothing.
std::optional<bool> received_whole(const Answer& answer, const CheckedSource& checked);

}  // namespace rowhouse::storage
