// Makes the driver for a configuration. The only place that names them all.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "net/blocking_work.h"
#include "net/egress.h"
#include "net/executor.h"
#include "net/http_transfer.h"
#include "storage/config.h"
#include "storage/object_store.h"

namespace rowhouse::storage {

// What drivers work with; outlives every store.
struct StoreTools {
  net::Executor& executor;
  net::HttpTransfers& transfers;
  const net::EgressPolicy& egress;
  net::BlockingWork& file_work;  // NFS, SMB and directories
  const Clock& clock;
};

// Connects to nothing yet. Errors: address_refused (a host that can never be allowed), validation_failed.
Result<std::unique_ptr<ObjectStore>> open_store(const StoreTools& tools, const StoreConfig& config);

}  // namespace rowhouse::storage
