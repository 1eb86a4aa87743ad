#include "storage/unpack/import.h"

#include <gtest/gtest.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdlib>
#include <thread>

#include "storage/store.h"
#include "storage/unpack/layout_testing.h"
#include "storage/unpack/testing.h"
#include "sys/directory.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

using testing::Layout;
using testing::LayoutLayer;
using testing::plain_layer;
using testing::TarWriter;

struct NoConfinement final : Confinement {
  Result<void> enter(WorkerKind) override { return {}; }
};

std::string gzipped(const std::string& bytes) {
  std::string out(::compressBound(bytes.size()) + 64, '\0');
  z_stream stream{};
  ::deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  ::deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& bytes) {
  std::string out(::ZSTD_compressBound(bytes.size()), '\0');
  out.resize(::ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

class Importing : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    ::setlocale(LC_CTYPE, "C.UTF-8");
    ::signal(SIGPIPE, SIG_IGN);
    char name[] = "/tmp/bulkhead-import-XXXXXX";
    top_ = ::mkdtemp(name);
    ASSERT_EQ(::mkdir((top_ + "/store").c_str(), 0700), 0);
  }
  void TearDown() override {
    if (!top_.empty()) (void)remove_tree_at(AT_FDCWD, top_.c_str());
  }

  Result<ImportNotices> import(const std::string& source, const std::string& reference = {},
                               const ExtractLimits& limits = {}) {
    NoConfinement confinement;
    return import_image({top_ + "/store", source, reference}, confinement, limits);
  }
  std::string layout_path() const { return top_ + "/layout"; }
  std::optional<ImageRecord> known(const std::string& source,
                                   const std::string& reference = {}) const {
    const auto store = Store::open(top_ + "/store");
    auto record = store->find({source, reference, source});
    return record ? *record : std::nullopt;
  }
  std::string in_store(const std::string& path) const { return top_ + "/store/" + path; }
  void expect_nothing_left_behind() const {
    for (const char* place : {"staging", "claims", "trash/spare"})
      EXPECT_TRUE(list_directory(AT_FDCWD, in_store(place).c_str())->empty()) << place;
  }

  std::string top_;
};

TEST_F(Importing, BringsEveryCompressionToTheSameFiles) {
  const std::string tar = TarWriter().file("file", std::string(100'000, 'x')).finish();
  for (const std::string& blob :
       {tar, gzipped(tar), gzipped(tar.substr(0, 700)) + gzipped(tar.substr(700)), zstd(tar),
        zstd(tar.substr(0, 700)) + zstd(tar.substr(700))}) {
    const Layout layout(layout_path(), {{tar, blob}});
    layout.write();
    const auto imported = import(layout_path());
    ASSERT_TRUE(imported) << imported.error().message();
    const auto record = known(layout_path());
    ASSERT_TRUE(record);
    ASSERT_EQ(record->layers, std::vector<std::string>{testing::sha256(tar)});
    const auto content =
        read_file_at(AT_FDCWD, in_store(layer_path(record->layers[0]) + "/file").c_str());
    ASSERT_TRUE(content);
    EXPECT_EQ(content->size(), 100'000U);
    EXPECT_EQ(record->config, layout.config);
    expect_nothing_left_behind();
    TearDown();
    SetUp();
  }
}

TEST_F(Importing, MarksOpaqueDirectories) {
  Layout layout(layout_path(),
                {plain_layer(TarWriter().file("d/.wh..wh..opq", "").file("d/new", "n").finish())});
  layout.write();
  ASSERT_TRUE(import(layout_path()));
  char value = 0;
  const std::string path = in_store(layer_path(known(layout_path())->layers[0]) + "/d");
  ASSERT_EQ(::getxattr(path.c_str(), "trusted.overlay.opaque", &value, 1), 1);
  EXPECT_EQ(value, 'y');
}

TEST_F(Importing, RefusesALayerWithAnotherContentThanItsDigest) {
  const std::string tar = TarWriter().file("file", "honest").finish();
  Layout layout(layout_path(), {plain_layer(tar)});
  layout.write();
  std::string forged = tar;
  forged[600] = 'X';
  testing::write_file(layout.blob_path(tar), forged);
  const auto imported = import(layout_path());
  ASSERT_FALSE(imported);
  EXPECT_NE(imported.error().message().find("does not have that digest"), std::string::npos)
      << imported.error().message();
  EXPECT_FALSE(known(layout_path()));
  EXPECT_NE(::access(in_store(layer_path(testing::sha256(tar))).c_str(), F_OK), 0);
  expect_nothing_left_behind();
}

// The blob is what the manifest says, but unpacks to something else than the configuration says: what
// would put a hostile layer into the place of another image's.
TEST_F(Importing, RefusesALayerThatClaimsAnothersPlace) {
  const std::string victim = TarWriter().file("bin/sh", "the victim's").finish();
  const std::string hostile = TarWriter().file("bin/sh", "hostile").finish();
  LayoutLayer layer;
  layer.tar = victim;  // what the configuration will name
  layer.blob = gzipped(hostile);
  Layout layout(layout_path(), {layer});
  layout.write();
  EXPECT_FALSE(import(layout_path()));
  EXPECT_NE(::access(in_store(layer_path(testing::sha256(victim))).c_str(), F_OK), 0);
  expect_nothing_left_behind();
}

TEST_F(Importing, RefusesForgedManifestsAndConfigurations) {
  Layout layout(layout_path(), {plain_layer(TarWriter().file("f", "x").finish())});
  layout.write();
  testing::write_file(layout.blob_path(layout.config), layout.config + " ");
  EXPECT_FALSE(import(layout_path()));
  layout.write();
  testing::write_file(layout.blob_path(layout.manifest), layout.manifest + " ");
  EXPECT_FALSE(import(layout_path()));
}

TEST_F(Importing, RefusesEscapesAndLeavesNothing) {
  for (const std::string& tar :
       {TarWriter().file("../../../planted", "x").finish(),
        TarWriter().symlink("d", "/tmp").file("d/planted-by-bulkhead-test", "x").finish()}) {
    Layout layout(layout_path(), {plain_layer(tar)});
    layout.write();
    EXPECT_FALSE(import(layout_path()).has_value() &&
                 ::access("/tmp/planted-by-bulkhead-test", F_OK) == 0);
    EXPECT_NE(::access((top_ + "/planted").c_str(), F_OK), 0);
    EXPECT_NE(::access("/tmp/planted-by-bulkhead-test", F_OK), 0);
    expect_nothing_left_behind();
  }
}

TEST_F(Importing, RefusesDecompressionBombs) {
  ExtractLimits limits;
  limits.bytes = 1 << 20;
  const std::string tar = TarWriter().file("bomb", std::string(64 << 20, '\0')).finish();
  Layout layout(layout_path(),
                {{tar, gzipped(tar), "application/vnd.oci.image.layer.v1.tar+gzip"}});
  layout.write();
  EXPECT_FALSE(import(layout_path(), {}, limits));
  // Without a single entry, too.
  const std::string zeros(64 << 20, '\0');
  Layout empty(layout_path(),
               {{zeros, gzipped(zeros), "application/vnd.oci.image.layer.v1.tar+gzip"}});
  empty.write();
  EXPECT_FALSE(import(layout_path(), {}, limits));
  expect_nothing_left_behind();
}

TEST_F(Importing, RefusesDamagedCompression) {
  const std::string tar = TarWriter().file("file", std::string(10'000, 'x')).finish();
  for (std::string blob : {gzipped(tar), zstd(tar)}) {
    for (const bool cut : {true, false}) {
      std::string damaged = cut ? blob.substr(0, blob.size() / 2) : blob;
      if (!cut) damaged[damaged.size() - 3] = static_cast<char>(damaged[damaged.size() - 3] ^ 0x55);
      Layout layout(layout_path(), {{tar, damaged}});
      layout.write();
      EXPECT_FALSE(import(layout_path()));
    }
  }
}

TEST_F(Importing, ReadsAnArchiveWithoutUnpackingIt) {
  Layout layout(layout_path(), {plain_layer(TarWriter().file("f", "x").finish())});
  TarWriter archive;
  archive.file("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}").file("index.json", layout.index);
  for (const std::string& blob : {layout.config, layout.manifest, layout.layers[0].blob})
    archive.file("blobs/sha256/" + testing::sha256(blob), blob);
  const std::string path = top_ + "/archive.tar";
  testing::write_file(path, archive.finish());
  const auto imported = import(path);
  ASSERT_TRUE(imported) << imported.error().message();
  EXPECT_TRUE(known(path));
  // An archive that was replaced is another image.
  testing::write_file(path, archive.finish() + " ");
  EXPECT_FALSE(known(path));
}

TEST_F(Importing, RefusesArchivesThatAreNone) {
  const std::string path = top_ + "/archive.tar";
  for (const std::string& content :
       {std::string(), std::string("text"), std::string(2048, 'x'),
        gzipped(TarWriter().file("a", "b").finish()),
        TarWriter().file("manifest.json", "[]").finish(), TarWriter().file("a", "b").finish(),
        TarWriter().file("index.json", "{}").finish().substr(0, 520)}) {
    testing::write_file(path, content);
    EXPECT_FALSE(import(path));
  }
}

TEST_F(Importing, ChoosesByTag) {
  Layout layout(layout_path(), {plain_layer(TarWriter().file("f", "x").finish())});
  layout.write();
  EXPECT_TRUE(import(layout_path(), "latest"));
  const auto missing = import(layout_path(), "other");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(missing.error().message().find("\"latest\""), std::string::npos)
      << missing.error().message();
}

TEST_F(Importing, ServesManyAtOnce) {
  Layout layout(layout_path(),
                {plain_layer(TarWriter().file("f", std::string(1 << 20, 'x')).finish())});
  layout.write();
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(import(layout_path()).has_value() ? 0 : 1);
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_TRUE(known(layout_path()));
}

TEST_F(Importing, GoesOnInAStoreThatAnEarlierVersionHasMade) {
  for (const char* path : {"images", "blobs", "blobs/sha256", "layers", "layers/empty"})
    ASSERT_EQ(::mkdir(in_store(path).c_str(), 0700), 0);
  Layout layout(layout_path(), {plain_layer(TarWriter().file("f", "x").finish())});
  layout.write();
  const auto imported = import(layout_path());
  EXPECT_TRUE(imported) << imported.error().message();
  EXPECT_TRUE(known(layout_path()));
}

TEST_F(Importing, GoesOnAfterAnImportThatWasKilled) {
  ASSERT_EQ(::mkdir(in_store("staging").c_str(), 0700), 0);
  ASSERT_EQ(::mkdir(in_store("staging/" + std::string(64, 'a')).c_str(), 0700), 0);
  testing::write_file(in_store("staging/file"), "half a record");
  Layout layout(layout_path(), {plain_layer(TarWriter().file("f", "x").finish())});
  layout.write();
  EXPECT_TRUE(import(layout_path()));
  expect_nothing_left_behind();
}

TEST_F(Importing, SaysThatTheDiskIsFull) {
  Layout layout(layout_path(),
                {plain_layer(TarWriter().file("f", std::string(4 << 20, 'x')).finish())});
  layout.write();
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", (top_ + "/store").c_str(), "tmpfs", 0, "size=1m,mode=0700") != 0)
      ::_exit(2);
    const auto imported = import(layout_path());
    const bool said = !imported && imported.error().message().find("No space left on device") !=
                                       std::string::npos;
    if (!said && !imported) std::fprintf(stderr, "%s\n", imported.error().message().c_str());
    ::_exit(said && list_directory(AT_FDCWD, in_store("staging").c_str())->empty() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace bulkhead::storage
