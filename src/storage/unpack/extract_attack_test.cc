// Archives that try to get out of the layer. Each is also given to an unpacker that trusts names, which
// it must lead out: or else it shows nothing.
#include <functional>

#include "storage/unpack/extract_testing.h"

namespace bulkhead::storage {
namespace {

using testing::Extract;
using testing::TarWriter;

// What an unpacker does that trusts names: the positive control.
class NaiveUnpacker {
 public:
  explicit NaiveUnpacker(std::string directory) : directory_(std::move(directory)) {}

  void unpack(const std::string& tar) {
    for (std::size_t at = 0; at + 512 <= tar.size() && tar[at] != '\0';) {
      const char* const header = tar.data() + at;
      const std::size_t size = std::strtoul(header + 124, nullptr, 8);
      const std::string body(header + 512, size);
      at += 512 + (size + 511) / 512 * 512;
      if (header[156] == 'x') {
        for (const char* key : {"path", "GNU.sparse.name"})
          if (const std::string value = record(body, key); !value.empty()) name_ = value;
        link_ = record(body, "linkpath");
        continue;
      }
      if (header[156] == 'L') {
        name_ = body.c_str();
        continue;
      }
      if (name_.empty()) name_.assign(header, ::strnlen(header, 100));
      if (link_.empty()) link_.assign(header + 157, ::strnlen(header + 157, 100));
      entry(header, body);
      name_.clear();
      link_.clear();
    }
  }

 private:
  static std::string record(const std::string& body, const std::string& key) {
    const std::size_t at = body.find(" " + key + "=");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + key.size() + 2;
    return body.substr(begin, body.find('\n', begin) - begin);
  }

  void entry(const char* header, const std::string& body) {
    const std::string path = name_.starts_with('/') ? name_ : directory_ + "/" + name_;
    const auto mode = static_cast<mode_t>(std::strtoul(header + 100, nullptr, 8));
    if (const std::size_t mark = path.rfind("/.wh."); mark != std::string::npos) {
      hide(path.substr(0, mark), path.substr(mark + 5));
      return;
    }
    switch (header[156]) {
      case '0': {
        const Fd file(::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644));
        if (file) (void)write_all(file.get(), body.data(), body.size());
        break;
      }
      case '1': (void)!::link((directory_ + "/" + link_).c_str(), path.c_str()); break;
      case '2':
        (void)::rmdir(path.c_str());
        (void)!::symlink(link_.c_str(), path.c_str());
        break;
      case '4': (void)::mknod(path.c_str(), S_IFBLK | 0600, makedev(8, 0)); break;
      case '5':
        (void)!::mkdir(path.c_str(), 0755);
        (void)::chmod(path.c_str(), mode);
        break;
      default: break;
    }
  }

  static void hide(const std::string& parent, const std::string& name) {
    if (name == ".wh..opq")
      (void)::unlink((parent + "/canary").c_str());
    else
      (void)::unlink((parent + "/" + name).c_str());
  }

  std::string directory_;
  std::string name_;
  std::string link_;
};

struct Attack {
  const char* name;
  std::function<std::string(const std::string& top)> tar;
  bool refused;  // or else what it writes is written inside
};

TarWriter behind_a_door(const std::string& top) {
  return TarWriter().symlink("door", top + "/outside");
}

const Attack kAttacks[] = {
    {"a parent in the name",
     [](const std::string&) { return TarWriter().file("../outside/canary", "changed").finish(); },
     true},
    {"a parent in the middle of the name",
     [](const std::string&) {
       return TarWriter().directory("a/").file("a/../../outside/canary", "changed").finish();
     },
     true},
    {"a parent in an extended header's path",
     [](const std::string&) {
       return TarWriter()
           .add({.name = "innocent", .content = "x", .pax = {{"path", "../outside/planted"}}})
           .finish();
     },
     true},
    {"a parent in a sparse file's name",
     [](const std::string&) {
       return TarWriter()
           .add({.name = "innocent",
                 .content = "x",
                 .pax = {{"GNU.sparse.name", "../outside/planted"},
                         {"GNU.sparse.size", "1"},
                         {"GNU.sparse.map", "0,1"}}})
           .finish();
     },
     true},
    {"a parent in a long name of GNU",
     [](const std::string&) {
       return TarWriter()
           .add({.name = "././@LongLink", .type = 'L', .content = "../outside/planted"})
           .file("innocent", "x")
           .finish();
     },
     true},
    {"a link to the host, then a file through it",
     [](const std::string& top) { return behind_a_door(top).file("door/planted", "x").finish(); },
     true},
    {"a relative link out, then a file through it",
     [](const std::string&) {
       return TarWriter().symlink("door", "../outside").file("door/canary", "changed").finish();
     },
     true},
    {"a directory, then a link in its place, then a file through it",
     [](const std::string& top) {
       return TarWriter()
           .directory("door/")
           .symlink("door", top + "/outside")
           .file("door/planted", "x")
           .finish();
     },
     true},
    {"a link as the last component, then a file of its name",
     [](const std::string& top) {
       return TarWriter().symlink("door", top + "/outside/canary").file("door", "changed").finish();
     },
     false},
    {"a link as the last component, then a directory's mode",
     [](const std::string& top) { return behind_a_door(top).directory("door", 0777).finish(); },
     false},
    {"a hard link to a file of the host",
     [](const std::string&) {
       return TarWriter().hard_link("door", "../outside/canary").file("door", "changed").finish();
     },
     true},
    {"a hard link to a file of the host by an extended header",
     [](const std::string&) {
       return TarWriter()
           .file("inside", "x")
           .add({.name = "door",
                 .type = '1',
                 .link = "inside",
                 .pax = {{"linkpath", "../outside/canary"}}})
           .file("door", "changed")
           .finish();
     },
     true},
    {"a hard link through a link",
     [](const std::string& top) {
       return TarWriter()
           .symlink("out", top + "/outside")
           .hard_link("door", "out/canary")
           .file("door", "changed")
           .finish();
     },
     true},
    {"a directory through a link",
     [](const std::string& top) { return behind_a_door(top).directory("door/planted/").finish(); },
     true},
    {"a disk's node through a link",
     [](const std::string& top) {
       return behind_a_door(top)
           .add({.name = "door/planted", .type = '4', .major = 8, .minor = 0})
           .finish();
     },
     true},
    {"a whiteout with a parent in its name",
     [](const std::string&) { return TarWriter().file("../outside/.wh.canary", "").finish(); },
     true},
    {"a whiteout through a link",
     [](const std::string& top) { return behind_a_door(top).file("door/.wh.canary", "").finish(); },
     true},
    {"an opaque directory through a link",
     [](const std::string& top) {
       return behind_a_door(top).file("door/.wh..wh..opq", "").finish();
     },
     true},
};

class Escaping : public Extract {
 protected:
  bool host_was_reached() const {
    const std::string outside = top_ + "/outside";
    const auto canary = read_file_at(AT_FDCWD, (outside + "/canary").c_str());
    struct stat directory{};
    struct stat planted{};
    EXPECT_EQ(::stat(outside.c_str(), &directory), 0);
    return !canary || *canary != "untouched" || (directory.st_mode & 07777) != 0755 ||
           ::lstat((outside + "/planted").c_str(), &planted) == 0 ||
           ::getxattr(outside.c_str(), "trusted.overlay.opaque", nullptr, 0) >= 0;
  }
};

TEST_F(Escaping, LetsNoEntryOutOfTheLayer) {
  for (const Attack& attack : kAttacks) {
    SCOPED_TRACE(attack.name);
    const std::string tar = attack.tar(top_);
    const auto report = extract(tar);
    EXPECT_EQ(!report, attack.refused);
    EXPECT_FALSE(host_was_reached());

    ASSERT_EQ(::mkdir((top_ + "/naive").c_str(), 0755), 0);
    NaiveUnpacker(top_ + "/naive").unpack(tar);
    EXPECT_TRUE(host_was_reached()) << "not even the naive unpacker is fooled";

    TearDown();
    SetUp();
  }
}

// An unpacker that copies what it cannot link gives away files of the host.
TEST_F(Escaping, CopiesNothingIntoTheLayer) {
  const std::string tar = TarWriter().hard_link("leak", "../outside/canary").finish();
  EXPECT_FALSE(extract(tar));
  EXPECT_FALSE(exists("leak"));
  ASSERT_EQ(::mkdir((top_ + "/naive").c_str(), 0755), 0);
  NaiveUnpacker(top_ + "/naive").unpack(tar);
  const auto leaked = read_file_at(AT_FDCWD, (top_ + "/naive/leak").c_str());
  EXPECT_TRUE(leaked && *leaked == "untouched");
}

TEST_F(Escaping, FollowsLinksOfTheLayerInsideOnly) {
  ASSERT_TRUE(extract(TarWriter()
                          .directory("usr/lib/")
                          .symlink("lib", "/usr/lib")
                          .symlink("up", "../../../../usr")
                          .file("lib/one", "1")
                          .file("up/two", "2")
                          .finish()));
  EXPECT_EQ(read("usr/lib/one"), "1");
  EXPECT_EQ(read("usr/two"), "2");
  expect_host_untouched();
}

TEST_F(Escaping, RefusesMagicLinks) {
  EXPECT_FALSE(
      extract(TarWriter().symlink("door", "/proc/self/cwd").file("door/planted", "x").finish()));
}

// The mark is made by who has the privilege, at the path that the extractor names.
TEST_F(Escaping, MarksNoOtherDirectoryThanTheLayers) {
  ASSERT_TRUE(extract(TarWriter()
                          .directory("real/")
                          .symlink("door", "real")
                          .file("door/.wh..wh..opq", "")
                          .finish()));
  EXPECT_TRUE(is_opaque("real"));
  expect_host_untouched();
}

}  // namespace
}  // namespace bulkhead::storage
