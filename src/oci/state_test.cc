#include "oci/state.h"

#include <gtest/gtest.h>

#include "oci/testing.h"

namespace bulkhead::oci {
namespace {

State sample() {
  State state;
  state.oci_version = "1.3.0";
  state.id = "container1";
  state.status = Status::kRunning;
  state.pid = 4422;
  state.bundle = "/containers/redis";
  state.annotations = {{"myKey", "myValue"}};
  return state;
}

TEST(State, IsWrittenAsTheSpecificationHasIt) {
  EXPECT_EQ(encode(sample()),
            R"({"ociVersion":"1.3.0","id":"container1","status":"running","pid":4422,)"
            R"("bundle":"/containers/redis","annotations":{"myKey":"myValue"}})");
}

TEST(State, IsWhatTheGoldenFileSays) {
  EXPECT_EQ(encode(sample(), json::Style::kIndented) + "\n",
            read_test_data(test_data("runtime-spec/golden/state.json")));
}

TEST(State, CarriesWhatCallersOfStateAndListRead) {
  State state = sample();
  state.status = Status::kStopped;
  state.pid = 0;
  state.annotations.clear();
  state.rootfs = "/r";
  state.created = "2024-01-01T00:00:00Z";
  state.owner = "root";
  EXPECT_EQ(
      encode(state),
      R"({"ociVersion":"1.3.0","id":"container1","status":"stopped","pid":0,"bundle":"/containers/redis",)"
      R"("rootfs":"/r","created":"2024-01-01T00:00:00Z","owner":"root"})");
}

TEST(State, IsReadBack) {
  for (const Status status :
       {Status::kCreating, Status::kCreated, Status::kRunning, Status::kStopped, Status::kPaused}) {
    State state = sample();
    state.status = status;
    state.rootfs = "/r";
    const auto back = decode_state(encode(state));
    ASSERT_TRUE(back.has_value()) << back.error().message();
    EXPECT_EQ(encode(*back), encode(state));
  }
}

TEST(State, ReadsTheExamplesOfTheSpecification) {
  for (const auto& path : files_of("runtime-spec/schema/test/state/good")) {
    EXPECT_TRUE(decode_state(read_test_data(path)).has_value()) << path;
  }
  for (const auto& path : files_of("runtime-spec/schema/test/state/bad")) {
    EXPECT_FALSE(decode_state(read_test_data(path)).has_value()) << path;
  }
}

TEST(State, NamesTheFieldThatIsWrong) {
  EXPECT_EQ(decode_state(R"({"ociVersion":"1.0.0","id":"a","bundle":"/b"})").error().message(),
            "/status is required, but absent");
  EXPECT_EQ(decode_state(R"({"ociVersion":"1.0.0","id":"a","bundle":"/b","status":"dead"})")
                .error()
                .message(),
            "/status is \"dead\", which is no status of a container");
  EXPECT_EQ(
      decode_state(R"({"ociVersion":"1.0.0","id":"a","bundle":"/b","status":"created","pid":-1})")
          .error()
          .message(),
      "/pid must not be negative");
  EXPECT_EQ(decode_state("[]").error().message(), "the document must be an object, not an array");
}

TEST(ContainerProcessState, NamesTheDescriptorsThatGoWithIt) {
  ContainerProcessState process;
  process.fds = {"seccompFd"};
  process.pid = 4422;
  process.metadata = "opaque";
  process.state = sample();
  process.state.annotations.clear();
  EXPECT_EQ(
      encode(process),
      R"({"ociVersion":"1.3.0","fds":["seccompFd"],"pid":4422,"metadata":"opaque","state":)"
      R"({"ociVersion":"1.3.0","id":"container1","status":"running","pid":4422,"bundle":"/containers/redis"}})");
}

}  // namespace
}  // namespace bulkhead::oci
