#include "engine/mount_flag.h"

#include <gtest/gtest.h>

namespace bulkhead::engine {
namespace {

TEST(MountFlag, ReadsBinds) {
  const auto mount = parse_mount(
      "type=bind,source=/srv/data,target=/data,readonly,bind-propagation=rslave,idmap=false");
  ASSERT_TRUE(mount) << mount.error().message();
  const auto& volume = std::get<Volume>(*mount);
  EXPECT_EQ(volume.source, "/srv/data");
  EXPECT_EQ(volume.destination, "/data");
  EXPECT_TRUE(volume.read_only);
  EXPECT_FALSE(volume.id_mapped);
  EXPECT_EQ(volume.further_options, (std::vector<std::string>{"rslave"}));
  EXPECT_FALSE(std::get<Volume>(*parse_mount("type=bind,src=/a,dst=/b,ro=false")).read_only);
  EXPECT_FALSE(
      std::get<Volume>(*parse_mount("type=bind,src=/a,dst=/b,bind-recursive=disabled")).recursive);
  EXPECT_TRUE(std::get<Volume>(*parse_mount("type=bind,src=/a,dst=/b,idmap")).id_mapped);
}

TEST(MountFlag, ReadsFieldsInQuotationMarks) {
  const auto mount = parse_mount(R"(type=bind,"source=/a,b ""c""",target=/x)");
  ASSERT_TRUE(mount) << mount.error().message();
  EXPECT_EQ(std::get<Volume>(*mount).source, "/a,b \"c\"");
  for (const char* text :
       {R"("type=bind)", R"(type="bind",src=/a,dst=/b)", R"("type=bind"x,src=/a)"})
    EXPECT_FALSE(parse_mount(text)) << text;
}

TEST(MountFlag, ReadsTmpfs) {
  const auto mount =
      parse_mount("type=tmpfs,destination=/scratch,tmpfs-size=1m,tmpfs-mode=1770,ro");
  ASSERT_TRUE(mount) << mount.error().message();
  const auto& tmpfs = std::get<TmpfsMount>(*mount);
  EXPECT_EQ(tmpfs.destination, "/scratch");
  EXPECT_EQ(tmpfs.options, (std::vector<std::string>{"size=1048576", "mode=1770", "ro"}));
}

TEST(MountFlag, ReadsVolumes) {
  const auto mount = parse_mount(
      "source=data,target=/x,readonly,idmap,volume-nocopy,volume-subpath=a/b,volume-label=k=v=w,"
      "volume-driver=local,volume-opt=size=64m");
  ASSERT_TRUE(mount) << mount.error().message();
  const auto& volume = std::get<Volume>(*mount);
  EXPECT_TRUE(volume.is_volume && volume.read_only && volume.no_copy && !volume.anonymous);
  EXPECT_EQ(volume.name, "data");
  EXPECT_EQ(volume.source, "");
  EXPECT_EQ(volume.subpath, "a/b");
  EXPECT_EQ(volume.labels, (volumes::Words{{"k", "v=w"}}));
  EXPECT_EQ(volume.driver_options, (volumes::Words{{"size", "64m"}}));
  const auto anonymous = parse_mount("type=volume,target=/x,volume-nocopy=false");
  ASSERT_TRUE(anonymous);
  EXPECT_TRUE(std::get<Volume>(*anonymous).anonymous);
  EXPECT_FALSE(std::get<Volume>(*anonymous).no_copy);
}

TEST(MountFlag, RefusesTheRestByName) {
  for (const auto& [text, word] : std::vector<std::pair<const char*, const char*>>{
           {"", "needs a value"},
           {"type=bind", "target is missing"},
           {"type=bind,target=/x", "absolute path on the host"},
           {"type=bind,source=relative,target=/x", "absolute path on the host"},
           {"type=bind,source=/a,target=x", "must be absolute"},
           {"type=bind,source=/a,target=/", "must not be /"},
           {"type=bind,source=/a,target=/x/../y", "\"..\""},
           {"type=bind,source=/a,target=/x,tmpfs-mode=1", "is for type=tmpfs"},
           {"type=tmpfs,target=/x,bind-propagation=rslave", "is for type=bind"},
           {"type=tmpfs,target=/x,source=/a", "has no source"},
           {"type=tmpfs,target=/x,tmpfs-mode=9", "octal"},
           {"type=tmpfs,target=/x,tmpfs-size=0", "a size"},
           {"type=bind,source=/a,target=/x,bind-propagation=shared", "not supported"},
           {"type=bind,source=/a,target=/x,bind-recursive=writable", "not supported"},
           {"type=bind,source=/a,target=/x,consistency=cached", "no meaning"},
           {"type=bind,source=/a,target=/x,banana=1", "no field \"banana\""},
           {"type=bind,source=/a,target=/x,readonly=perhaps", "true or false"},
           {"type=npipe,source=/a,target=/x", "is not supported"},
           {"source=d,target=/x", "not the name of a volume"},
           {"source=/srv,target=/x", "is a name"},
           {"source=../x,target=/x", "is a name"},
           {"type=tmpfs,target=/x,idmap", "idmap is for"},
           {"source=data,target=/x,volume-subpath=../y", "out of the volume"},
           {"source=data,target=/x,volume-subpath=/y", "relative"},
           {"target=/x,volume-subpath=y", "needs a source"},
           {"source=data,target=/x,volume-driver=nfs", "no driver"},
           {"source=data,target=/x,volume-opt=type=nfs", "not supported"},
           {"source=data,target=/x,volume-opt=banana=1", "none of the local driver's"},
           {"source=data,target=/x,volume-banana=1", "no field \"volume-banana\""},
           {"source=data,target=/x,noidmap", "always idmapped"},
           {"type=bind,source=/a,target=/x,volume-nocopy", "is for type=volume"}}) {
    const auto mount = parse_mount(text);
    ASSERT_FALSE(mount) << text;
    EXPECT_NE(mount.error().message().find(word), std::string::npos)
        << text << ": " << mount.error().message();
  }
  const auto mixed =
      parse_mount("type=bind,source=/a,target=/x,bind-propagation=slave,tmpfs-size=1m");
  ASSERT_FALSE(mixed);
  EXPECT_NE(mixed.error().message().find("different types"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead::engine
