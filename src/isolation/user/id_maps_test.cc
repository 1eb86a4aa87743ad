#include "isolation/user/id_maps.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "isolation/testing.h"
#include "isolation/user/subordinate.h"

namespace bulkhead::isolation {
namespace {

using testing::TestChild;

// A child in a new user namespace that waits for its maps, verifies them and says what it found.
class WaitingChild {
 public:
  explicit WaitingChild(const UserNamespace::Plan& plan) {
    if (::pipe(ready_) != 0 || ::pipe(mapped_) != 0) std::abort();
    process_ = ::fork();
    if (process_ == 0) {
      char byte = 0;
      ::close(mapped_[1]);
      if (::unshare(CLONE_NEWUSER) != 0) testing::could_not_prepare("unshare");
      if (::write(ready_[1], &byte, 1) != 1 || ::read(mapped_[0], &byte, 1) != 1) ::_exit(2);
      TestChild child;
      ::_exit(testing::answer_of(UserNamespace::apply(plan, child)) &&
                      testing::answer_of(UserNamespace::verify(plan, child))
                  ? 0
                  : 1);
    }
    char byte = 0;
    ::close(mapped_[0]);
    if (::read(ready_[0], &byte, 1) != 1) std::abort();
  }
  HostPid pid() const { return HostPid(process_); }
  bool goes_on_and_holds() {
    char byte = 0;
    const bool told = ::write(mapped_[1], &byte, 1) == 1;
    ::close(mapped_[1]);
    return testing::said_yes(process_) && told;
  }
  void give_up() {
    ::close(mapped_[1]);
    ::waitpid(process_, nullptr, 0);
  }

 private:
  pid_t process_ = -1;
  int ready_[2] = {};
  int mapped_[2] = {};
};

UserNamespace::Plan plan_with(std::vector<oci::IdMapping> map, const HostFacts& host) {
  oci::Spec spec;
  spec.linux_.namespaces = {{oci::NamespaceType::kUser, ""}};
  spec.linux_.uid_mappings = map;
  spec.linux_.gid_mappings = std::move(map);
  return *UserNamespace::describe({.spec = spec}, host);
}

TEST(IdMapWriter, WritesOneRange) {
  SKIP_UNLESS_ROOT();
  const auto plan = plan_with({{0, testing::kTestHostIdBase, 65536}}, *gather_host_facts());
  WaitingChild child(plan);
  const auto written = write_id_maps(plan, child.pid());
  EXPECT_TRUE(written) << written.error().message();
  EXPECT_TRUE(child.goes_on_and_holds());
}

TEST(IdMapWriter, WritesAsManyRangesAsTheKernelTakes) {
  SKIP_UNLESS_ROOT();
  std::vector<oci::IdMapping> map;
  // Short numbers: all 340 have to fit into one page.
  for (std::uint32_t i = 0; i < kMostMapExtents; ++i) map.push_back({2 * i, 2 * i + 1, 1});
  const auto plan = plan_with(map, *gather_host_facts());
  WaitingChild child(plan);
  const auto written = write_id_maps(plan, child.pid());
  EXPECT_TRUE(written) << written.error().message();
  EXPECT_TRUE(child.goes_on_and_holds());
}

TEST(IdMapWriter, SaysWhenTheRangesDoNotFitIntoOnePage) {
  SKIP_UNLESS_ROOT();
  std::vector<oci::IdMapping> map;
  for (std::uint32_t i = 0; i < kMostMapExtents; ++i)
    map.push_back({1'000'000'000 + 200 * i, 2'000'000'000 + 200 * i, 100});
  const auto plan = plan_with(map, *gather_host_facts());
  WaitingChild child(plan);
  const auto written = write_id_maps(plan, child.pid());
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), ErrorKind::kInvalid);
  child.give_up();
}

TEST(IdMapWriter, WritesTheOwnIdOfAnUnprivilegedUserAndDeniesSetgroups) {
  SKIP_UNLESS_ROOT();
  EXPECT_TRUE(testing::in_child([] {
    if (::setresgid(1000, 1000, 1000) != 0 || ::setresuid(1000, 1000, 1000) != 0) return false;
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    const HostFacts host = *gather_host_facts();
    const auto plan = plan_with({{0, 1000, 1}}, host);
    if (plan.uid_writer != MapWriter::kOwnId) return false;
    WaitingChild child(plan);
    const auto written = write_id_maps(plan, child.pid());
    if (!written) std::fprintf(stderr, "%s\n", written.error().message().c_str());
    std::array<char, 16> buffer;
    const std::string path = "/proc/" + std::to_string(child.pid().value()) + "/setgroups";
    const auto policy = read_small_file_at(AT_FDCWD, path.c_str(), buffer);
    const bool denied = policy && *policy == "deny\n";
    return written && denied && child.goes_on_and_holds();
  }));
}

// As user 1000, in a mount namespace with /etc/subuid and /etc/subgid of the test's own.
bool unprivileged_with_subordinate_ids(const char* entries, std::vector<oci::IdMapping> map,
                                       std::string_view expected_hint) {
  return testing::in_child([&] {
    testing::enter_private_mount_namespace();
    if (::mount("tmpfs", "/mnt", "tmpfs", 0, "mode=755") != 0) testing::could_not_prepare("tmpfs");
    for (const char* file : {"/etc/subuid", "/etc/subgid", "/etc/passwd"}) {
      const Fd made(::open("/mnt/file", O_WRONLY | O_CREAT | O_TRUNC, 0644));
      const std::string text =
          std::string_view(file) == "/etc/passwd"
              ? "root:x:0:0::/root:/bin/sh\nbulkhead-test:x:1000:1000::/:/bin/sh\n"
              : entries;
      if (!write_all(made.get(), text.data(), text.size())) return false;
      const std::string copy = "/mnt" + std::string(file).substr(4);
      if (::rename("/mnt/file", copy.c_str()) != 0 ||
          ::mount(copy.c_str(), file, nullptr, MS_BIND, nullptr) != 0)
        testing::could_not_prepare(file);
    }
    if (::setresgid(1000, 1000, 1000) != 0 || ::setresuid(1000, 1000, 1000) != 0) return false;
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    const auto plan = plan_with(map, *gather_host_facts());
    if (plan.uid_writer != MapWriter::kHelper) return false;
    WaitingChild child(plan);
    const auto written = write_id_maps(plan, child.pid());
    if (!written && expected_hint.empty())
      std::fprintf(stderr, "%s (%s)\n", written.error().message().c_str(),
                   written.error().hint().c_str());
    if (written) return expected_hint.empty() && child.goes_on_and_holds();
    child.give_up();
    return !expected_hint.empty() && written.error().hint() == expected_hint;
  });
}

#define SKIP_WITHOUT_NEWUIDMAP()                 \
  if (::access("/usr/bin/newuidmap", X_OK) != 0) \
  GTEST_SKIP() << "needs newuidmap (package "    \
                  "uidmap)"

TEST(IdMapWriter, LetsNewuidmapWriteRangesOfAnUnprivilegedUser) {
  SKIP_UNLESS_ROOT();
  SKIP_WITHOUT_NEWUIDMAP();
  EXPECT_TRUE(unprivileged_with_subordinate_ids("bulkhead-test:200000:65536\n",
                                                {{0, 1000, 1}, {1, 200000, 65535}}, ""));
}

TEST(IdMapWriter, SaysWhichRangeAnUnprivilegedUserDoesNotHave) {
  SKIP_UNLESS_ROOT();
  SKIP_WITHOUT_NEWUIDMAP();
  EXPECT_TRUE(unprivileged_with_subordinate_ids(
      "bulkhead-test:200000:65536\nother:300000:65536\n", {{0, 1000, 1}, {1, 300000, 10}},
      "/etc/subuid gives bulkhead-test no range that holds 300000 to 300009"));
}

TEST(SubordinateRanges, AreReadAsShadowReadsThem) {
  const auto ranges = parse_subordinate_ranges(
      "# comment\nalice:100000:65536\n1001:200000:1\nbroken\nbob:x:1\nbob:5:0\n:1:1\nbob:7:8:9\n"
      "carol:4294967294:1");
  ASSERT_EQ(ranges.size(), 3U);
  EXPECT_EQ(ranges[0].owner, "alice");
  EXPECT_EQ(ranges[0].range, (IdRange{100000, 65536}));
  EXPECT_EQ(ranges[1].owner, "1001");
  EXPECT_EQ(ranges[2].range.first, 4294967294U);
}

TEST(SubordinateRanges, OfAnAbsentFileAreNone) {
  EXPECT_TRUE(read_subordinate_ranges("/nonexistent/subuid")->empty());
}

}  // namespace
}  // namespace bulkhead::isolation
