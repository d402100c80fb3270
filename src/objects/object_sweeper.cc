#include "objects/object_sweeper.h"

#include <utility>
#include <vector>

#include "objects/write_lease.h"

namespace rowhouse::objects {
namespace {

constexpr std::chrono::milliseconds kFirst{2'000};
constexpr std::chrono::milliseconds kSecond = kLeaseTime + std::chrono::seconds(30);
constexpr std::chrono::milliseconds kLater = std::chrono::hours(1);
constexpr std::chrono::milliseconds kBetweenTenants{20};
constexpr std::chrono::milliseconds kTenantTimeout{60'000};

constexpr std::string_view kTenants =
    "SELECT DISTINCT tenant_id FROM platform.tenant_storage_configs ORDER BY 1";

}  // namespace

void ObjectSweeper::start() { arm(kFirst); }

void ObjectSweeper::arm(std::chrono::milliseconds delay) {
  if (stopped_) return;
  timer_ = executor_.after(delay, [this] { tasks_.spawn(pass()); });
}

Task<void> ObjectSweeper::pass() {
  const auto swept = co_await sweep_all();
  if (!swept.ok() && !stopped_) log_.write_error("objects_not_swept", swept.error());
  arm(passes_++ == 0 ? kSecond : kLater);
}

Task<Result<void>> ObjectSweeper::sweep_all() {
  const CallOptions listing{deadline_in(kTenantTimeout), &ending_};
  const pg::Statement list{std::string(kTenants)};
  CO_TRY(const auto rows, co_await platform_.run(nullptr, list, listing));
  for (std::size_t row = 0; row < rows.size() && !stopped_; ++row) {
    const auto tenant = Uuid::parse(rows.text(row, 0));
    if (!tenant) continue;
    const CallOptions options{deadline_in(kTenantTimeout), &ending_};
    const auto context = co_await context_of_(*tenant, options);
    if (context.ok()) {
      const auto swept = co_await writes_.sweep(*context, options);
      // Its storage may be away; it is looked at again with the next pass.
      if (!swept.ok() && !stopped_) log_.write_error("objects_not_swept", swept.error());
    }
    co_await net::sleep_for(executor_, kBetweenTenants);
  }
  co_return Result<void>();
}

Task<void> ObjectSweeper::stop() {
  stopped_ = true;
  ending_.cancel();
  timer_.reset();
  co_await tasks_.join();
}

}  // namespace rowhouse::objects
