#include "pg/transaction_context.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <string_view>

#include "crypto/crypto.h"

namespace rowhouse::pg {
namespace {

// Appends numbers as PostgreSQL sends them: big-endian.
class Writer {
 public:
  explicit Writer(char* to) : at_(to) {}
  template <class T>
  char* number(T value) {
    char* begin = at_;
    for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8) {
      *at_++ = static_cast<char>(static_cast<unsigned char>(value >> shift & 0xff));
    }
    return begin;
  }
  char* bytes(const void* data, std::size_t size) {
    char* begin = at_;
    std::memcpy(at_, data, size);
    at_ += size;
    return begin;
  }
  template <class Bytes>
  void hexadecimal(const Bytes& data) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (const auto each : data) {
      const auto byte = static_cast<unsigned char>(each);
      *at_++ = kDigits[byte >> 4];
      *at_++ = kDigits[byte & 15];
    }
  }
  void column(std::int32_t type, const char* data, std::int32_t size) {
    number(type);
    number(size);
    bytes(data, static_cast<std::size_t>(size));
  }

 private:
  char* at_;
};

constexpr std::string_view kClaimsPrefix = "rowhouse_context_";
constexpr std::size_t kMessageBytes = 145;

// As record_send() writes the values of a row: type and length of each before its bytes.
constexpr std::int32_t kColumns = 4;
constexpr std::int32_t kTextType = 25, kTimestamptzType = 1184, kInt8Type = 20, kInt4Type = 23;

// PostgreSQL counts time from 2000.
constexpr std::chrono::seconds kPostgresEpoch{946'684'800};

}  // namespace

SignedContext::SignedContext(const TransactionContext& context, std::int32_t backend_pid, std::int64_t number,
                             WallTime expires_at) {
  const auto expires_us =
      std::chrono::duration_cast<std::chrono::microseconds>(expires_at.time_since_epoch() - kPostgresEpoch)
          .count();
  Writer parameters(bytes_.data());
  values_[0] = parameters.number(context.key().id);
  values_[1] = parameters.bytes(kClaimsPrefix.data(), kClaimsPrefix.size());
  parameters.hexadecimal(context.tenant().bytes());
  parameters.hexadecimal(context.principal().bytes());
  std::array<char, 4> role;
  Writer(role.data()).number(static_cast<std::int32_t>(context.role()));
  parameters.hexadecimal(role);
  values_[2] = parameters.number(static_cast<std::int64_t>(expires_us));

  std::array<char, kContextKeyBytes + kMessageBytes> hashed;
  Writer input(hashed.data());
  input.bytes(context.key().bytes.data(), kContextKeyBytes);
  input.number(kColumns);
  input.column(kTextType, values_[1], kClaimsBytes);
  input.column(kTimestamptzType, values_[2], 8);
  std::array<char, 8> count;
  Writer(count.data()).number(number);
  input.column(kInt8Type, count.data(), 8);
  std::array<char, 4> backend;
  Writer(backend.data()).number(backend_pid);
  input.column(kInt4Type, backend.data(), 4);
  const std::string mac = crypto::sha256(std::string_view(hashed.data(), hashed.size()));
  values_[3] = parameters.bytes(mac.data(), mac.size());
}

}  // namespace rowhouse::pg
