#include "storage/erofs_layers.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "storage/helper_process.h"
#include "storage/testing.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kPage = 4096;

class ErofsSnapshots : public SnapshotTest, public ::testing::WithParamInterface<OverlayMethod> {
 protected:
  void SetUp() override {
    SnapshotTest::SetUp();
    if (IsSkipped()) return;
    const auto program = find_system_program("mkfs.erofs", "erofs-utils");
    if (!program) GTEST_SKIP() << program.error().message();
    program_ = *program;
    snapshot_.form.form = LayerForm::kErofs;
  }
  void make_images() {
    ASSERT_EQ(::mkdirat(store_.get(), kErofsDirectory, 0700), 0);
    for (const std::string& layer : snapshot_.layers) {
      const auto made =
          run_helper_process({program_, "--quiet", "-Eforce-inode-extended,noinline_data",
                              path_ + "/" + erofs_image_path(layer), path_ + "/" + layer});
      ASSERT_TRUE(made) << made.error().message();
    }
    // What is dirty in the images' page cache is not read around it.
    ::sync();
  }

  std::string program_;
};

// Everything of a tree that a container can see, as text: the same text, the same tree.
void describe_tree(int directory, const std::string& path,
                   std::map<std::string, std::string>& out) {
  const Fd here(::openat(directory, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const int own = ::dup(here.get());
  DIR* const stream = own < 0 ? nullptr : ::fdopendir(own);
  if (stream == nullptr) return;
  while (const struct dirent* const entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string whole = path + "/" + name;
    struct stat status{};
    ::fstatat(directory, whole.c_str(), &status, AT_SYMLINK_NOFOLLOW);
    std::string text = std::to_string(status.st_mode) + " " + std::to_string(status.st_uid) + ":" +
                       std::to_string(status.st_gid) + " " + std::to_string(status.st_mtim.tv_sec) +
                       "." + std::to_string(status.st_mtim.tv_nsec) + " " +
                       std::to_string(status.st_rdev);
    if (!S_ISDIR(status.st_mode))
      text += " " + std::to_string(status.st_nlink) + " " + std::to_string(status.st_size);
    char buffer[4096];
    const std::string link_path = "/proc/self/fd/" + std::to_string(directory) + "/" + whole;
    if (S_ISLNK(status.st_mode)) {
      const ssize_t size = ::readlinkat(directory, whole.c_str(), buffer, sizeof buffer);
      text.append(" ").append(buffer, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    }
    if (S_ISREG(status.st_mode)) text += " " + read_file_at(directory, whole.c_str()).value();
    const ssize_t listed = ::llistxattr(link_path.c_str(), buffer, sizeof buffer);
    std::vector<std::string> attributes;
    for (ssize_t at = 0; at < listed; at += static_cast<ssize_t>(std::strlen(buffer + at)) + 1) {
      char value[4096];
      const ssize_t size = ::lgetxattr(link_path.c_str(), buffer + at, value, sizeof value);
      attributes.push_back(
          std::string(buffer + at) + "=" +
          std::string(value, static_cast<std::size_t>(std::max<ssize_t>(size, 0))));
    }
    std::ranges::sort(attributes);
    for (const std::string& attribute : attributes) text += " " + attribute;
    out[whole] = text;
    if (S_ISDIR(status.st_mode)) describe_tree(directory, whole, out);
  }
  ::closedir(stream);
}

TEST_P(ErofsSnapshots, ShowTheSameTreeAsDirectories) {
  // Everything that a layer may hold.
  const std::string& low = kLow;
  write(low + "/plain", std::string(70'000, 'p'));
  write(low + "/empty", "");
  ASSERT_EQ(
      ::linkat(store_.get(), (low + "/plain").c_str(), store_.get(), (low + "/hard").c_str(), 0),
      0);
  ASSERT_EQ(::symlinkat("/etc/shadow", store_.get(), (low + "/link").c_str()), 0);
  ASSERT_EQ(::mkfifoat(store_.get(), (low + "/fifo").c_str(), 0640), 0);
  write(low + "/\xff\xfe odd\nname", "bytes");
  write(low + "/setuid", "x");
  ASSERT_EQ(::fchownat(store_.get(), (low + "/setuid").c_str(), 1000, 60000, 0), 0);
  ASSERT_EQ(::fchmodat(store_.get(), (low + "/setuid").c_str(), 06755, 0), 0);
  const std::string setuid = path_ + "/" + low + "/setuid";
  ASSERT_EQ(::setxattr(setuid.c_str(), "user.note", "value", 5, 0), 0);
  constexpr unsigned char kNetRaw[20] = {1, 0, 0, 2, 0, 0x20};
  ASSERT_EQ(::setxattr(setuid.c_str(), "security.capability", kNetRaw, sizeof kNetRaw, 0), 0);
  const timespec old[2] = {{1'000'000'000, 123'456'789}, {1'000'000'000, 123'456'789}};
  ASSERT_EQ(::utimensat(store_.get(), (low + "/setuid").c_str(), old, 0), 0);
  {
    const Fd sparse(
        ::openat(store_.get(), (low + "/sparse").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    ASSERT_EQ(::pwrite(sparse.get(), "end", 3, 300'000), 3);
  }
  // What the higher hides: a whole directory, and one file.
  ASSERT_EQ(::mkdirat(store_.get(), (low + "/opaque").c_str(), 0755), 0);
  write(low + "/opaque/below", "hidden");
  ASSERT_EQ(::mkdirat(store_.get(), (kHigh + "/opaque").c_str(), 0700), 0);
  write(kHigh + "/opaque/above", "seen");
  ASSERT_EQ(
      ::setxattr((path_ + "/" + kHigh + "/opaque").c_str(), "trusted.overlay.opaque", "y", 1, 0),
      0);
  make_images();

  const auto erofs = mounted(GetParam());
  ASSERT_TRUE(erofs) << erofs.error().message();
  Snapshot directories;
  directories.store = store_.get();
  directories.layers = snapshot_.layers;
  directories.container = "containers/two";
  ASSERT_TRUE(make_container_directory(store_.get(), directories.container));
  ASSERT_TRUE(make_upper(directories, HostUid(kFirstId), HostGid(kFirstId)));
  const auto plain = mount_snapshot(directories, space_.get(), GetParam());
  ASSERT_TRUE(plain) << plain.error().message();

  std::map<std::string, std::string> seen, expected;
  describe_tree(erofs->get(), ".", seen);
  describe_tree(plain->get(), ".", expected);
  EXPECT_GE(expected.size(), 12U);
  EXPECT_EQ(seen, expected);
  EXPECT_TRUE(seen.contains("./opaque/above"));
  EXPECT_FALSE(seen.contains("./opaque/below"));
  EXPECT_FALSE(seen.contains("./etc/passwd"));
}

TEST_P(ErofsSnapshots, WriteToTheContainersDirectoryOnly) {
  make_images();
  const auto mount = mounted(GetParam());
  ASSERT_TRUE(mount) << mount.error().message();
  const Fd file(::openat(mount->get(), "etc/hosts", O_WRONLY | O_TRUNC | O_CLOEXEC));
  ASSERT_TRUE(file);
  ASSERT_TRUE(write_all(file.get(), "changed", 7));
  EXPECT_EQ(read_file_at(store_.get(), "containers/one/upper/etc/hosts"), "changed");
}

TEST_P(ErofsSnapshots, FailWithAnImageThatIsNotThere) {
  const auto mount = mounted(GetParam());
  ASSERT_FALSE(mount);
  EXPECT_EQ(mount.error().kind(), ErrorKind::kNotFound) << mount.error().message();
}

INSTANTIATE_TEST_SUITE_P(BothWays, ErofsSnapshots,
                         ::testing::Values(OverlayMethod::kAutomatic,
                                           OverlayMethod::kPrivateNamespace),
                         [](const auto& method) {
                           return method.param == OverlayMethod::kAutomatic ? "Automatic"
                                                                            : "PrivateNamespace";
                         });

// Two mounts of one image, as two containers have them, each read by one and looked at by the other.
class PageCaches : public ErofsSnapshots {
 protected:
  static constexpr std::size_t kPages = 256;
  std::string image_;

  void SetUp() override {
    ErofsSnapshots::SetUp();
    if (IsSkipped()) return;
    std::string content(kPages * kPage, 'a');
    for (std::size_t page = 0; page < kPages; ++page)
      std::ranges::fill_n(content.begin() + static_cast<std::ptrdiff_t>(page * kPage), 8,
                          static_cast<char>('A' + page % 50));
    write(kLow + "/secret", content);
    make_images();
    image_ = erofs_image_path(kLow);
  }

  // How many of the image's own pages the kernel has: what all mounts of it share.
  std::size_t cached_pages_of_image() {
    const Fd file(::openat(store_.get(), image_.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    ::fstat(file.get(), &status);
    const auto size = static_cast<std::size_t>(status.st_size);
    void* const map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
    std::vector<unsigned char> resident((size + kPage - 1) / kPage);
    EXPECT_EQ(::mincore(map, size, resident.data()), 0);
    ::munmap(map, size);
    return static_cast<std::size_t>(
        std::ranges::count_if(resident, [](unsigned char page) { return (page & 1) != 0; }));
  }
  void forget_image() {
    const Fd file(::openat(store_.get(), image_.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::fsync(file.get()), 0);
    ASSERT_EQ(::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
  }
  // The pages of the image that reading one file of a mount leaves there.
  std::size_t traces_of_reading(Layers::Reading reading, ErofsMethod method) {
    forget_image();
    auto mount = mount_erofs_image(store_.get(), image_.c_str(), reading, method);
    if (!mount) {
      ADD_FAILURE() << mount.error().call << ": " << errno_text(mount.error().error);
      return 0;
    }
    const std::size_t before = cached_pages_of_image();
    EXPECT_EQ(read_file_at(mount->get(), "secret").value().size(), kPages * kPage);
    return cached_pages_of_image() - std::min(before, cached_pages_of_image());
  }
};

TEST_F(PageCaches, OfTheImageTellWhatAContainerHasRead) {
  // The positive control: without direct I/O, what one reads lies in the cache of the file for all.
  EXPECT_GE(traces_of_reading(Layers::Reading::kCached, ErofsMethod::kAutomatic), kPages / 2);
}

TEST_F(PageCaches, TellNothingOfFilesReadDirectly) {
  EXPECT_LE(traces_of_reading(Layers::Reading::kDirect, ErofsMethod::kAutomatic), kPages / 16);
}

TEST_F(PageCaches, TellNothingThroughADirectLoopDevice) {
  EXPECT_LE(traces_of_reading(Layers::Reading::kDirect, ErofsMethod::kLoopDevice), kPages / 16);
}

TEST_F(PageCaches, AreWhatALoopDeviceReadsThroughOtherwise) {
  EXPECT_GE(traces_of_reading(Layers::Reading::kCached, ErofsMethod::kLoopDevice), kPages / 2);
}

}  // namespace
}  // namespace bulkhead::storage
