#include "net/egress.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

namespace rowhouse::net {
namespace {

sockaddr_storage address_of(const std::string& text, std::uint16_t port = 443) {
  sockaddr_storage storage{};
  if (text.find(':') == std::string::npos) {
    sockaddr_in inet{};
    inet.sin_family = AF_INET;
    inet.sin_port = htons(port);
    EXPECT_EQ(inet_pton(AF_INET, text.c_str(), &inet.sin_addr), 1) << text;
    std::memcpy(&storage, &inet, sizeof inet);
  } else {
    sockaddr_in6 inet6{};
    inet6.sin6_family = AF_INET6;
    inet6.sin6_port = htons(port);
    EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &inet6.sin6_addr), 1) << text;
    std::memcpy(&storage, &inet6, sizeof inet6);
  }
  return storage;
}

bool connects(const EgressPolicy& policy, const std::string& host, const std::string& address,
              std::uint16_t port = 443) {
  const sockaddr_storage storage = address_of(address, port);
  return policy.may_connect(host, reinterpret_cast<const sockaddr&>(storage));
}

EgressPolicy allowing(const std::vector<std::string>& entries) {
  auto policy = EgressPolicy::create(entries);
  EXPECT_TRUE(policy.ok()) << policy.error().message;
  return policy.ok() ? *policy : EgressPolicy();
}

constexpr const char* kForbiddenAddresses[] = {
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "fec0::1",
    "ff01::1",
    "ff02::1",
    "ff0e::1",
};

TEST(Egress, NoSpecialAddressIsConnectedTo) {
  const EgressPolicy policy;
  for (const char* address : kForbiddenAddresses) {
    EXPECT_FALSE(connects(policy, "storage.example.com", address)) << address;
  }
  sockaddr_storage unix_address{};
  unix_address.ss_family = AF_UNIX;
  EXPECT_FALSE(policy.may_connect("storage.example.com", reinterpret_cast<const sockaddr&>(unix_address)));
}

TEST(Egress, TheInternetIsConnectedTo) {
  const EgressPolicy policy;
  for (const char* address :
       {"1.1.1.1",        "8.8.8.8",         "9.255.255.255",   "11.0.0.0",        "100.63.255.255",
        "100.128.0.0",    "126.255.255.255", "128.0.0.1",       "168.63.129.15",   "169.253.255.255",
        "172.15.255.255", "172.32.0.0",      "192.167.255.255", "192.169.0.1",     "198.17.255.255",
        "198.20.0.0",     "223.255.255.255", "2600:1f18::1",    "2606:4700::1111", "2a00:1450:4001::1"}) {
    EXPECT_TRUE(connects(policy, "storage.example.com", address)) << address;
  }
}

TEST(Egress, HostsThatCanNeverBeReachedAreRefusedBeforeAnyLookUp) {
  const EgressPolicy policy;
  for (const char* address : kForbiddenAddresses) {
    EXPECT_FALSE(policy.check_host(address, 443).ok()) << address;
  }
  for (const char* host :
       {"", ".", "..", "a..b", ".example.com", "example.com..",
        // an address in another spelling
        "2130706433", "0x7f000001", "0X7F000001", "017700000001", "0177.0.0.1", "0x7f.0.0.1", "127.1",
        "127.0.1", "127.0.0.01", "127.0.0.1.", "10.1", "1.1.1.1.", "0", "0.0", "0x", "0x0", "1.2.3",
        "1.2.3.4.5", "256.1.1.1", "1.1.1.256", "4294967296", "00.0.0.0", "127.0.0.0x1", "example.1",
        "example.0x7f", "example.com.127",
        // IPv6 with brackets, zones and half of it
        "[::1]", "::1%lo", "fe80::1%eth0", "fe80::1%25eth0", "::ffff:7f00:1", "0:0:0:0:0:0:0:1",
        "0000:0000:0000:0000:0000:0000:0000:0001", "::ffff:127.1", "::ffff:0x7f.0.0.1", "1::2::3", ":", ":::",
        // this machine and this network by name
        "localhost", "LOCALHOST", "LocalHost.", "localhost.", "localhost.localdomain", "a.localhost",
        "db.localhost.", "printer.local", "metadata", "metadata.google.internal", "Metadata.Google.Internal.",
        "metadata.google.internal.", "instance-data", "instance-data.ec2.internal",
        "kubernetes.default.svc.cluster.local", "postgres", "minio", "db.lan", "nas.home", "nas.home.arpa",
        "x.corp", "x.private", "x.intranet", "1.0.0.127.in-addr.arpa",
        // where two parsers differ
        "127.0.0.1#example.com", "example.com@127.0.0.1", "example.com:80", "example.com/", "example.com\\",
        "127%2e0%2e0%2e1", "%6cocalhost", "example.com%00", "exam ple.com", "example.com\t", "example.com\n",
        "\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1",
        "\xef\xbd\x8c\xef\xbd\x8f\xef\xbd\x83\xef\xbd\x81\xef\xbd\x8c",
        "127\xe3\x80\x82"
        "0\xe3\x80\x82"
        "0\xe3\x80\x82"
        "1",
        "b\xc3\xbc"
        "cher.example",
        "example.com;", "$(id).example.com", "*.example.com", "-", "\"example.com\""}) {
    const auto answer = policy.check_host(host, 443);
    ASSERT_FALSE(answer.ok()) << host;
    EXPECT_EQ(answer.error().code, ErrorCode::address_refused) << host;
    EXPECT_NE(answer.error().message.find("egress_allow"), std::string::npos);
  }
  EXPECT_FALSE(policy.check_host(std::string("example.com\0.evil", 17), 443).ok());
  EXPECT_FALSE(policy.check_host(std::string(254, 'a') + ".example.com", 443).ok());
  EXPECT_FALSE(policy.check_host(std::string(64, 'a') + ".example.com", 443).ok());
}

TEST(Egress, HostsOfTheInternetAreNotRefused) {
  const EgressPolicy policy;
  for (const char* host :
       {"s3.eu-central-1.amazonaws.com", "Account.Blob.Core.Windows.Net", "storage.googleapis.com.",
        "1.1.1.1", "2606:4700::1111", "my_bucket.s3.amazonaws.com", "xn--bcher-kva.example",
        "localhost.example.com", "internal.example.com", "127.0.0.1.example.com", "1e100.net",
        "0x7f.example.org", "a.b0"}) {
    EXPECT_TRUE(policy.check_host(host, 443).ok()) << host;
  }
}

TEST(Egress, AnAllowedNetworkIsAllowedAndNothingBesideIt) {
  const EgressPolicy policy =
      allowing({"10.1.0.0/16", "192.168.7.9", "127.0.0.1:9000", "fd12:3456::/32", "[::1]:9000"});
  EXPECT_TRUE(connects(policy, "minio.example.com", "10.1.2.3", 80));
  EXPECT_FALSE(connects(policy, "minio.example.com", "10.2.0.1", 80));
  EXPECT_TRUE(connects(policy, "x.example.com", "192.168.7.9"));
  EXPECT_FALSE(connects(policy, "x.example.com", "192.168.7.8"));
  EXPECT_TRUE(connects(policy, "127.0.0.1", "127.0.0.1", 9'000));
  EXPECT_FALSE(connects(policy, "127.0.0.1", "127.0.0.1", 5'432));
  EXPECT_FALSE(connects(policy, "127.0.0.2", "127.0.0.2", 9'000));
  EXPECT_TRUE(connects(policy, "x.example.com", "fd12:3456:7::1"));
  EXPECT_FALSE(connects(policy, "x.example.com", "fd12:3457::1"));
  EXPECT_TRUE(connects(policy, "::1", "::1", 9'000));
  EXPECT_FALSE(connects(policy, "::1", "::1", 9'001));
  // The same place in another spelling is not what was allowed.
  EXPECT_FALSE(connects(policy, "x.example.com", "::ffff:10.1.2.3"));
  EXPECT_FALSE(connects(policy, "x.example.com", "64:ff9b::a01:203"));
  EXPECT_TRUE(policy.check_host("10.1.2.3", 80).ok());
  EXPECT_TRUE(policy.check_host("127.0.0.1", 9'000).ok());
  EXPECT_FALSE(policy.check_host("127.0.0.1", 9'001).ok());
  EXPECT_FALSE(policy.check_host("127.1", 9'000).ok());
  EXPECT_FALSE(policy.check_host("2130706433", 9'000).ok());
  EXPECT_FALSE(policy.check_host("localhost", 9'000).ok());
}

TEST(Egress, AnAllowedNameMayLeadAnywhereButOnlyByThatName) {
  const EgressPolicy policy = allowing({"Minio.Internal:9000", "nas"});
  EXPECT_TRUE(connects(policy, "minio.internal", "10.0.0.7", 9'000));
  EXPECT_TRUE(connects(policy, "minio.internal.", "127.0.0.1", 9'000));
  EXPECT_FALSE(connects(policy, "minio.internal", "10.0.0.7", 9'001));
  EXPECT_FALSE(connects(policy, "evil.example.com", "10.0.0.7", 9'000));
  EXPECT_FALSE(connects(policy, "x.minio.internal", "10.0.0.7", 9'000));
  EXPECT_TRUE(policy.check_host("MINIO.internal", 9'000).ok());
  EXPECT_FALSE(policy.check_host("minio.internal", 443).ok());
  EXPECT_FALSE(policy.check_host("a.minio.internal", 9'000).ok());
  EXPECT_TRUE(policy.check_host("nas", 2'049).ok());
}

TEST(Egress, PlainHttpOnlyWhereAnEntrySaysSo) {
  const EgressPolicy policy = allowing({"127.0.0.1:9000", "minio.internal", "10.0.0.0/8"});
  EXPECT_TRUE(policy.may_be_plain("127.0.0.1", 9'000));
  EXPECT_FALSE(policy.may_be_plain("127.0.0.1", 9'001));
  EXPECT_TRUE(policy.may_be_plain("minio.internal", 80));
  EXPECT_TRUE(policy.may_be_plain("10.9.8.7", 80));
  EXPECT_FALSE(policy.may_be_plain("s3.example.com", 80));
  EXPECT_FALSE(policy.may_be_plain("1.1.1.1", 80));
  EXPECT_FALSE(EgressPolicy().may_be_plain("1.1.1.1", 80));
}

TEST(Egress, EntriesThatMeanNothingAreRefusedByName) {
  for (const char* entry : {"",
                            "10.0.0.0/33",
                            "10.0.0.1/8",
                            "10.0.0.0/",
                            "10.0.0.0/x",
                            "10.0.0.0/-1",
                            "10.1",
                            "minio.internal:0",
                            "minio.internal:65536",
                            "minio.internal:x",
                            "minio.internal:",
                            "http://minio",
                            "*.internal",
                            "minio.internal/24",
                            "[::1",
                            "[::1]9000",
                            "fd00::1/8",
                            "fd00::/129",
                            "a b",
                            "0x7f000001",
                            "10.0.0.0/8:99999"}) {
    const auto policy = EgressPolicy::create({"10.0.0.0/8", entry});
    ASSERT_FALSE(policy.ok()) << entry;
    EXPECT_EQ(policy.error().code, ErrorCode::config_invalid);
    EXPECT_NE(policy.error().message.find('"' + std::string(entry) + '"'), std::string::npos) << entry;
  }
  EXPECT_TRUE(
      EgressPolicy::create({"0.0.0.0/0", "::/0", "fd00::/8", "[fd00::]:9000", "10.0.0.0/8:9000"}).ok());
}

TEST(Egress, LooksUpOnlyWhatMayBeConnectedTo) {
  const auto refused = resolve_for_egress(EgressPolicy(), "localhost", 2'049);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::address_refused);
  EXPECT_EQ(refused.error().message.find("127.0.0.1"), std::string::npos);

  const auto found = resolve_for_egress(allowing({"localhost:2049"}), "localhost", 2'049);
  ASSERT_TRUE(found.ok()) << found.error().message;
  ASSERT_FALSE(found->empty());
  EXPECT_TRUE(found->front().text == "127.0.0.1" || found->front().text == "::1") << found->front().text;

  const auto literal = resolve_for_egress(allowing({"127.0.0.9"}), "127.0.0.9", 445);
  ASSERT_TRUE(literal.ok());
  ASSERT_EQ(literal->size(), 1u);
  EXPECT_EQ(literal->front().text, "127.0.0.9");
  sockaddr_in inet{};
  std::memcpy(&inet, &literal->front().address, sizeof inet);
  EXPECT_EQ(ntohs(inet.sin_port), 445);

  const auto nobody = resolve_for_egress(allowing({"nobody.invalid"}), "nobody.invalid", 445);
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(nobody.error().code, ErrorCode::server_unreachable);
}

}  // namespace
}  // namespace rowhouse::net
