#include "runtime/criu_worker.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "runtime/testing.h"

namespace bulkhead::runtime {
namespace {

using testing::TemporaryDirectory;

// The PATH of this process while a test runs.
class Path {
 public:
  explicit Path(const std::string& path) : before_(std::getenv("PATH")) {
    ::setenv("PATH", path.c_str(), 1);
  }
  ~Path() { ::setenv("PATH", before_.c_str(), 1); }
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;

 private:
  std::string before_;
};

Error error_of(const Result<CriuWorker>& worker) {
  return worker ? Error(ErrorKind::kInternal, "it started") : worker.error();
}

TEST(CriuWorker, IsNotLookedForWhereTheCallerStands) {
  const TemporaryDirectory directory;
  testing::write_text(directory / "criu", "#!/bin/sh\nexit 0\n", 0755);
  ASSERT_EQ(::chdir(directory.path().c_str()), 0);
  const Path path(":.:/nowhere");
  const Error error = error_of(CriuWorker::start({}));
  EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
  EXPECT_NE(error.message().find("no criu in the PATH"), std::string::npos) << error.message();
  EXPECT_NE(error.hint().find("install the package criu"), std::string::npos) << error.hint();
  ASSERT_EQ(::chdir("/"), 0);
}

TEST(CriuWorker, ThatDoesNotStartIsExplainedByItsOwnCheck) {
  const TemporaryDirectory directory;
  testing::write_text(
      directory / "criu",
      "#!/bin/sh\n[ \"$1\" = check ] && echo 'Error (criu/x.c:1): no such kernel' >&2\n"
      "exit 1\n",
      0755);
  const Path path("/nowhere:" + directory.path());
  const Error error = error_of(CriuWorker::start({}));
  EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
  EXPECT_NE(error.message().find("does not work on this host"), std::string::npos);
  EXPECT_NE(error.message().find("Error (criu/x.c:1): no such kernel"), std::string::npos)
      << error.message();
  EXPECT_NE(error.hint().find("criu check"), std::string::npos);
}

TEST(CriuWorker, ThatCannotBeExecutedIsAnError) {
  const TemporaryDirectory directory;
  testing::write_text(directory / "criu", "#!/no/such/interpreter\n", 0755);
  const Path path(directory.path());
  const Error error = error_of(CriuWorker::start({}));
  EXPECT_NE(error.message().find("starting CRIU"), std::string::npos) << error.message();
}

}  // namespace
}  // namespace bulkhead::runtime
