#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "storage/tree/pack_tree.h"
#include "storage/tree/unpack_tree.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

namespace fs = std::filesystem;

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class TreeTest : public testing::Test {
 protected:
  TreeTest() {
    char name[] = "/tmp/bulkhead-tree-XXXXXX";
    top_ = ::mkdtemp(name);
    for (const char* const each : {"from", "to", "outside"})
      fs::create_directory(top_ + "/" + each);
    write("outside/secret", "secret");
    mask_ = ::umask(0);
  }
  ~TreeTest() override {
    ::umask(mask_);
    fs::remove_all(top_);
  }

  void write(const std::string& path, const std::string& content) const {
    std::ofstream(top_ + "/" + path) << content;
  }
  struct stat status(const std::string& path) const {
    struct stat found{};
    EXPECT_EQ(::lstat((top_ + "/" + path).c_str(), &found), 0) << path;
    return found;
  }
  bool exists(const std::string& path) const {
    struct stat found{};
    return ::lstat((top_ + "/" + path).c_str(), &found) == 0;
  }
  // An archive in a file, so that both halves can run one after the other.
  Fd archive() const {
    Fd file(::open(top_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    EXPECT_TRUE(file);
    return file;
  }
  Result<TreeNotes> pack(int to, const std::string& name, const std::string& as) const {
    TRY_ASSIGN(const Fd from, open_at(AT_FDCWD, (top_ + "/from").c_str(), O_RDONLY | O_DIRECTORY));
    TarStream tar(to);
    TreePacker packer(tar, {});
    TRY(packer.pack(from.get(), name, as));
    TRY(tar.finish());
    return packer.notes();
  }
  Result<TreeNotes> unpack(int from, const UnpackRules& rules = {}) const {
    EXPECT_EQ(::lseek(from, 0, SEEK_SET), 0);
    TRY_ASSIGN(const Fd to, open_at(AT_FDCWD, (top_ + "/to").c_str(), O_RDONLY | O_DIRECTORY));
    TarReader reader(from);
    TreeUnpacker unpacker(to.get(), rules, {});
    TRY(unpacker.unpack(reader));
    return unpacker.notes();
  }
  Result<TreeNotes> copy(const std::string& name, const std::string& as,
                         const UnpackRules& rules = {}) const {
    const Fd file = archive();
    TRY(pack(file.get(), name, as));
    return unpack(file.get(), rules);
  }
  // An archive by hand, as no packer would make it.
  Result<TreeNotes> unpack_entries(const std::vector<TarEntry>& entries,
                                   const UnpackRules& rules = {}) const {
    const Fd file = archive();
    TarStream tar(file.get());
    for (const TarEntry& entry : entries) {
      if (entry.type != TarType::kFile) {
        TRY(tar.add(entry));
        continue;
      }
      TarEntry whole = entry;
      whole.size = 4;
      TRY(tar.begin_file(whole, {}));
      TRY(tar.content("evil"));
      TRY(tar.end_file());
    }
    TRY(tar.finish());
    return unpack(file.get(), rules);
  }
  static TarEntry entry(TarType type, const std::string& path, const std::string& link = {}) {
    TarEntry made;
    made.type = type;
    made.path = path;
    made.link = link;
    made.mode = 0755;
    return made;
  }

  std::string top_;
  mode_t mask_ = 0;
};

TEST_F(TreeTest, CopiesWhatFilesAre) {
  const std::string long_name(200, 'n');
  fs::create_directories(top_ + "/from/tree/" + long_name + "/" + long_name);
  write("from/tree/" + long_name + "/" + long_name + "/file", "deep");
  write("from/tree/plain", "plain");
  fs::create_hard_link(top_ + "/from/tree/plain", top_ + "/from/tree/second");
  fs::create_symlink("/etc/passwd", top_ + "/from/tree/link");
  ASSERT_EQ(::mkfifo((top_ + "/from/tree/fifo").c_str(), 0640), 0);
  ASSERT_EQ(::chmod((top_ + "/from/tree/plain").c_str(), 0640), 0);
  const timespec times[2] = {{-5, 250'000'000}, {-5, 250'000'000}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (top_ + "/from/tree/plain").c_str(), times, 0), 0);
  const auto notes = copy("tree", "other");
  ASSERT_TRUE(notes) << notes.error().message();
  EXPECT_EQ(notes->bytes, 9U);
  EXPECT_EQ(content_of(top_ + "/to/other/" + long_name + "/" + long_name + "/file"), "deep");
  EXPECT_EQ(fs::read_symlink(top_ + "/to/other/link"), "/etc/passwd");
  EXPECT_TRUE(S_ISFIFO(status("to/other/fifo").st_mode));
  const struct stat plain = status("to/other/plain");
  EXPECT_EQ(plain.st_mode & 07777, 0640U);
  EXPECT_EQ(plain.st_nlink, 2U);
  EXPECT_EQ(plain.st_ino, status("to/other/second").st_ino);
  EXPECT_EQ(plain.st_mtim.tv_sec, -5);
  EXPECT_EQ(plain.st_mtim.tv_nsec, 250'000'000);
}

TEST_F(TreeTest, KeepsHoles) {
  const std::string path = top_ + "/from/sparse";
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  ASSERT_EQ(::pwrite(file, "middle", 6, 8 << 20), 6);
  ASSERT_EQ(::ftruncate(file, 64 << 20), 0);
  ::close(file);
  const auto notes = copy("sparse", "sparse");
  ASSERT_TRUE(notes) << notes.error().message();
  const struct stat copied = status("to/sparse");
  EXPECT_EQ(copied.st_size, 64 << 20);
  EXPECT_LT(copied.st_blocks * 512, 1 << 20);
  EXPECT_EQ(content_of(top_ + "/to/sparse"), content_of(path));
}

TEST_F(TreeTest, KeepsAFileThatIsOneHole) {
  write("from/hole", "");
  fs::resize_file(top_ + "/from/hole", 32 << 20);
  ASSERT_TRUE(copy("hole", "hole"));
  EXPECT_EQ(status("to/hole").st_size, 32 << 20);
  EXPECT_EQ(status("to/hole").st_blocks, 0);
}

TEST_F(TreeTest, CopiesTheContentOfADirectoryAlone) {
  fs::create_directory(top_ + "/from/d");
  write("from/d/a", "a");
  const mode_t mode = status("to").st_mode;
  ASSERT_TRUE(copy("d", "."));
  EXPECT_EQ(content_of(top_ + "/to/a"), "a");
  EXPECT_EQ(status("to").st_mode, mode);
}

TEST_F(TreeTest, LeavesSocketsAndDevicesOut) {
  fs::create_directory(top_ + "/from/d");
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = top_ + "/from/d/socket";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<struct sockaddr*>(&address), sizeof address), 0);
  ::close(socket);
  const Fd file = archive();
  const auto packed = pack(file.get(), "d", "d");
  ASSERT_TRUE(packed);
  EXPECT_EQ(packed->sockets, 1U);
  TarEntry device = entry(TarType::kBlockDevice, "disk");
  device.major = 8;
  const auto unpacked = unpack_entries({device});
  ASSERT_TRUE(unpacked);
  EXPECT_EQ(unpacked->devices, 1U);
  EXPECT_FALSE(exists("to/disk"));
}

TEST_F(TreeTest, LeavesPrivilegesOfStrangersOut) {
  TarEntry program = entry(TarType::kFile, "program");
  program.mode = 06755;
  program.attributes = {
      {"security.capability", std::string("\0\0\0\2\1", 5) + std::string(15, '\0')}};
  ASSERT_TRUE(unpack_entries({program}));
  EXPECT_EQ(status("to/program").st_mode & 07777, 0755U);
  EXPECT_LT(::getxattr((top_ + "/to/program").c_str(), "security.capability", nullptr, 0), 0);
  // The control: it would be setuid where the ids mean the same.
  UnpackRules same;
  same.foreign = false;
  ASSERT_TRUE(unpack_entries({program}, same));
  EXPECT_EQ(status("to/program").st_mode & 07777, 06755U);
}

TEST_F(TreeTest, OwnsFilesAsItIsTold) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  TarEntry file = entry(TarType::kFile, "file");
  file.uid = 1234;
  file.gid = 5678;
  ASSERT_TRUE(unpack_entries({file}));
  EXPECT_EQ(status("to/file").st_uid, 0U);
  UnpackRules archived;
  archived.owners = Owners::kArchived;
  ASSERT_TRUE(unpack_entries({file}, archived));
  EXPECT_EQ(status("to/file").st_uid, 1234U);
  EXPECT_EQ(status("to/file").st_gid, 5678U);
  file.uid = 0xFFFFFFFF;
  EXPECT_FALSE(unpack_entries({file}, archived));
}

TEST_F(TreeTest, OverwritesAsDockerDoes) {
  fs::create_directory(top_ + "/to/directory");
  write("to/file", "old");
  fs::create_symlink(top_ + "/outside/secret", top_ + "/to/link");
  EXPECT_FALSE(unpack_entries({entry(TarType::kFile, "directory")}));
  EXPECT_FALSE(unpack_entries({entry(TarType::kDirectory, "file")}));
  EXPECT_EQ(content_of(top_ + "/to/file"), "old");
  ASSERT_TRUE(unpack_entries({entry(TarType::kFile, "file"), entry(TarType::kFile, "link")}));
  EXPECT_EQ(content_of(top_ + "/to/file"), "evil");
  EXPECT_FALSE(fs::is_symlink(top_ + "/to/link"));
  EXPECT_EQ(content_of(top_ + "/outside/secret"), "secret");
}

TEST_F(TreeTest, LetsNoEntryOut) {
  const std::string outside = top_ + "/outside";
  const std::vector<std::vector<TarEntry>> attacks{
      {entry(TarType::kFile, "../outside/new")},
      {entry(TarType::kFile, "a/../../outside/new")},
      {entry(TarType::kSymbolicLink, "link", outside), entry(TarType::kFile, "link/new")},
      {entry(TarType::kSymbolicLink, "link", "../outside"), entry(TarType::kFile, "link/new")},
      {entry(TarType::kSymbolicLink, "link", outside), entry(TarType::kDirectory, "link")},
      {entry(TarType::kSymbolicLink, "link", outside), entry(TarType::kFifo, "link/new")},
      {entry(TarType::kSymbolicLink, "link", outside),
       entry(TarType::kHardLink, "here", "link/secret")},
      {entry(TarType::kHardLink, "here", "../outside/secret")},
  };
  for (std::size_t i = 0; i < attacks.size(); ++i) {
    fs::remove_all(top_ + "/to");
    fs::create_directory(top_ + "/to");
    EXPECT_FALSE(unpack_entries(attacks[i])) << i;
    EXPECT_FALSE(exists("outside/new")) << i;
    EXPECT_FALSE(exists("to/here")) << i;
  }
  // The control: a reader that follows links of a process that has the whole host as its root does.
  fs::remove_all(top_ + "/to");
  fs::create_directory(top_ + "/to");
  UnpackRules follow;
  follow.links = Links::kFollow;
  ASSERT_TRUE(unpack_entries(attacks[2], follow));
  EXPECT_TRUE(exists("outside/new"));
}

TEST_F(TreeTest, HasNoHardLinkToADirectory) {
  fs::create_directory(top_ + "/to/d");
  EXPECT_FALSE(unpack_entries({entry(TarType::kHardLink, "x", "d")}));
  EXPECT_FALSE(unpack_entries({entry(TarType::kHardLink, "x", ".")}));
}

TEST_F(TreeTest, FollowsNoLinkThatStandsInTheTree) {
  fs::create_directory(top_ + "/from/d");
  fs::create_directory_symlink(top_ + "/outside", top_ + "/from/d/link");
  fs::create_symlink(top_ + "/outside/secret", top_ + "/from/d/file");
  ASSERT_TRUE(copy("d", "d"));
  EXPECT_TRUE(fs::is_symlink(top_ + "/to/d/link"));
  EXPECT_TRUE(fs::is_symlink(top_ + "/to/d/file"));
}

TEST_F(TreeTest, RefusesWhatIsNestedWithoutEnd) {
  std::string path = top_ + "/from/d";
  fs::create_directory(path);
  int here = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (std::size_t i = 0; i < kMostDepth + 2; ++i) {
    ASSERT_EQ(::mkdirat(here, "d", 0755), 0);
    const int next = ::openat(here, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ::close(here);
    here = next;
  }
  ::close(here);
  const Fd file = archive();
  const auto packed = pack(file.get(), "d", "d");
  ASSERT_FALSE(packed);
  EXPECT_EQ(packed.error().kind(), ErrorKind::kUnsupported) << packed.error().message();
}

}  // namespace
}  // namespace bulkhead::storage
