#include "storage/digests.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "base/text.h"

namespace rowhouse::storage {
namespace {

constexpr std::uint32_t kCrc32cPolynomial = 0x82f63b78;         // Castagnoli's, reflected
constexpr std::uint64_t kCrc64Polynomial = 0x9a6c9329ac4bc9b5;  // NVM Express's, reflected
constexpr int kMinRsaBits = 2'048;
constexpr std::size_t kSlices = 8;

void require(bool held) {
  if (!held) std::abort();  // a library without these cannot be worked with
}

const EVP_MD* md5_algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "MD5", nullptr);
  require(algorithm != nullptr);
  return algorithm;
}

// Eight bytes a turn ("slicing by 8"): tables[n] moves a byte over n further ones.
template <class Word>
using Tables = std::array<std::array<Word, 256>, kSlices>;

template <class Word>
constexpr Tables<Word> make_tables(Word polynomial) {
  Tables<Word> tables{};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    Word value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? polynomial : 0);
    tables[0][byte] = value;
  }
  for (std::size_t slice = 1; slice < kSlices; ++slice) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const Word before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8) ^ tables[0][before & 255];
    }
  }
  return tables;
}

constexpr auto kCrc32cTables = make_tables<std::uint32_t>(kCrc32cPolynomial);
constexpr auto kCrc64Tables = make_tables<std::uint64_t>(kCrc64Polynomial);

std::uint64_t load_little_endian(const char* bytes) {
  std::uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

template <class Word>
Word crc(const Tables<Word>& tables, std::string_view data, Word before) {
  Word value = static_cast<Word>(~before);
  while (data.size() >= kSlices) {
    const std::uint64_t mixed = load_little_endian(data.data()) ^ value;
    value = 0;
    for (std::size_t i = 0; i < kSlices; ++i) value ^= tables[kSlices - 1 - i][mixed >> (8 * i) & 255];
    data.remove_prefix(kSlices);
  }
  for (const char c : data) value = (value >> 8) ^ tables[0][(value ^ static_cast<unsigned char>(c)) & 255];
  return static_cast<Word>(~value);
}

// Product of two polynomials modulo Castagnoli's; reflected: bit 31 is x^0.
std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (std::uint32_t bit = 1U << 31; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? kCrc32cPolynomial : 0);
  }
  return product;
}

}  // namespace

std::string md5(std::string_view data) {
  Md5 hash;
  hash.update(data);
  return hash.finish();
}

Md5::Md5() : context_(EVP_MD_CTX_new()) {
  require(context_ != nullptr);
  require(EVP_DigestInit_ex2(static_cast<EVP_MD_CTX*>(context_), md5_algorithm(), nullptr) == 1);
}

Md5::~Md5() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

void Md5::update(std::string_view data) {
  require(EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), data.data(), data.size()) == 1);
}

std::string Md5::finish() {
  std::string digest(kMd5Bytes, '\0');
  unsigned int size = 0;
  require(EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_),
                             reinterpret_cast<unsigned char*>(digest.data()), &size) == 1);
  return digest;
}

std::uint32_t crc32c(std::string_view data, std::uint32_t before) { return crc(kCrc32cTables, data, before); }
std::uint64_t crc64(std::string_view data, std::uint64_t before) { return crc(kCrc64Tables, data, before); }

std::uint32_t crc32c_combine(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes) {
  // The first is moved over the second's length: multiplied by x^(8 * second_bytes).
  std::uint32_t power = 1U << 23;  // x^8
  std::uint32_t shift = 1U << 31;  // 1
  for (; second_bytes != 0; second_bytes >>= 1) {
    if ((second_bytes & 1) != 0) shift = multiply(shift, power);
    power = multiply(power, power);
  }
  return multiply(shift, first) ^ second;
}

std::string crc32c_base64(std::uint32_t crc) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(crc >> shift & 255));
  return to_base64(bytes);
}

std::string crc64_base64(std::uint64_t crc) {
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(crc >> shift & 255));
  return to_base64(bytes);
}

std::string to_base64(std::string_view bytes) {
  std::string text = to_base64url(bytes);
  for (char& c : text) {
    if (c == '-') c = '+';
    if (c == '_') c = '/';
  }
  while (text.size() % 4 != 0) text.push_back('=');
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string url(text);
  for (int i = 0; i < 2 && !url.empty() && url.back() == '='; ++i) url.pop_back();
  for (char& c : url) {
    if (c == '-' || c == '_') return std::nullopt;
    if (c == '+') c = '-';
    if (c == '/') c = '_';
  }
  return from_base64url(url);
}

Result<RsaSigner> RsaSigner::create(const std::string& pem) {
  BIO* source = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  require(source != nullptr);
  // Without a callback OpenSSL would ask the terminal for the password of an encrypted key.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  EVP_PKEY* key = PEM_read_bio_PrivateKey(source, nullptr, no_password, nullptr);
  BIO_free(source);
  std::shared_ptr<void> owned(key, [](void* old) { EVP_PKEY_free(static_cast<EVP_PKEY*>(old)); });
  if (key == nullptr || EVP_PKEY_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_bits(key) < kMinRsaBits) {
    return Error(ErrorCode::validation_failed,
                 "the private key is not an RSA key of at least 2,048 bits in PEM form");
  }
  return RsaSigner(std::move(owned));
}

std::string RsaSigner::sign(std::string_view text) const {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  require(context != nullptr);
  std::size_t size = 0;
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  require(EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, static_cast<EVP_PKEY*>(key_.get())) ==
          1);
  require(EVP_DigestSign(context, nullptr, &size, data, text.size()) == 1);
  std::string signature(size, '\0');
  require(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, data,
                         text.size()) == 1);
  signature.resize(size);
  EVP_MD_CTX_free(context);
  return signature;
}

}  // namespace rowhouse::storage
