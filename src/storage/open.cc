#include "storage/open.h"

#include "storage/azure_store.h"
#include "storage/directory_store.h"
#include "storage/gcs_store.h"
#include "storage/nfs_store.h"
#include "storage/s3_store.h"
#include "storage/smb_store.h"

namespace rowhouse::storage {

Result<std::unique_ptr<ObjectStore>> open_store(const StoreTools& tools, const StoreConfig& config) {
  struct Opener {
    const StoreTools& tools;
    using Opened = Result<std::unique_ptr<ObjectStore>>;
    Opened operator()(const S3Config& s3) const { return open_s3(tools, s3); }
    Opened operator()(const AzureConfig& azure) const { return open_azure(tools, azure); }
    Opened operator()(const GcsConfig& gcs) const { return open_gcs(tools, gcs); }
    Opened operator()(const NfsConfig& nfs) const { return open_nfs(tools, nfs); }
    Opened operator()(const SmbConfig& smb) const { return open_smb(tools, smb); }
    Opened operator()(const DirectoryConfig& directory) const { return open_directory(tools, directory); }
  };
  return std::visit(Opener{tools}, config);
}

}  // namespace rowhouse::storage
