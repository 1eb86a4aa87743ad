#include "storage/fetch/address_scope.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace bulkhead::storage {
namespace {

AddressScope scope(const char* text) {
  struct sockaddr_storage storage{};
  auto* const v4 = reinterpret_cast<struct sockaddr_in*>(&storage);
  auto* const v6 = reinterpret_cast<struct sockaddr_in6*>(&storage);
  if (::inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    storage.ss_family = AF_INET;
  } else {
    EXPECT_EQ(::inet_pton(AF_INET6, text, &v6->sin6_addr), 1) << text;
    storage.ss_family = AF_INET6;
  }
  return scope_of(*reinterpret_cast<const struct sockaddr*>(&storage));
}

TEST(AddressScope, OfTheHostItself) {
  for (const char* text : {"127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3", "::1",
                           "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"})
    EXPECT_EQ(scope(text), AddressScope::kHost) << text;
}

TEST(AddressScope, OfPrivateNetworks) {
  for (const char* text : {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
                           "fd00::1", "fc00::1", "::ffff:10.1.1.1"})
    EXPECT_EQ(scope(text), AddressScope::kPrivate) << text;
}

TEST(AddressScope, OfWhatNobodyShouldBeSentTo) {
  for (const char* text :
       {"169.254.169.254", "::ffff:169.254.169.254", "224.0.0.1", "255.255.255.255", "240.0.0.1",
        "fe80::1", "ff02::1", "::7f00:1", "64:ff9b::a9fe:a9fe"})
    EXPECT_EQ(scope(text), AddressScope::kNever) << text;
}

TEST(AddressScope, OfTheInternet) {
  for (const char* text : {"1.1.1.1", "172.32.0.1", "172.15.0.1", "100.128.0.1", "169.253.0.1",
                           "2600::1", "2a00:1450::1", "::ffff:8.8.8.8"})
    EXPECT_EQ(scope(text), AddressScope::kInternet) << text;
}

TEST(AddressScope, OfAnotherFamilyIsNone) {
  struct sockaddr unix_address{};
  unix_address.sa_family = AF_UNIX;
  EXPECT_EQ(scope_of(unix_address), AddressScope::kNever);
}

}  // namespace
}  // namespace bulkhead::storage
