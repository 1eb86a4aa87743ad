#include "engine/copy_path.h"

#include <gtest/gtest.h>

#include "engine/copy_protocol.h"

namespace bulkhead::engine {
namespace {

TEST(CopyPlace, IsAContainerBeforeTheFirstColon) {
  EXPECT_EQ(read_copy_place("web:/etc").container, "web");
  EXPECT_EQ(read_copy_place("web:/a:b").path, "/a:b");
  EXPECT_EQ(read_copy_place("web:").path, "");
  for (const char* const local : {"/a:b", "./a:b", "../a:b", "plain", "-"})
    EXPECT_FALSE(read_copy_place(local).container) << local;
}

TEST(CopyPath, OfAContainerBeginsAtItsRoot) {
  EXPECT_EQ(read_container_path("etc/../usr").path, "/usr");
  EXPECT_EQ(read_container_path("/../../etc").path, "/etc");
  const CopyPath content = read_container_path("/srv/www/.");
  EXPECT_EQ(content.path, "/srv/www");
  EXPECT_EQ(content.name, ".");
  EXPECT_TRUE(content.must_be_directory);
  const CopyPath directory = read_container_path("/srv/www/");
  EXPECT_EQ(directory.name, "www");
  EXPECT_EQ(directory.parent, "/srv");
  EXPECT_TRUE(directory.must_be_directory);
  for (const char* const root : {"/", "/.", "."}) {
    EXPECT_EQ(read_container_path(root).path, "/") << root;
    EXPECT_EQ(read_container_path(root).name, ".") << root;
  }
  EXPECT_FALSE(read_container_path("/a.").must_be_directory);
}

TEST(CopyPath, OfTheHostIsKept) {
  const auto plain = read_local_path("a/b");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->parent, "a");
  EXPECT_EQ(plain->name, "b");
  EXPECT_EQ(read_local_path("b")->parent, ".");
  EXPECT_EQ(read_local_path("/b")->parent, "/");
  EXPECT_EQ(read_local_path(".")->name, ".");
  EXPECT_TRUE(read_local_path("a//")->must_be_directory);
  EXPECT_EQ(read_local_path("/tmp/..")->name, ".");
}

// The table of docker cp's manual page.
TEST(CopyDecision, IsDockers) {
  const CopyPath file = read_container_path("/src/file");
  const CopyPath tree = read_container_path("/src/tree");
  const CopyPath content = read_container_path("/src/tree/.");
  const CopyPath plain = *read_local_path("out/dst");
  const CopyPath slash = *read_local_path("out/dst/");
  const CopyTarget missing{};
  const CopyTarget is_file{true, false};
  const CopyTarget is_directory{true, true};
  const auto to = [](const Result<CopyDecision>& decision) {
    if (!decision) return std::string("error");
    return (decision->into_parent ? "parent/" : "dst/") + decision->name;
  };
  EXPECT_EQ(to(decide_copy(file, false, plain, missing)), "parent/dst");
  EXPECT_EQ(to(decide_copy(file, false, slash, missing)), "error");
  EXPECT_EQ(to(decide_copy(file, false, plain, is_file)), "parent/dst");
  EXPECT_EQ(to(decide_copy(file, false, plain, is_directory)), "dst/file");
  EXPECT_EQ(to(decide_copy(tree, true, plain, missing)), "parent/dst");
  EXPECT_EQ(to(decide_copy(tree, true, slash, missing)), "parent/dst");
  EXPECT_EQ(to(decide_copy(tree, true, plain, is_file)), "error");
  EXPECT_EQ(to(decide_copy(tree, true, plain, is_directory)), "dst/tree");
  EXPECT_EQ(to(decide_copy(content, true, plain, missing)), "parent/dst");
  EXPECT_EQ(to(decide_copy(content, true, plain, is_directory)), "dst/.");
  EXPECT_EQ(to(decide_copy(file, false, slash, is_file)), "error");
}

TEST(CopyProtocol, ComesBackTheSame) {
  CopyRequest request;
  request.task = CopyTask::kUnpack;
  request.rules = {storage::Links::kFollow, storage::Owners::kArchived, false};
  request.path = "/a";
  request.name = "b";
  const auto again = decode_copy_request(encode(request));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->task, CopyTask::kUnpack);
  EXPECT_EQ(again->rules.links, storage::Links::kFollow);
  EXPECT_EQ(again->rules.owners, storage::Owners::kArchived);
  EXPECT_FALSE(again->rules.foreign);
  EXPECT_EQ(again->path, "/a");
  EXPECT_EQ(again->name, "b");
}

TEST(CopyProtocol, TrustsNoAnswer) {
  CopyAnswer answer;
  answer.error = -1;
  answer.text = "\x1b]0;title\x07 caf\xc3\xa9 \xff \xc2\x9b";
  const auto shown = decode_copy_answer(encode(answer));
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->text, "?]0;title? caf\xc3\xa9 ? ?");
  std::string packet = encode(answer);
  EXPECT_FALSE(decode_copy_answer(packet + "x"));
  packet.pop_back();
  EXPECT_FALSE(decode_copy_answer(packet));
  EXPECT_FALSE(decode_copy_answer(""));
  EXPECT_FALSE(decode_copy_answer(std::string(kMostCopyPacket, 'x')));
}

}  // namespace
}  // namespace bulkhead::engine
