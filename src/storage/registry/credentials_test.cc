#include "storage/registry/credentials.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "storage/registry/base64.h"
#include "storage/registry/credential_text.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

class CredentialsInFile : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bulkhead-credentials-XXXXXX";
    directory_ = ::mkdtemp(name);
    path_ = directory_ + "/.docker/config.json";
  }
  void TearDown() override { (void)remove_tree_at(AT_FDCWD, directory_.c_str()); }

  void write(const std::string& text) const {
    ASSERT_TRUE(make_directories(directory_ + "/.docker"));
    const auto file = open_at(AT_FDCWD, path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ASSERT_TRUE(file);
    ASSERT_TRUE(write_all(file->get(), text.data(), text.size()));
  }
  std::string text() const { return read_file_at(AT_FDCWD, path_.c_str()).value_or(""); }

  std::string directory_;
  std::string path_;
};

TEST_F(CredentialsInFile, AreNobodysWithoutAFile) {
  const auto found = CredentialFile(path_).find("docker.io");
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found);
  EXPECT_EQ(CredentialFile(path_).erase("docker.io"), false);
}

TEST_F(CredentialsInFile, AreReadAsDockerWritesThem) {
  write(
      R"({"auths":{"https://index.docker.io/v1/":{"auth":"bWU6c2U6Y3JldA=="},)"
      R"("r.example:5000":{"identitytoken":"tok","auth":"PHRva2VuPjo="},"empty.example":{},)"
      R"("old.example":{"username":"u","password":"p"},"https://url.example/v1/":{"auth":"YTpi"}}})");
  const CredentialFile file(path_);
  const auto hub = file.find("docker.io");
  ASSERT_TRUE(hub && *hub);
  EXPECT_EQ((*hub)->user, "me");
  EXPECT_EQ((*hub)->password, "se:cret");
  EXPECT_EQ((**file.find("r.example:5000")).identity_token, "tok");
  EXPECT_EQ((**file.find("old.example")).password, "p");
  EXPECT_EQ((**file.find("url.example")).user, "a");
  EXPECT_FALSE(*file.find("empty.example"));
  EXPECT_FALSE(*file.find("other.example"));
}

TEST_F(CredentialsInFile, FailLoudlyWhenTheyCannotBeRead) {
  write("{\"auths\":");
  EXPECT_FALSE(CredentialFile(path_).find("docker.io"));
  write(R"({"auths":{"r.example":{"auth":"%%%"}}})");
  EXPECT_FALSE(CredentialFile(path_).find("r.example"));
  write(R"({"auths":{"r.example":{"auth":"bm9jb2xvbg=="}}})");
  EXPECT_FALSE(CredentialFile(path_).find("r.example"));
}

TEST_F(CredentialsInFile, AreStoredForTheirOwnerAlone) {
  const CredentialFile file(path_);
  ASSERT_EQ(file.store("r.example", {"me", "pass", ""}), CredentialFile::Place::kFile);
  struct stat status{};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  EXPECT_EQ((**file.find("r.example")).password, "pass");
  EXPECT_EQ(file.erase("r.example"), true);
  EXPECT_FALSE(*file.find("r.example"));
}

TEST_F(CredentialsInFile, LeaveTheRestOfTheFileAsItIs) {
  const std::string before =
      "{\n  \"psFormat\": \"x\",\n  \"auths\": {\n    \"a.example\": {\"auth\": \"YTpi\"}\n  },\n"
      "  \"HttpHeaders\": {\"X\": \"y\"}\n}\n";
  write(before);
  const CredentialFile file(path_);
  ASSERT_TRUE(file.store("r.example", {"me", "pass", ""}));
  EXPECT_NE(text().find("\"psFormat\": \"x\""), std::string::npos);
  EXPECT_NE(text().find("\"HttpHeaders\": {\"X\": \"y\"}"), std::string::npos);
  EXPECT_EQ((**file.find("a.example")).user, "a");
  ASSERT_TRUE(file.erase("r.example"));
  EXPECT_EQ(text(), before) << "to the byte";
}

TEST_F(CredentialsInFile, ReplaceOlderOnesOfEverySpelling) {
  write(R"({"auths":{"https://r.example":{"auth":"b2xkOm9sZA=="},"r.example":{"auth":"YTpi"}}})");
  const CredentialFile file(path_);
  ASSERT_TRUE(file.store("r.example", {"me", "new", ""}));
  EXPECT_EQ((**file.find("r.example")).password, "new");
  EXPECT_EQ(text().find("b2xkOm9sZA"), std::string::npos);
}

TEST_F(CredentialsInFile, FollowALinkAndKeepIt) {
  write("{}");
  const std::string target = directory_ + "/elsewhere.json";
  ASSERT_EQ(::rename(path_.c_str(), target.c_str()), 0);
  ASSERT_EQ(::symlink(target.c_str(), path_.c_str()), 0);
  ASSERT_TRUE(CredentialFile(path_).store("r.example", {"me", "pass", ""}));
  struct stat status{};
  ASSERT_EQ(::lstat(path_.c_str(), &status), 0);
  EXPECT_TRUE(S_ISLNK(status.st_mode));
  EXPECT_NE(read_file_at(AT_FDCWD, target.c_str())->find("r.example"), std::string::npos);
}

TEST_F(CredentialsInFile, GoToTheHelperThatIsNamed) {
  write(R"({"credsStore":"all","credHelpers":{"one.example":"one"}})");
  std::vector<std::string> calls;
  const CredentialFile file(
      path_,
      [&](const std::string& name, const std::string& verb,
          const std::string& input) -> Result<std::string> {
        calls.push_back(name + " " + verb + " " + input);
        if (verb != "get") return std::string();
        if (input == "unknown.example")
          return fail(ErrorKind::kState, "credentials not found in native keychain");
        if (input == "broken.example") return fail(ErrorKind::kState, "locked");
        return std::string(R"({"ServerURL":"x","Username":"<token>","Secret":"tok"})");
      });
  EXPECT_EQ((**file.find("one.example")).identity_token, "tok");
  EXPECT_FALSE(*file.find("unknown.example"));
  EXPECT_FALSE(file.find("broken.example"));
  EXPECT_EQ(file.store("r.example", {"me", "pass", ""}), CredentialFile::Place::kHelper);
  EXPECT_EQ(text().find(base64("me:pass")), std::string::npos) << "not in the file as well";
  EXPECT_EQ(file.erase("one.example"), true);
  const std::vector<std::string> expected{
      "one get one.example", "all get unknown.example", "all get broken.example",
      R"(all store {"ServerURL":"r.example","Username":"me","Secret":"pass"})",
      "one erase one.example"};
  EXPECT_EQ(calls, expected);
}

TEST(CredentialHelper, MayNotBeAPath) {
  for (const char* name : {"", "../x", "a/b", "a b", "a\n"})
    EXPECT_FALSE(run_credential_helper(name, "get", "x")) << name;
}

TEST(CredentialHelper, ThatIsMissingIsNamed) {
  const auto answer = run_credential_helper("bulkhead-no-such-helper", "get", "x");
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message().find("docker-credential-bulkhead-no-such-helper"),
            std::string::npos);
}

TEST(Base64, IsReadBack) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  for (const char* text : {"", "f", "fo", "foo", "\xff\xfe\xfd", "a\x80"})
    EXPECT_EQ(from_base64(base64(text)), text);
  for (const char* text : {"Z", "Zg=", "Zg", "Zh==", "Z===", "Zm9v\n", "=Zg=", "Zg==Zg=="})
    EXPECT_FALSE(from_base64(text)) << text;
}

}  // namespace
}  // namespace bulkhead::storage
