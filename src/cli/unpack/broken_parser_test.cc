// What an attacker has who owns the decompressor or the tar parser: this test's program is linked with
// parsers of its own instead of the real ones, which do whatever the layer tells them to. Each deed is
// first done without the confinement, where it must succeed.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <set>

#include "cli/unpack/confinement.h"
#include "cli/unpack/sanitized_testing.h"
#include "storage/unpack/decompress.h"
#include "storage/unpack/extract.h"
#include "storage/unpack/layout_testing.h"
#include "storage/unpack/unpack_layer.h"
#include "sys/tree.h"

namespace bulkhead::cli {
namespace {

using storage::WorkerKind;

// Where the deeds aim. Known to the workers because they are forked from the test.
struct Targets {
  std::string outside;  // a directory beside the layer, with a file "canary"
  std::uint16_t port = 0;
  std::string abstract;  // an abstract socket that somebody listens on
};
Targets targets;
storage::LayerActs* asked = nullptr;  // the extractor's channel

bool opens(const std::string& path, int flags) {
  return ::open(path.c_str(), flags | O_CLOEXEC, 0600) >= 0;
}

bool connects_to_loopback() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(targets.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool connects_to_abstract_socket() {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, targets.abstract.data(), targets.abstract.size());
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + targets.abstract.size());
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0;
}

// Out of a chroot by a second one.
bool climbs_out() {
  if (::mkdir("step", 0700) != 0 || ::chroot("step") != 0) return false;
  for (int i = 0; i < 64; ++i) (void)!::chdir("..");
  return ::chroot(".") == 0 && opens(targets.outside + "/canary", O_RDWR);
}

// By its number on the file system instead of a path, which no root directory bounds.
bool opens_by_handle() {
  alignas(file_handle) char room[sizeof(file_handle) + 128] = {};
  auto* const handle = reinterpret_cast<file_handle*>(room);
  handle->handle_bytes = 128;
  int mount = 0;
  const int directory = ::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return ::name_to_handle_at(AT_FDCWD, ".", handle, &mount, 0) == 0 &&
         ::open_by_handle_at(directory, handle, O_RDONLY) >= 0;
}

// But the extractor's of its own directory.
bool holds_other_descriptors() {
  struct stat own{};
  for (int fd = 5; fd < 1024; ++fd) {
    struct stat status{};
    if (::fcntl(fd, F_GETFD) < 0) continue;
    if (::stat(".", &own) != 0 || ::fstat(fd, &status) != 0 || own.st_ino != status.st_ino)
      return true;
  }
  return false;
}

bool reads_the_overseer() {
  char byte = 0;
  iovec local{&byte, 1};
  iovec remote{&targets, 1};
  return ::process_vm_readv(::getppid(), &local, 1, &remote, 1, 0) == 1;
}

bool raises_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  data[0].effective = data[0].permitted = 1U << CAP_SYS_ADMIN;
  return ::syscall(SYS_capset, &header, data) == 0;
}

// The program tells it in its place: descriptor 2 is the report, in the form of a worker's failure.
bool executes() {
  char path[] = "/bin/sh";
  char option[] = "-c";
  char script[] = "printf 'EPAYLOAD DID IT\\0' >&2; exit 1";
  char* const arguments[] = {path, option, script, nullptr};
  char* const environment[] = {nullptr};
  ::execve(path, arguments, environment);
  return false;
}

// Each tells whether it was done.
const std::map<std::string, std::function<bool()>> kDeeds = {
    {"reads a file of the host", [] { return opens("/etc/passwd", O_RDONLY); }},
    {"writes a file of the host", [] { return opens(targets.outside + "/canary", O_RDWR); }},
    {"makes a file beside the layer", [] { return opens("../outside/planted", O_CREAT | O_RDWR); }},
    {"climbs out of its root", climbs_out},
    {"opens a file by its handle", opens_by_handle},
    {"connects to a port of the host", connects_to_loopback},
    {"connects to an abstract socket", connects_to_abstract_socket},
    {"holds a descriptor of the host", holds_other_descriptors},
    {"executes a program", executes},
    {"forks", [] { return ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0; }},
    {"traces the overseer", [] { return ::ptrace(PTRACE_SEIZE, ::getppid(), 0, 0) == 0; }},
    {"reads the overseer's memory", reads_the_overseer},
    {"signals the overseer", [] { return ::kill(::getppid(), SIGCONT) == 0; }},
    {"mounts", [] { return ::mount("none", ".", "tmpfs", 0, nullptr) == 0; }},
    {"makes a namespace", [] { return ::unshare(CLONE_NEWNS) == 0; }},
    {"raises its capabilities", raises_capabilities},
    {"makes a disk's node", [] { return ::mknod("disk", S_IFBLK | 0600, makedev(8, 0)) == 0; }},
    {"steers the overlay",
     [] { return ::setxattr(".", "trusted.overlay.redirect", "/etc", 4, 0) == 0; }},
    {"takes two gigabytes",
     [] {
       return ::mmap(nullptr, std::size_t{2} << 30, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
     }},
    {"uses the keyring",
     [] { return ::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1) >= 0; }},
};

// What shows that the payload runs at all, in the confinement too.
constexpr const char* kHarmless = "computes";
const std::map<std::string, std::function<bool()>> kHarmlessDeeds = {
    {kHarmless, [] { return ::getenv("nothing") == nullptr; }},
    {"makes a file in its layer", [] { return opens("own", O_CREAT | O_RDWR); }}};

// Only the extractor has the channel.
const std::map<std::string, std::function<bool()>> kChannelDeeds = {
    {"opens a device that it asked for",
     [] {
       const auto made =
           asked->make_device("zero", {.is_block = false, .major = 1, .minor = 5, .mode = 0666});
       if (!made || *made != storage::Act::kDone) ::_exit(3);
       const int fd = ::open("zero", O_RDWR | O_CLOEXEC);
       char byte = 1;
       return fd >= 0 && ::read(fd, &byte, 1) == 1 && byte == 0;
     }},
};

// Asked for over the channel; the overseer must refuse whoever asks, confined or not.
const std::map<std::string, std::function<bool()>> kMisuses = {
    {"marks a directory of the host by a parent",
     [] { return asked->mark_opaque("../outside").has_value(); }},
    {"marks a directory of the host by a link",
     [] {
       return ::symlink(targets.outside.c_str(), "door") == 0 &&
              asked->mark_opaque("door").has_value();
     }},
    {"makes a node in a directory of the host",
     [] {
       return ::symlink(targets.outside.c_str(), "door") == 0 &&
              asked->make_device("door/node", {.is_block = true, .major = 8, .minor = 0});
     }},
    {"makes a node of an impossible mode",
     [] {
       return asked->make_device("node", {.major = 1, .minor = 5, .mode = 0100666}).has_value();
     }},
    {"says what is no message", [] { return ::write(4, "nonsense", 8) != 8; }},
};

// By read(2) alone, as real parsers read.
Result<std::string> order_from(int input) {
  std::string order(4096, '\0');
  TRY_ASSIGN(const std::size_t size, read_up_to(input, order.data(), order.size()));
  order.resize(size);
  return order;
}

Result<void> obey(std::string_view order, std::string_view addressee) {
  if (!order.starts_with(addressee)) return {};
  order.remove_prefix(addressee.size() + 1);
  for (const auto* const deeds : {&kHarmlessDeeds, &kDeeds, &kChannelDeeds, &kMisuses})
    if (const auto deed = deeds->find(std::string(order)); deed != deeds->end()) {
      const bool done = deed->second();
      return fail(ErrorKind::kInvalid, done ? "PAYLOAD DID IT" : "payload could not");
    }
  return fail(ErrorKind::kInvalid, "unknown deed");
}

}  // namespace
}  // namespace bulkhead::cli

// Instead of the real ones: the linker finds these first.
namespace bulkhead::storage {

Result<void> decompress(int input, int output) {
  TRY_ASSIGN(const std::string all, cli::order_from(input));
  TRY(cli::obey(all, "decompressor"));
  TRY(write_all(output, all.data(), all.size()));
  return {};
}

Result<ExtractReport> extract_layer(int input, int, LayerActs& acts, const ExtractLimits&) {
  TRY_ASSIGN(const std::string all, cli::order_from(input));
  cli::asked = &acts;
  TRY(cli::obey(all, "extractor"));
  return ExtractReport{};
}

}  // namespace bulkhead::storage

namespace bulkhead::cli {
namespace {

struct NoConfinement final : storage::Confinement {
  Result<void> enter(WorkerKind) override { return {}; }
};

class BrokenParser : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    if (kSanitized) GTEST_SKIP() << "a sanitizer maps more memory than a worker may have";
    ::signal(SIGPIPE, SIG_IGN);
    char name[] = "/tmp/bulkhead-broken-XXXXXX";
    top_ = ::mkdtemp(name);
    targets.outside = top_ + "/outside";
    ASSERT_EQ(::mkdir(targets.outside.c_str(), 0755), 0);
    storage::testing::write_file(targets.outside + "/canary", "untouched");
    listen_on_loopback();
    listen_on_abstract_socket();
  }
  void TearDown() override {
    if (!top_.empty()) (void)remove_tree_at(AT_FDCWD, top_.c_str());
  }

  void listen_on_loopback() {
    tcp_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(tcp_.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    ASSERT_EQ(::listen(tcp_.get(), 64), 0);
    ASSERT_EQ(::getsockname(tcp_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    targets.port = ntohs(address.sin_port);
  }
  void listen_on_abstract_socket() {
    targets.abstract = "bulkhead-broken-parser-" + std::to_string(::getpid());
    unix_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, targets.abstract.data(), targets.abstract.size());
    const auto size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + targets.abstract.size());
    ASSERT_EQ(::bind(unix_.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    ASSERT_EQ(::listen(unix_.get(), 64), 0);
  }

  // In a process of its own: a deed may change what the workers' parent is.
  std::string unpack(const std::string& order, bool confined,
                     const std::set<ConfinementPart>& without = {}) {
    const std::string layer = top_ + "/layer" + std::to_string(count_++);
    EXPECT_EQ(::mkdir(layer.c_str(), 0755), 0);
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const Fd out(ends[0]);
    const pid_t child = ::fork();
    if (child == 0) {
      // What is mounted by those that may goes with them.
      if (::unshare(CLONE_NEWNS) != 0 ||
          ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        ::_exit(3);
      // What deeds leave where they stand is left in the layer.
      if (::chdir(layer.c_str()) != 0) ::_exit(3);
      // As much for the unconfined as the kernel grants: what stops them must be the confinement.
      const Fd directory(::open(layer.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      const Fd blob(::memfd_create("blob", MFD_CLOEXEC));
      (void)write_all(blob.get(), order.data(), order.size());
      const std::string hex = storage::testing::sha256(order);
      const storage::LayerToUnpack wanted{
          .source = {.fd = blob.get(), .offset = 0, .size = order.size()},
          .digest = hex,
          .diff_id = hex,
          .directory = directory.get()};
      const auto host = isolation::gather_host_facts();
      if (!host) ::_exit(2);
      LayeredConfinement layered(*host, without);
      NoConfinement none;
      storage::Confinement& chosen = confined ? static_cast<storage::Confinement&>(layered) : none;
      const auto done = storage::unpack_layer(wanted, chosen);
      const std::string said = done ? "nothing happened" : done.error().message();
      (void)write_all(ends[1], said.data(), said.size());
      ::_exit(0);
    }
    ::close(ends[1]);
    const auto said = read_fd(out.get());
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << order;
    return said ? *said : "unheard";
  }

  void expect_host_untouched() const {
    const auto canary = read_file_at(AT_FDCWD, (targets.outside + "/canary").c_str());
    EXPECT_TRUE(canary && *canary == "untouched");
    EXPECT_NE(::access((targets.outside + "/planted").c_str(), F_OK), 0);
    EXPECT_NE(::access((targets.outside + "/node").c_str(), F_OK), 0);
    EXPECT_LT(::getxattr(targets.outside.c_str(), "trusted.overlay.opaque", nullptr, 0), 0);
  }

  // Refused by the kernel, or the worker's end.
  static bool was_stopped(const std::string& said) {
    return said == "payload could not" ||
           said.find("was killed by signal 31: it tried what it has no business with") !=
               std::string::npos;
  }

  std::string top_;
  Fd tcp_;
  Fd unix_;
  int count_ = 0;
};

TEST_F(BrokenParser, RunsThePayload) {
  for (const char* addressee : {"decompressor ", "extractor "})
    for (const bool confined : {true, false})
      EXPECT_EQ(unpack(std::string(addressee) + kHarmless, confined), "PAYLOAD DID IT");
}

TEST_F(BrokenParser, OwnsNothingFromTheDecompressor) {
  for (const auto& [name, deed] : kDeeds) {
    const std::string said = unpack("decompressor " + name, true);
    EXPECT_TRUE(was_stopped(said)) << name << ": " << said;
  }
  expect_host_untouched();
}

TEST_F(BrokenParser, OwnsNothingButItsLayerFromTheExtractor) {
  for (const auto* const deeds : {&kDeeds, &kChannelDeeds})
    for (const auto& [name, deed] : *deeds) {
      const std::string said = unpack("extractor " + name, true);
      EXPECT_TRUE(was_stopped(said)) << name << ": " << said;
    }
  expect_host_untouched();
}

TEST_F(BrokenParser, WouldOwnTheHostWithoutTheConfinement) {
  for (const auto* const deeds : {&kDeeds, &kChannelDeeds})
    for (const auto& [name, deed] : *deeds) {
      // That they are closed is not the confinement's doing.
      if (name == "holds a descriptor of the host") continue;
      const std::string said = unpack("extractor " + name, false);
      EXPECT_EQ(said, "PAYLOAD DID IT") << name;
    }
}

// Landlock alone stops what leads out of the layer's directory; without it, the same succeeds. What it
// has no say in, such as mounts, it need not stop.
TEST_F(BrokenParser, IsHeldByLandlockWhereNothingElseHolds) {
  const auto host = isolation::gather_host_facts();
  ASSERT_TRUE(host);
  if (host->landlock_abi < 2) GTEST_SKIP() << "this kernel has no Landlock of ABI 2";
  std::vector<std::string> deeds = {
      "reads a file of the host", "writes a file of the host", "makes a file beside the layer",
      "climbs out of its root",   "executes a program",        "mounts"};
  if (host->landlock_abi >= 4) deeds.emplace_back("connects to a port of the host");
  if (host->landlock_abi >= 6)
    deeds.insert(deeds.end(), {"connects to an abstract socket", "signals the overseer"});
  using enum ConfinementPart;
  std::set<ConfinementPart> without = {kSeparation, kCapabilities, kSeccomp};
  const auto expect_all = [&](const char* outcome) {
    for (const char* addressee : {"decompressor ", "extractor "})
      for (const std::string& deed : deeds)
        EXPECT_EQ(unpack(addressee + deed, true, without), outcome) << addressee << deed;
  };
  expect_all("payload could not");
  EXPECT_EQ(unpack("extractor makes a file in its layer", true, without), "PAYLOAD DID IT");
  EXPECT_EQ(unpack("decompressor makes a file in its layer", true, without), "payload could not");
  expect_host_untouched();
  without.insert(kLandlock);
  expect_all("PAYLOAD DID IT");
}

TEST_F(BrokenParser, IsRefusedByTheOverseerWhatIsNoneOfTheLayers) {
  for (const bool confined : {true, false})
    for (const auto& [name, deed] : kMisuses) {
      const std::string said = unpack("extractor " + name, confined);
      EXPECT_EQ(said.find("PAYLOAD DID IT"), std::string::npos) << name;
      EXPECT_NE(said, "nothing happened") << name;
      expect_host_untouched();
    }
  // The paths do lead there when they are trusted.
  const std::string door = top_ + "/door";
  ASSERT_EQ(::symlink(targets.outside.c_str(), door.c_str()), 0);
  EXPECT_EQ(::setxattr(door.c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  EXPECT_EQ(::mknod((door + "/node").c_str(), S_IFBLK | 0600, makedev(8, 0)), 0);
}

}  // namespace
}  // namespace bulkhead::cli
