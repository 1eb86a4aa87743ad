#include "engine/integrate.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "engine/toml_text.h"
#include "json/parse.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

constexpr DefaultRuntime kBoth[] = {DefaultRuntime::kAsItIs, DefaultRuntime::kBulkhead};

Registration of(OtherEngine engine, DefaultRuntime which = DefaultRuntime::kAsItIs) {
  return {engine, "/opt/a \"b\"/bulkhead-runtime", which};
}

struct Sample {
  OtherEngine engine;
  const char* text;
};

constexpr Sample kSamples[] = {
    {OtherEngine::kDocker, "{}"},
    {OtherEngine::kDocker, "{\n}\n"},
    {OtherEngine::kDocker, R"({"runtimes":{}})"},
    {OtherEngine::kDocker, "{\n  \"runtimes\": {}}"},
    {OtherEngine::kDocker, "{\n  \"runtimes\": { },\n  \"debug\": true\n}\n"},
    {OtherEngine::kDocker, "{\n\t\"debug\": true,\n\t\"runtimes\": {\"x\": {\"path\": \"y\"}}\n}"},
    {OtherEngine::kDocker, "{\"log-opts\": {\"runtimes\": \"no\"}, \"hosts\": [\"unix:///x\"]}"},
    {OtherEngine::kPodman, ""},
    {OtherEngine::kPodman, "[containers]\nlog_driver = \"k8s-file\""},
    {OtherEngine::kPodman, "[engine]\ncgroup_manager = \"cgroupfs\"\n[engine.runtimes]\n"},
    {OtherEngine::kContainerd, ""},
    {OtherEngine::kContainerd, "version = 2\n"},
    {OtherEngine::kContainerd, "version = 3\nroot = \"/x\""},
    {OtherEngine::kContainerd,
     "version = 2\n[plugins]\n  "
     "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n"},
};

TEST(Integrate, EveryFileComesBackToTheByte) {
  for (const Sample& sample : kSamples) {
    for (const DefaultRuntime which : kBoth) {
      const auto with = with_registration(sample.text, of(sample.engine, which));
      ASSERT_TRUE(with) << sample.text << with.error().message();
      EXPECT_NE(*with, sample.text);
      const auto again = with_registration(*with, of(sample.engine, which));
      ASSERT_TRUE(again) << *with;
      EXPECT_EQ(*again, *with) << "twice is once";
      const auto without = without_registration(*with, sample.engine);
      ASSERT_TRUE(without) << *with;
      EXPECT_EQ(without->value_or("(no file)"), sample.text);
    }
  }
}

TEST(Integrate, AnotherPathTakesThePlaceOfTheFirst) {
  for (const Sample& sample : kSamples) {
    const auto first = with_registration(sample.text, of(sample.engine, DefaultRuntime::kBulkhead));
    ASSERT_TRUE(first);
    Registration moved = of(sample.engine);
    moved.runtime = "/elsewhere/bulkhead-runtime";
    const auto second = with_registration(*first, moved);
    ASSERT_TRUE(second) << second.error().message();
    EXPECT_EQ(second->find("/opt/a"), std::string::npos) << *second;
    EXPECT_NE(second->find("\"/elsewhere/bulkhead-runtime\""), std::string::npos) << *second;
    const auto without = without_registration(*second, sample.engine);
    ASSERT_TRUE(without);
    EXPECT_EQ(without->value_or("(no file)"), sample.text);
  }
}

TEST(Integrate, AFileThatWasMadeIsTakenAway) {
  for (const auto engine : {OtherEngine::kDocker, OtherEngine::kPodman, OtherEngine::kContainerd}) {
    for (const DefaultRuntime which : kBoth) {
      auto with = with_registration(std::nullopt, of(engine));
      ASSERT_TRUE(with);
      with = with_registration(*with, of(engine, which));
      ASSERT_TRUE(with);
      const auto without = without_registration(*with, engine);
      ASSERT_TRUE(without);
      EXPECT_FALSE(*without) << *with << "became " << without->value_or("");
    }
  }
}

TEST(Integrate, DockersFileKeepsEverythingElse) {
  const char* const before = R"({"debug": true, "runtimes": {"kata": {"path": "/k"}}, "n": 1})";
  const auto with = with_registration(before, of(OtherEngine::kDocker, DefaultRuntime::kBulkhead));
  ASSERT_TRUE(with);
  const auto document = json::parse(*with);
  ASSERT_TRUE(document) << *with;
  const json::Value& root = document->root();
  EXPECT_TRUE(root.find("debug")->as_boolean());
  EXPECT_EQ(root.find("n")->as_int64(), 1);
  EXPECT_EQ(root.find("default-runtime")->as_string(), "bulkhead");
  EXPECT_EQ(root.find("runtimes")->find("kata")->find("path")->as_string(), "/k");
  EXPECT_EQ(root.find("runtimes")->find("bulkhead")->find("path")->as_string(),
            of(OtherEngine::kDocker).runtime);
}

TEST(Integrate, WhatIsPrintedIsWhatIsRead) {
  const auto text = registration_text(of(OtherEngine::kDocker));
  ASSERT_TRUE(text);
  const auto document = json::parse(*text);
  ASSERT_TRUE(document);
  EXPECT_NE(document->root().find("runtimes")->find("bulkhead"), nullptr);
  for (const auto engine : {OtherEngine::kPodman, OtherEngine::kContainerd}) {
    const auto toml = registration_text(of(engine, DefaultRuntime::kBulkhead));
    ASSERT_TRUE(toml);
    EXPECT_TRUE(scan_toml(*toml)) << *toml;
    EXPECT_NE(toml->find(R"("/opt/a \"b\"/bulkhead-runtime")"), std::string::npos) << *toml;
  }
}

TEST(Integrate, FilesThatCannotBeMergedAreRefused) {
  struct Refused {
    Sample sample;
    ErrorKind kind;
  };
  const Refused kCases[] = {
      {{OtherEngine::kDocker, ""}, ErrorKind::kInvalid},
      {{OtherEngine::kDocker, "{\"a\": 1,}"}, ErrorKind::kInvalid},
      {{OtherEngine::kDocker, "{} // words"}, ErrorKind::kInvalid},
      {{OtherEngine::kDocker, "[]"}, ErrorKind::kInvalid},
      {{OtherEngine::kDocker, R"({"runtimes": []})"}, ErrorKind::kInvalid},
      {{OtherEngine::kDocker, R"({"runtimes": {}, "runtimes": {}})"}, ErrorKind::kInvalid},
      {{OtherEngine::kDocker, R"({"runtimes": {"bulkhead": {"path": "x", "runtimeArgs": []}}})"},
       ErrorKind::kExists},
      {{OtherEngine::kDocker, R"({"default-runtime": "kata"})"}, ErrorKind::kExists},
      {{OtherEngine::kPodman, "[engine\n"}, ErrorKind::kInvalid},
      {{OtherEngine::kPodman, "[engine]\nruntime = \"crun\"\n"}, ErrorKind::kExists},
      {{OtherEngine::kPodman, "[engine.runtimes]\nbulkhead = [\"/x\"]\n"}, ErrorKind::kExists},
      {{OtherEngine::kContainerd, "version = 9\n"}, ErrorKind::kUnsupported},
      {{OtherEngine::kContainerd, "version = 2\nplugins = {}\n"}, ErrorKind::kExists},
  };
  for (const auto& one : kCases) {
    const auto with =
        with_registration(one.sample.text, of(one.sample.engine, DefaultRuntime::kBulkhead));
    ASSERT_FALSE(with) << one.sample.text;
    EXPECT_EQ(with.error().kind(), one.kind) << one.sample.text << ": " << with.error().message();
  }
}

TEST(Integrate, ContainerdKeepsItsOwnRuntime) {
  const auto with = with_registration("version = 2\n", of(OtherEngine::kContainerd));
  ASSERT_TRUE(with);
  EXPECT_NE(with->find("containerd.runtimes.runc]"), std::string::npos) << *with;
  const auto beside =
      with_registration("[plugins.cri.containerd.runtimes.runc]\n", of(OtherEngine::kContainerd));
  ASSERT_TRUE(beside);
  EXPECT_EQ(beside->find("runc]"), beside->rfind("runc]")) << *beside;
}

class IntegrateFiles : public testing::Test {
 protected:
  IntegrateFiles() {
    std::string pattern = testing::TempDir() + "integrate-XXXXXX";
    directory = ::mkdtemp(pattern.data());
  }
  ~IntegrateFiles() override { std::filesystem::remove_all(directory); }
  IntegrateFiles(const IntegrateFiles&) = delete;
  IntegrateFiles& operator=(const IntegrateFiles&) = delete;

  void make(const std::string& name, std::string_view text, mode_t mode) const {
    const auto file = open_at(AT_FDCWD, (directory + name).c_str(), O_WRONLY | O_CREAT, mode);
    ASSERT_TRUE(file);
    ASSERT_TRUE(write_all(file->get(), text.data(), text.size()));
    ASSERT_EQ(::fchmod(file->get(), mode), 0);
  }
  std::string read(const std::string& name) const {
    return read_file_at(AT_FDCWD, (directory + name).c_str()).value_or("(unreadable)");
  }

  std::string directory;
};

TEST_F(IntegrateFiles, ModeAndLinkStay) {
  make("/real.json", "{\"debug\": true}\n", 0640);
  ASSERT_EQ(::symlink("real.json", (directory + "/daemon.json").c_str()), 0);
  const auto change = register_in(directory + "/daemon.json", of(OtherEngine::kDocker));
  ASSERT_TRUE(change) << change.error().message();
  EXPECT_EQ(*change, FileChange::kWritten);
  struct stat status{};
  ASSERT_EQ(::lstat((directory + "/daemon.json").c_str(), &status), 0);
  EXPECT_TRUE(S_ISLNK(status.st_mode));
  ASSERT_EQ(::stat((directory + "/real.json").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0640U);
  EXPECT_EQ(*register_in(directory + "/daemon.json", of(OtherEngine::kDocker)), FileChange::kNone);
  EXPECT_EQ(*unregister_in(directory + "/daemon.json", OtherEngine::kDocker), FileChange::kWritten);
  EXPECT_EQ(read("/real.json"), "{\"debug\": true}\n");
}

TEST_F(IntegrateFiles, DirectoriesAreMadeAndTheFileGoesAgain) {
  const std::string file = directory + "/a/b/bulkhead.conf";
  EXPECT_EQ(*unregister_in(file, OtherEngine::kPodman), FileChange::kNone);
  ASSERT_EQ(*register_in(file, of(OtherEngine::kPodman)), FileChange::kWritten);
  EXPECT_NE(read("/a/b/bulkhead.conf").find("bulkhead = ["), std::string::npos);
  EXPECT_EQ(*unregister_in(file, OtherEngine::kPodman), FileChange::kRemoved);
  EXPECT_TRUE(std::filesystem::is_empty(directory + "/a/b"));
}

TEST_F(IntegrateFiles, WhatIsRefusedIsLeftAsItIs) {
  make("/daemon.json", "{broken", 0600);
  EXPECT_FALSE(register_in(directory + "/daemon.json", of(OtherEngine::kDocker)));
  EXPECT_FALSE(unregister_in(directory + "/daemon.json", OtherEngine::kDocker));
  EXPECT_EQ(read("/daemon.json"), "{broken");
  ASSERT_EQ(::symlink("nowhere", (directory + "/dangling").c_str()), 0);
  EXPECT_FALSE(register_in(directory + "/dangling", of(OtherEngine::kDocker)));
  EXPECT_FALSE(register_in(directory, of(OtherEngine::kDocker)));
  const auto entries = std::filesystem::directory_iterator(directory);
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 2) << "an unfinished file stays behind";
}

}  // namespace
}  // namespace bulkhead::engine
