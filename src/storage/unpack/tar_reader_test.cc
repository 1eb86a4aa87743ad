#include "storage/tar/tar_reader.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>

#include "storage/unpack/tar_reference_testing.h"
#include "storage/unpack/testing.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

using testing::seen_by_libarchive;
using testing::seen_by_us;
using testing::TarWriter;

Result<std::vector<TarEntry>> entries_of(const std::string& tar) {
  const Fd file = testing::memory_file_of(tar);
  TarReader reader(file.get());
  std::vector<TarEntry> entries;
  for (;;) {
    TarEntry entry;
    TRY_ASSIGN(const bool more, reader.next(entry));
    if (!more) return entries;
    entries.push_back(std::move(entry));
  }
}

TarEntry only_entry(const std::string& tar) {
  auto entries = entries_of(tar);
  EXPECT_TRUE(entries) << entries.error().message();
  if (!entries || entries->size() != 1) return {};
  return entries->front();
}

// Archives of GNU tar in all of its formats, sparse files included, beside libarchive and beside the
// files that went in.
TEST(TarReader, ReadsWhatGnuTarWritesInEveryFormat) {
  ::setlocale(LC_CTYPE, "C.UTF-8");
  char name[] = "/tmp/bulkhead-tar-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  const std::string top = name;
  const auto shell = [&](const std::string& command) {
    const int status = std::system(("cd " + top + " && " + command).c_str());
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  };
  const std::string long_name(90, 'd');
  ASSERT_TRUE(
      shell("mkdir -p tree/" + long_name + "/" + long_name +
            " && cd tree && echo text > file && ln file hard && ln -s file soft && mkfifo fifo"
            " && touch -d @-5 old && touch -d @1234567890.123456789 exact && : > empty"
            " && echo long > " +
            long_name + "/" + long_name + "/" + std::string(99, 'f') + " && ln -s " +
            std::string(150, 't') +
            " far"
            " && truncate -s 500K sparse && echo middle | dd of=sparse bs=1 seek=200000"
            " conv=notrunc status=none && echo end >> sparse && truncate -s +100K sparse"));
  std::string middle(500 << 10, '\0');
  middle.replace(200'000, 7, "middle\n");
  middle += "end\n" + std::string(100 << 10, '\0');
  for (const char* how :
       {"--format=gnu", "--format=gnu -S", "--format=oldgnu -S", "--format=pax",
        "--format=pax -S --sparse-version=0.0", "--format=pax -S --sparse-version=0.1",
        "--format=pax -S --sparse-version=1.0",
        "--format=ustar --exclude=far --exclude=old --exclude='ddd*'",
        "--format=v7 --exclude=far --exclude=old --exclude='ddd*' --exclude=fifo"}) {
    SCOPED_TRACE(how);
    ASSERT_TRUE(shell("tar c " + std::string(how) + " -f archive tree"));
    const auto tar = read_file_at(AT_FDCWD, (top + "/archive").c_str(), 8 << 20);
    ASSERT_TRUE(tar);
    const auto ours = seen_by_us(*tar);
    ASSERT_TRUE(ours);
    EXPECT_EQ(ours, seen_by_libarchive(*tar));
    const auto sparse = std::ranges::find_if(
        *ours, [](const std::string& entry) { return entry.starts_with("tree/sparse "); });
    ASSERT_NE(sparse, ours->end());
    EXPECT_TRUE(sparse->ends_with(" content=" + middle));
  }
  (void)remove_tree_at(AT_FDCWD, top.c_str());
}

// As Go's writer puts down every name that is not ASCII, whatever its encoding.
TEST(TarReader, TakesNamesForBytes) {
  EXPECT_EQ(
      only_entry(TarWriter().add({.name = "x", .pax = {{"path", "latin1-\xE9"}}}).finish()).path,
      "latin1-\xE9");
  EXPECT_EQ(only_entry(TarWriter().file("latin1-\xE9", "").finish()).path, "latin1-\xE9");
  EXPECT_EQ(only_entry(
                TarWriter()
                    .add({.name = "l", .type = '2', .link = "x", .pax = {{"linkpath", "\xFF\xFE"}}})
                    .finish())
                .link,
            "\xFF\xFE");
}

TEST(TarReader, ReadsTimesOfEveryKind) {
  const auto time_of = [](const char* text) {
    return only_entry(TarWriter().add({.name = "f", .pax = {{"mtime", text}}}).finish()).modified;
  };
  EXPECT_EQ(time_of("12").tv_sec, 12);
  EXPECT_EQ(time_of("12.000000034999").tv_nsec, 34);
  EXPECT_EQ(time_of("-0.5").tv_sec, -1);
  EXPECT_EQ(time_of("-0.5").tv_nsec, 500'000'000);
  EXPECT_EQ(time_of("-3").tv_sec, -3);
  EXPECT_EQ(time_of("9223372036854775807").tv_sec, 9223372036854775807);
  for (const char* wrong :
       {"x", "1.x", "--1", "9223372036854775808", "-9223372036854775808", "1e3"})
    EXPECT_FALSE(entries_of(TarWriter().add({.name = "f", .pax = {{"mtime", wrong}}}).finish()))
        << wrong;
}

TEST(TarReader, TakesAnEmptyRecordForWhatTheHeaderSays) {
  const TarEntry entry = only_entry(
      TarWriter().add({.name = "own", .uid = 7, .pax = {{"path", ""}, {"uid", ""}}}).finish());
  EXPECT_EQ(entry.path, "own");
  EXPECT_EQ(entry.uid, 7);
}

TEST(TarReader, SkipsGlobalHeadersAsOtherEnginesDo) {
  const std::string global = "20 path=../elsewhere\n";
  const TarEntry entry = only_entry(
      TarWriter().add({.name = "g", .type = 'g', .content = global}).file("own", "x").finish());
  EXPECT_EQ(entry.path, "own");
}

// A link's size would otherwise make its neighbour's header part of its content, or the reverse.
TEST(TarReader, LinksHaveNoContentWhateverTheirSizeSays) {
  const auto entries =
      entries_of(TarWriter()
                     .add({.name = "link", .type = '2', .link = "x", .pax = {{"size", "512"}}})
                     .file("next", "content")
                     .finish());
  ASSERT_TRUE(entries) << entries.error().message();
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ(entries->back().path, "next");
}

struct Malformed {
  const char* name;
  std::string tar;
};

testing::TarEntry sparse(std::string content, std::string size, std::string map) {
  return {.name = "s",
          .content = std::move(content),
          .pax = {{"GNU.sparse.size", std::move(size)}, {"GNU.sparse.map", std::move(map)}}};
}

std::string with_raw_pax(const std::string& body) {
  return TarWriter().add({.name = "x", .type = 'x', .content = body}).file("f", "").finish();
}

TEST(TarReader, RefusesWhatContradictsItself) {
  const testing::TarEntry long_name = {.name = "L", .type = 'L', .content = "long"};
  const testing::TarEntry pax = {.name = "x", .type = 'x', .content = "9 path=a\n"};
  std::string behind = TarWriter().file("a", "").finish();
  behind += TarWriter().file("hidden", "").finish();
  behind.erase(512, 512);  // one block of zeros, and then more
  const Malformed kinds[] = {
      {"two extended headers", TarWriter().add(pax).add(pax).file("f", "").finish()},
      {"two long names", TarWriter().add(long_name).add(long_name).file("f", "").finish()},
      {"a long name and a path", TarWriter().add(long_name).add(pax).file("f", "").finish()},
      {"an extended header for nothing", TarWriter().add(pax).finish().substr(0, 1024)},
      {"an empty long name", TarWriter().add({.name = "L", .type = 'L'}).file("f", "").finish()},
      {"a huge extended header",
       TarWriter().add({.name = "x", .type = 'x', .content = std::string(2 << 20, ' ')}).finish()},
      {"entries behind the end", behind},
      {"an unknown type", TarWriter().add({.name = "m", .type = 'M'}).finish()},
      {"a sparse directory",
       TarWriter()
           .add({.name = "s",
                 .type = '5',
                 .pax = {{"GNU.sparse.map", "0,1"}, {"GNU.sparse.size", "1"}}})
           .finish()},
      {"sparse parts that overlap", TarWriter().add(sparse("abcd", "10", "0,2,1,2")).finish()},
      {"sparse parts out of order", TarWriter().add(sparse("abcd", "10", "5,2,0,2")).finish()},
      {"sparse parts behind the end", TarWriter().add(sparse("ab", "10", "9,2")).finish()},
      {"sparse parts that wrap",
       TarWriter().add(sparse("ab", "10", "9223372036854775807,2")).finish()},
      {"more sparse parts than content", TarWriter().add(sparse("ab", "10", "0,3")).finish()},
      {"fewer sparse parts than content", TarWriter().add(sparse("abc", "10", "0,2")).finish()},
      {"half a sparse part", TarWriter().add(sparse("ab", "10", "0,2,5")).finish()},
      {"a record without a length", with_raw_pax("path=a\n")},
      {"a record of the wrong length", with_raw_pax("8 path=a\n")},
      {"a record longer than its header", with_raw_pax("99 path=a\n")},
      {"a record of no length", with_raw_pax("2 \n")},
      {"a record without a key", with_raw_pax("5 =a\n")},
      {"a name with a NUL", with_raw_pax(std::string("11 path=a\0b\n", 12).substr(0, 11))},
      {"a negative size", TarWriter().add({.name = "f", .pax = {{"size", "-1"}}}).finish()},
      {"a size that is cut off",
       TarWriter().add({.name = "f", .pax = {{"size", "99999"}}}).finish()},
  };
  for (const Malformed& kind : kinds) EXPECT_FALSE(entries_of(kind.tar)) << kind.name;
  // Their likes without the fault are taken.
  EXPECT_TRUE(entries_of(TarWriter().add(pax).file("f", "").finish()));
  EXPECT_TRUE(entries_of(TarWriter().add(long_name).file("f", "").finish()));
  EXPECT_TRUE(entries_of(TarWriter().add(sparse("abcd", "10", "0,2,5,2,10,0")).finish()));
}

TEST(TarReader, TakesItsInputInPiecesOfAnySize) {
  const std::string tar = TarWriter()
                              .directory("d/")
                              .file("d/big", std::string(700'000, 'b'))
                              .add({.name = "x", .content = "y", .pax = {{"path", "d/long"}}})
                              .finish();
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd out(ends[0]);
  const pid_t writer = ::fork();
  if (writer == 0) {
    for (std::size_t at = 0; at < tar.size(); at += 777)
      (void)write_all(ends[1], tar.data() + at, std::min<std::size_t>(777, tar.size() - at));
    ::_exit(0);
  }
  ::close(ends[1]);
  TarReader reader(out.get());
  TarEntry entry;
  std::vector<std::string> paths;
  std::size_t content = 0;
  for (;;) {
    const auto more = reader.next(entry);
    ASSERT_TRUE(more) << more.error().message();
    if (!*more) break;
    paths.push_back(entry.path);
    for (;;) {
      const auto piece = reader.content();
      ASSERT_TRUE(piece);
      if (piece->bytes.empty()) break;
      EXPECT_EQ(piece->offset, entry.path == "d/big" ? content : 0U);
      if (entry.path == "d/big") content += piece->bytes.size();
    }
  }
  ::waitpid(writer, nullptr, 0);
  EXPECT_EQ(paths, (std::vector<std::string>{"d/", "d/big", "d/long"}));
  EXPECT_EQ(content, 700'000U);
}

}  // namespace
}  // namespace bulkhead::storage
