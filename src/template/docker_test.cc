// The same templates given to Debian's or any other docker, where there is one: `docker context inspect`
// carries them out over a file of ours, without a daemon.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "json/parse.h"
#include "template/template.h"
#include "template/testing.h"

namespace bulkhead::templates {
namespace {

namespace fs = std::filesystem;

// SHA-256 of "x", the context's name.
constexpr const char* kContext =
    "contexts/meta/2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

class Docker : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("docker --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no docker";
    char name[] = "/tmp/bulkhead-template-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    fs::create_directories(directory_ / kContext);
    const std::string text =
        R"({"Name":"x","Metadata":)" + std::string(testing::kDocument) + R"(,"Endpoints":{}})";
    std::FILE* const file = std::fopen((directory_ / kContext / "meta.json").c_str(), "w");
    ASSERT_NE(file, nullptr);
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
    ::setenv("DOCKER_CONFIG", directory_.c_str(), 1);
  }
  void TearDown() override {
    if (!directory_.empty()) fs::remove_all(directory_);
  }

  // Standard output and whether it went well. Our document is not docker's whole value, but a part.
  std::pair<std::string, bool> docker(std::string_view text) {
    const std::string whole =
        "{{with .Metadata.Metadata.AdditionalFields}}" + std::string(text) + "{{end}}";
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return {};
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
      ::execlp("docker", "docker", "context", "inspect", "x", "--format", whole.c_str(), nullptr);
      ::_exit(126);
    }
    ::close(ends[1]);
    std::string out;
    char buffer[4096];
    for (ssize_t size = 0; (size = ::read(ends[0], buffer, sizeof buffer)) > 0;)
      out.append(buffer, static_cast<std::size_t>(size));
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (out.ends_with('\n')) out.pop_back();
    return {out, WIFEXITED(status) && WEXITSTATUS(status) == 0};
  }

  fs::path directory_;
};

TEST_F(Docker, PrintsTheSame) {
  const auto document = json::parse(testing::kDocument);
  ASSERT_TRUE(document);
  int compared = 0;
  for (const auto& [text, expected] : testing::kCases) {
    const auto [out, fine] = docker(text);
    // Older ones know neither {{else with}} nor {{break}}.
    if (!fine && (text.find("else with") != text.npos || text.find("{{break") != text.npos ||
                  text.find("{{continue") != text.npos))
      continue;
    EXPECT_TRUE(fine) << text;
    EXPECT_EQ(out, expected) << text;
    ++compared;
  }
  EXPECT_GT(compared, 60);
}

TEST_F(Docker, RefusesWhatWeRefuse) {
  const auto document = json::parse(testing::kDocument);
  ASSERT_TRUE(document);
  for (const std::string_view text : {"{{.Id",
                                      "{{}}",
                                      "{{if}}x{{end}}",
                                      "{{if .Id}}x",
                                      "{{foo .Id}}",
                                      "{{$x}}",
                                      "{{\"abc}}",
                                      "{{'ab'}}",
                                      "{{1x}}",
                                      "{{(.Id}}",
                                      "{{.Id)}}",
                                      "{{.Id | .Name}}",

                                      "{{nil}}",
                                      "{{1 2}}",
                                      "{{.Id .Name}}",
                                      "{{print \"a\"\"b\"}}",
                                      "{{\"a\".B}}",
                                      "{{len}}",
                                      "{{len 1}}",
                                      "{{index .Args 7}}",
                                      "{{eq 1 \"1\"}}",
                                      "{{lt true false}}",
                                      "{{slice .Id 9 3}}",
                                      "{{join .Id \",\"}}",
                                      "{{upper 1}}",
                                      "{{.Id.Length}}",
                                      "{{range .Id}}{{end}}"}) {
    EXPECT_FALSE(docker(text).second) << text;
    EXPECT_FALSE(render(text, document->root())) << text;
  }
}

}  // namespace
}  // namespace bulkhead::templates
