// A directory with a layer in it, and beside the layer what an escape would reach. Included by tests only.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cstdlib>
#include <string>

#include "storage/unpack/extract.h"
#include "storage/unpack/testing.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::storage::testing {

class Extract : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    char name[] = "/tmp/bulkhead-extract-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    top_ = name;
    ASSERT_EQ(::mkdir((top_ + "/layer").c_str(), 0755), 0);
    ASSERT_EQ(::mkdir((top_ + "/outside").c_str(), 0755), 0);
    write(top_ + "/outside/canary", "untouched");
    layer_ = Fd(::open((top_ + "/layer").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override {
    if (!top_.empty()) (void)remove_tree_at(AT_FDCWD, top_.c_str());
  }

  static void write(const std::string& path, std::string_view content) {
    const Fd file(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    ASSERT_TRUE(write_all(file.get(), content.data(), content.size()));
  }

  static Fd memory_file(const std::string& content) {
    Fd file(::memfd_create("tar", MFD_CLOEXEC));
    EXPECT_TRUE(write_all(file.get(), content.data(), content.size()));
    ::lseek(file.get(), 0, SEEK_SET);
    return file;
  }

  Result<ExtractReport> extract(const std::string& tar, const ExtractLimits& limits = {}) {
    const Fd input = memory_file(tar);
    DirectActs acts(layer_.get());
    return extract_layer(input.get(), layer_.get(), acts, limits);
  }

  std::string read(const std::string& name) const {
    auto text = read_file_at(layer_.get(), name.c_str());
    return text ? *text : "(" + text.error().message() + ")";
  }
  struct stat status(const std::string& name) const {
    struct stat found{};
    EXPECT_EQ(::fstatat(layer_.get(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW), 0) << name;
    return found;
  }
  bool exists(const std::string& name) const {
    return ::faccessat(layer_.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  }
  bool is_whiteout(const std::string& name) const {
    const struct stat found = status(name);
    return S_ISCHR(found.st_mode) && found.st_rdev == makedev(0, 0);
  }
  // The attribute's value, or "(none)".
  std::string attribute(const std::string& name, const char* attribute) const {
    const Fd file(::openat(layer_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    char value[256];
    const ssize_t size = ::fgetxattr(file.get(), attribute, value, sizeof value);
    return size < 0 ? "(none)" : std::string(value, static_cast<std::size_t>(size));
  }
  bool is_opaque(const std::string& name) const {
    const bool trusted = attribute(name, "trusted.overlay.opaque") == "y";
    EXPECT_EQ(attribute(name, "user.overlay.opaque") == "y", trusted)
        << "for both kinds of overlay";
    return trusted;
  }
  // Nothing beside the layer has changed.
  void expect_host_untouched() const {
    const auto canary = read_file_at(AT_FDCWD, (top_ + "/outside/canary").c_str());
    ASSERT_TRUE(canary);
    EXPECT_EQ(*canary, "untouched");
    for (const char* name : {"/outside/planted", "/planted", "/outside/.wh.canary"})
      EXPECT_NE(::access((top_ + name).c_str(), F_OK), 0) << name;
  }

  std::string top_;
  Fd layer_;
};

inline std::string whole_file(int directory, const char* name) {
  auto text = read_file_at(directory, name, std::size_t{64} << 20);
  return text ? *text : "unreadable";
}

}  // namespace bulkhead::storage::testing
