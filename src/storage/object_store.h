// One face for every object store: S3, Azure Blob, Google Cloud Storage, NFS, SMB, a directory.
//
// Keys: 1 to kMaxKeyBytes bytes of UTF-8 without NUL and control characters; "/" separates folders; no empty,
// "." or ".." segment, no "/" at either end; check_key() says so and every call refuses others with
// validation_failed. A driver maps keys to what its provider allows, one to one.
//
// Guarantees of every driver (conformance_test): an object is there as a whole or not at all, whatever dies
// in the middle; put replaces atomically; after put or complete ended well, stat, get and list see it; bytes
// are checked end to end (a SHA-256 is computed on the way and compared with what the provider can tell:
// checksum headers, MD5, CRC32C, or read back where it tells nothing). Constant memory: a few pieces of
// kPieceBytes.
//
// Errors: not_found (no such object or upload), precondition_failed (a condition did not hold),
// checksum_mismatch, range_not_satisfiable, storage_failed (refused or failed: the message has the provider's
// code, detail "provider_code" as well; never the body of an answer, never a credential), address_refused,
// server_unreachable (could not be reached, after retries), disk_full, cancelled, validation_failed.
// Idempotent requests are retried with jitter within the deadline (at most kMaxAttempts); one whose body
// streams from a source is not: the caller has the bytes.
//
// A store belongs to one executor's thread and may be used by many coroutines at once; it outlives them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "net/http_transfer.h"

namespace rowhouse::storage {

inline constexpr std::size_t kMaxKeyBytes = 800;
inline constexpr std::size_t kPieceBytes = 256 * 1024;
inline constexpr int kMaxAttempts = 4;
inline constexpr int kMaxListLimit = 1'000;
inline constexpr std::size_t kMaxRemoveKeys = 1'000;
inline constexpr int kMaxParts = 10'000;

Result<void> check_key(std::string_view key);

// The bytes of an upload, asked for piece by piece (each at most 1 MiB).
using ByteSource = net::TransferSource;

struct ObjectInfo {
  std::string key;
  std::uint64_t bytes = 0;
  std::string etag;              // the provider's, without quotes; changes with the content
  std::string content_type;      // "" where the provider keeps none
  std::string sha256;            // hexadecimal; "" where it is not known (not in lists)
  std::int64_t modified_ms = 0;  // Unix time
};

enum class PutCondition {
  none,
  absent,  // only if there is no object of that key: precondition_failed otherwise
};

struct PutOptions {
  std::string content_type = "application/octet-stream";
  PutCondition condition = PutCondition::none;
  std::string sha256;  // hexadecimal, when known before: checked; "" = not known
};

struct ByteRange {
  std::uint64_t first = 0;
  std::optional<std::uint64_t> last;  // inclusive; nullopt: to the end
};

// An object that is being read. Destroying it ends the transfer.
class Download {
 public:
  virtual ~Download() = default;
  virtual const ObjectInfo& info() const = 0;  // bytes: of the whole object, also for a range
  virtual Task<Result<std::optional<std::string>>> next(CallOptions options) = 0;
};

struct ListRequest {
  std::string prefix;
  std::string token;  // of the page before; "" for the first
  int limit = kMaxListLimit;
};
struct ListPage {
  std::vector<ObjectInfo>
      objects;             // in the order of their keys' bytes where the provider has one (S3, Azure, GCS)
  std::string next_token;  // "" at the end
};

struct Part {
  int number = 0;    // from 1
  std::string etag;  // as the provider wants it back
  std::uint64_t bytes = 0;
};

enum class LinkMethod { get, put };
struct LinkRequest {
  LinkMethod method = LinkMethod::get;
  std::string key;
  std::int64_t expires_in_s = 900;  // 1 to 604,800
  std::string content_type;         // of a put: signed where the provider can
  std::string download_name;        // of a get: what browsers save it as; "" = nothing is said
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  // `bytes`: exactly what the source gives.
  virtual Task<Result<ObjectInfo>> put(std::string key, std::uint64_t bytes, ByteSource& source,
                                       PutOptions put_options, CallOptions options) = 0;
  virtual Task<Result<std::unique_ptr<Download>>> get(std::string key, std::optional<ByteRange> range,
                                                      CallOptions options) = 0;
  virtual Task<Result<ObjectInfo>> stat(std::string key, CallOptions options) = 0;
  virtual Task<Result<ListPage>> list(ListRequest request, CallOptions options) = 0;
  // What is not there is no error. At most kMaxRemoveKeys.
  virtual Task<Result<void>> remove(std::vector<std::string> keys, CallOptions options) = 0;
  virtual Task<Result<ObjectInfo>> copy(std::string from, std::string to, CallOptions options) = 0;

  // Large objects in parts (multipart, blocks, resumable chunks, files of their own): parts of one upload may
  // be sent again and, where parallel_parts(), at the same time and in any order; else in order. All but the
  // last have one size, a multiple of part_alignment() and at least min_part_bytes(). An upload survives a
  // restart of either side for at least a day.
  virtual std::uint64_t min_part_bytes() const = 0;
  virtual std::uint64_t part_alignment() const = 0;
  virtual bool parallel_parts() const = 0;
  // The upload's name: opaque, at most 4,096 bytes; kept by the caller.
  virtual Task<Result<std::string>> begin_upload(std::string key, PutOptions put_options,
                                                 CallOptions options) = 0;
  virtual Task<Result<Part>> put_part(std::string key, std::string upload, int number, std::uint64_t bytes,
                                      ByteSource& source, CallOptions options) = 0;
  // What has arrived, by number: for going on after a restart.
  virtual Task<Result<std::vector<Part>>> list_parts(std::string key, std::string upload,
                                                     CallOptions options) = 0;
  virtual Task<Result<ObjectInfo>> complete_upload(std::string key, std::string upload,
                                                   std::vector<Part> parts, CallOptions options) = 0;
  virtual Task<Result<void>> abort_upload(std::string key, std::string upload, CallOptions options) = 0;

  // A URL at the provider (or the configured CDN, for a get) that works without credentials until it expires;
  // nullopt where the provider has none.
  virtual Result<std::optional<std::string>> sign_link(const LinkRequest& request) = 0;

  // What the store is, so that two configurations of the same bucket are recognised: "s3 https://host bucket
  // prefix"; no secret in it.
  virtual const std::string& identity() const = 0;
};

// Write, read back, list and delete a probe object; one entry for each.
struct ProbeStep {
  std::string name;  // write, read, list, delete
  bool ok = false;
  std::string error;  // "" when ok, or the error's message
  std::int64_t duration_us = 0;
};
struct ProbeResult {
  std::vector<ProbeStep> steps;
  bool ok = false;
};
// Never fails itself. `key`: of the probe object ("rowhouse-probe/RANDOM").
Task<ProbeResult> probe(ObjectStore& store, std::string key, CallOptions options);

}  // namespace rowhouse::storage
