#include "isolation/lsm/default_profile.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

class AppArmorStandIn {
 public:
  AppArmorStandIn()
      : directory_(::testing::TempDir() + "apparmor-" + std::to_string(::getpid()) + "/") {
    std::filesystem::create_directories(directory_);
    paths = {directory_ + "profiles", directory_ + "parser", directory_ + "bulkhead-default"};
  }
  ~AppArmorStandIn() { std::filesystem::remove_all(directory_); }

  void list(std::string_view text) const { write(paths.loaded_profiles, text, 0600); }
  void parser(std::string_view script) const {
    write(paths.parser, "#!/bin/sh\n" + std::string(script), 0700);
  }
  // The arguments that the parser got.
  std::string called() const {
    return read_file_at(AT_FDCWD, (directory_ + "called").c_str()).value_or("not at all");
  }
  std::string record() const { return "echo \"$@\" > " + directory_ + "called\n"; }

  AppArmorPaths paths;

 private:
  static void write(const std::string& path, std::string_view text, mode_t mode) {
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    EXPECT_TRUE(write_all(file.get(), text.data(), text.size()));
  }
  std::string directory_;
};

TEST(DefaultAppArmorProfile, IsNotLoadedTwice) {
  AppArmorStandIn apparmor;
  apparmor.list("other (enforce)\nbulkhead-default (enforce)\n");
  apparmor.parser(apparmor.record());
  EXPECT_TRUE(load_default_profile(apparmor.paths));
  EXPECT_EQ(apparmor.called(), "not at all");
}

TEST(DefaultAppArmorProfile, IsLoadedByTheParserWhenItIsNot) {
  AppArmorStandIn apparmor;
  apparmor.list("bulkhead-default-of-another (enforce)\n");
  apparmor.parser(apparmor.record());
  EXPECT_TRUE(load_default_profile(apparmor.paths));
  EXPECT_EQ(apparmor.called(), "--replace --skip-cache " + apparmor.paths.profile + "\n");
}

TEST(DefaultAppArmorProfile, SaysWhyItCouldNotBeLoaded) {
  AppArmorStandIn apparmor;
  apparmor.parser("echo 'Cache read/write disabled: interface file missing.' >&2; exit 1\n");
  const auto failed = load_default_profile(apparmor.paths);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message().find("interface file missing"), std::string::npos);
}

TEST(DefaultAppArmorProfile, SaysThatTheParserIsMissing) {
  AppArmorStandIn apparmor;
  const auto failed = load_default_profile(apparmor.paths);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message().find(apparmor.paths.parser), std::string::npos);
}

TEST(AppArmorMode, IsTheOneOfTheProfileWithExactlyThisName) {
  AppArmorStandIn apparmor;
  apparmor.list("web-server (enforce)\nweb (a) (kill)\nweb (complain)\n");
  EXPECT_EQ(*profile_mode("web", apparmor.paths), "complain");
  EXPECT_EQ(*profile_mode("web (a)", apparmor.paths), "kill");
  EXPECT_EQ(*profile_mode("we", apparmor.paths), "");
}

TEST(AppArmorMode, IsOnlyAskedForWhereAProfileIsWanted) {
  AppArmorStandIn apparmor;
  apparmor.list("unconfined (complain)\nweb (complain)\n");
  HostFacts host;
  oci::Spec spec;
  spec.process.emplace();
  spec.process->apparmor_profile = "web";
  EXPECT_EQ(mode_of_wanted_profile(spec, host, apparmor.paths), "") << "no AppArmor";
  host.apparmor = true;
  EXPECT_EQ(mode_of_wanted_profile(spec, host, apparmor.paths), "complain");
  spec.process->apparmor_profile = "unconfined";
  EXPECT_EQ(mode_of_wanted_profile(spec, host, apparmor.paths), "");
}

TEST(DefaultAppArmorProfile, IsUnderstoodByTheParser) {
  if (::access("/sbin/apparmor_parser", X_OK) != 0 ||
      ::access("/etc/apparmor.d/abstractions/base", R_OK) != 0)
    GTEST_SKIP() << "the package apparmor is not installed";
  const std::string command =
      "/sbin/apparmor_parser --skip-kernel-load --skip-cache " BULKHEAD_APPARMOR_PROFILE
      " >/dev/null 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace bulkhead::isolation
