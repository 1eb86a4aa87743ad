#include "storage/unpack/unpack_layer.h"

#include <gtest/gtest.h>
#include <locale.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <random>
#include <thread>

#include "storage/unpack/layout_testing.h"
#include "storage/unpack/testing.h"
#include "storage/unpack/unpack_layers.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

using testing::sha256;
using testing::TarWriter;

struct NoConfinement final : Confinement {
  Result<void> enter(WorkerKind) override { return {}; }
};

// What compression, if there were any, could not make small.
std::string noise(std::size_t size) {
  std::mt19937 random(7);
  std::string bytes(size, '\0');
  std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<char>(random()); });
  return bytes;
}

// Writes into a pipe while the layer is unpacked, as a download does: by a process, because who
// unpacks must have no second thread.
class Stream {
 public:
  enum class End { kCloses, kStalls };
  Stream(const std::string& bytes, End end) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    writer_ = ::fork();
    if (writer_ == 0) {
      ::close(ends[0]);
      (void)write_all(ends[1], bytes.data(), bytes.size());
      if (end == End::kStalls) ::pause();
      ::_exit(0);
    }
    ::close(ends[1]);
    out_ = Fd(ends[0]);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    out_.reset();
    (void)::kill(writer_, SIGKILL);
    ::waitpid(writer_, nullptr, 0);
  }
  int get() const { return out_.get(); }

 private:
  Fd out_;
  pid_t writer_ = -1;
};

class Unpacking : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    ::setlocale(LC_CTYPE, "C.UTF-8");
    ::signal(SIGPIPE, SIG_IGN);
    char name[] = "/tmp/bulkhead-unpack-XXXXXX";
    top_ = ::mkdtemp(name);
  }
  void TearDown() override {
    if (!top_.empty()) (void)remove_tree_at(AT_FDCWD, top_.c_str());
  }

  Fd directory(const std::string& name) const {
    const std::string path = top_ + "/" + name;
    EXPECT_EQ(::mkdir(path.c_str(), 0755), 0);
    return Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  static Fd memory_file(const std::string& content) {
    Fd file(::memfd_create("blob", MFD_CLOEXEC));
    EXPECT_TRUE(write_all(file.get(), content.data(), content.size()));
    return file;
  }
  static std::string content_of(const Fd& file) {
    ::lseek(file.get(), 0, SEEK_SET);
    auto text = read_fd(file.get(), 64 << 20);
    return text ? *text : "unreadable";
  }
  // As if the blob were `declared`.
  Result<ExtractReport> unpack(const LayerSource& source, const std::string& declared) {
    const Fd into = directory("layer" + std::to_string(count_++));
    NoConfinement confinement;
    return unpack_layer({.source = source,
                         .digest = sha256(declared),
                         .diff_id = sha256(declared),
                         .directory = into.get()},
                        confinement);
  }
  std::string read(const std::string& path) const {
    auto text = read_file_at(AT_FDCWD, (top_ + "/" + path).c_str(), 64 << 20);
    return text ? *text : "(" + text.error().message() + ")";
  }

  std::string top_;
  int count_ = 0;
};

TEST_F(Unpacking, TakesALayerFromAPipeAndKeepsIt) {
  const std::string content = noise(3 << 20);
  const std::string blob = TarWriter().file("file", content).finish();
  const Stream stream(blob, Stream::End::kCloses);
  const Fd keep = memory_file("");
  const auto report = unpack({.fd = stream.get(), .size = blob.size(), .keep = keep.get()}, blob);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(read("layer0/file"), content);
  EXPECT_EQ(content_of(keep), blob);
}

TEST_F(Unpacking, TakesUpADownloadAgain) {
  const std::string blob = TarWriter().file("file", noise(3 << 20)).finish();
  for (const std::size_t kept : {std::size_t{1}, std::size_t{1'000'000}, blob.size()}) {
    const Stream rest(blob.substr(kept), Stream::End::kCloses);
    const Fd keep = memory_file(blob.substr(0, kept));
    const auto report =
        unpack({.fd = rest.get(), .size = blob.size(), .keep = keep.get(), .kept = kept}, blob);
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_EQ(content_of(keep), blob);
  }
}

TEST_F(Unpacking, NoticesThatWhatWasKeptIsNotOfThisLayer) {
  const std::string blob = TarWriter().file("file", noise(1 << 20)).finish();
  std::string damaged = blob.substr(0, 700'000);
  damaged[600'000] = static_cast<char>(damaged[600'000] ^ 1);
  const Stream rest(blob.substr(damaged.size()), Stream::End::kCloses);
  const Fd keep = memory_file(damaged);
  const auto report = unpack(
      {.fd = rest.get(), .size = blob.size(), .keep = keep.get(), .kept = damaged.size()}, blob);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind(), ErrorKind::kInvalid);
  EXPECT_NE(report.error().message().find("does not have that digest"), std::string::npos);
  // Less of it than was said: somebody has cut it.
  const Stream again(blob.substr(damaged.size()), Stream::End::kCloses);
  const Fd shorter = memory_file(blob.substr(0, 1000));
  EXPECT_FALSE(unpack(
      {.fd = again.get(), .size = blob.size(), .keep = shorter.get(), .kept = damaged.size()},
      blob));
}

TEST_F(Unpacking, SaysThatAStreamEndedEarlyAndKeepsWhatCame) {
  const std::string blob = TarWriter().file("file", noise(1 << 20)).finish();
  const std::string part = blob.substr(0, 500'000);
  const Stream stream(part, Stream::End::kCloses);
  const Fd keep = memory_file("");
  const auto report = unpack({.fd = stream.get(), .size = blob.size(), .keep = keep.get()}, blob);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind(), ErrorKind::kSystem) << "not the layer's fault";
  EXPECT_NE(report.error().message().find("ended after 500000 of"), std::string::npos)
      << report.error().message();
  EXPECT_EQ(content_of(keep), part);
}

// The stream never ends: that it is too long must be noticed at once.
TEST_F(Unpacking, RefusesMoreThanTheManifestSays) {
  const std::string blob = TarWriter().file("file", noise(1 << 20)).finish();
  const Stream stream(blob + "more", Stream::End::kStalls);
  const Fd keep = memory_file("");
  const auto report = unpack({.fd = stream.get(), .size = blob.size(), .keep = keep.get()}, blob);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind(), ErrorKind::kInvalid);
  EXPECT_NE(report.error().message().find("longer than"), std::string::npos)
      << report.error().message();
  EXPECT_LE(content_of(keep).size(), blob.size());
}

TEST_F(Unpacking, GivesUpADownloadWhenThereIsNoRoomToKeepIt) {
  const std::string blob = TarWriter().file("file", noise(1 << 20)).finish();
  const Stream stream(blob, Stream::End::kStalls);
  const Fd full(::open("/dev/full", O_RDWR | O_CLOEXEC));
  const auto report = unpack({.fd = stream.get(), .size = blob.size(), .keep = full.get()}, blob);
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message().find("No space left"), std::string::npos)
      << report.error().message();
}

TEST_F(Unpacking, NamesTheFirstCauseOfAFailure) {
  // The extractor sees a tar that ends too soon; why it does is the decompressor's to say.
  const std::string blob = "\x1F\x8B not gzip at all";
  const Fd file = memory_file(blob);
  const auto malformed = unpack({.fd = file.get(), .offset = 0, .size = blob.size()}, blob);
  ASSERT_FALSE(malformed);
  EXPECT_NE(malformed.error().message().find("compression is malformed"), std::string::npos)
      << malformed.error().message();
  // The extractor stops, and what the decompressor then cannot write is no cause.
  const std::string tar =
      TarWriter().file("../out", "x").file("big", std::string(8 << 20, 'x')).finish();
  const Fd escape = memory_file(tar);
  const auto refused = unpack({.fd = escape.get(), .offset = 0, .size = tar.size()}, tar);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("\"..\""), std::string::npos)
      << refused.error().message();
}

TEST_F(Unpacking, CountsWhatIsAskedOfTheOverseer) {
  const std::string tar = TarWriter()
                              .file("a/.wh..wh..opq", "")
                              .file("b/.wh..wh..opq", "")
                              .add({.name = "null", .type = '3', .major = 1, .minor = 3})
                              .finish();
  const Fd file = memory_file(tar);
  const auto attempt = [&](std::uint64_t acts) {
    const Fd into = directory("layer" + std::to_string(count_++));
    ExtractLimits limits;
    limits.acts = acts;
    NoConfinement confinement;
    return unpack_layer({.source = {.fd = file.get(), .offset = 0, .size = tar.size()},
                         .digest = sha256(tar),
                         .diff_id = sha256(tar),
                         .directory = into.get()},
                        confinement, limits);
  };
  EXPECT_TRUE(attempt(3));
  const auto refused = attempt(2);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("more than 2 opaque directories and device nodes"),
            std::string::npos)
      << refused.error().message();
}

TEST_F(Unpacking, RefusesWhatDecompressesToManyTimesItsSize) {
  const std::string tar = TarWriter().file("zeros", std::string(8 << 20, '\0')).finish();
  std::string blob(::ZSTD_compressBound(tar.size()), '\0');
  blob.resize(::ZSTD_compress(blob.data(), blob.size(), tar.data(), tar.size(), 3));
  const Fd file = memory_file(blob);
  const auto attempt = [&](const ExtractLimits& limits) {
    const Fd into = directory("layer" + std::to_string(count_++));
    NoConfinement confinement;
    return unpack_layer({.source = {.fd = file.get(), .offset = 0, .size = blob.size()},
                         .digest = sha256(blob),
                         .diff_id = sha256(tar),
                         .directory = into.get()},
                        confinement, limits);
  };
  ExtractLimits limits;
  limits.ratio_from = 1 << 20;
  const auto refused = attempt(limits);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("more than 200 times its size"), std::string::npos)
      << refused.error().message();
  limits.ratio = 100'000;
  EXPECT_TRUE(attempt(limits)) << "it is the ratio that stops it";
  EXPECT_TRUE(attempt({})) << "small layers may be as empty as they like";
}

class UnpackingMany : public Unpacking {
 protected:
  void prepare(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      blobs_.push_back(TarWriter().file("file", noise((1 << 20) + i * 1000)).finish());
      files_.push_back(memory_file(blobs_.back()));
      directories_.push_back(directory("many" + std::to_string(i)));
      LayerJob job;
      job.name = "layer " + std::to_string(i + 1);
      job.layer.source = {.fd = files_.back().get(), .offset = 0, .size = blobs_.back().size()};
      job.layer.digest = job.layer.diff_id = sha256(blobs_.back());
      job.layer.directory = directories_.back().get();
      jobs_.push_back(std::move(job));
    }
  }
  std::vector<std::string> blobs_;
  std::vector<Fd> files_;
  std::vector<Fd> directories_;
  std::vector<LayerJob> jobs_;
};

TEST_F(UnpackingMany, UnpacksAllWithinItsBound) {
  prepare(6);
  unsigned now = 0;
  unsigned most = 0;
  for (LayerJob& job : jobs_) {
    job.begin = [&](LayerToUnpack&) -> Result<void> {
      most = std::max(most, ++now);
      return {};
    };
    job.done = [&] { --now; };
  }
  std::vector<std::uint64_t> last;
  NoConfinement confinement;
  const auto reports = unpack_layers(
      jobs_, confinement, {}, {.layers_at_once = 2},
      [&](std::span<const std::uint64_t> bytes) { last.assign(bytes.begin(), bytes.end()); });
  ASSERT_TRUE(reports) << reports.error().message();
  ASSERT_EQ(reports->size(), 6U);
  EXPECT_EQ(most, 2U);
  EXPECT_EQ(now, 0U);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ((*reports)[i].entries, 1U);
    EXPECT_EQ((*reports)[i].digest, sha256(blobs_[i]));
    EXPECT_EQ((*reports)[i].diff_id, sha256(blobs_[i]));
    EXPECT_EQ(read("many" + std::to_string(i) + "/file").size(), (1 << 20) + i * 1000);
    EXPECT_EQ(last.at(i), blobs_[i].size());
  }
}

TEST_F(UnpackingMany, TheFirstFailureEndsTheOthersAndIsTheOneTold) {
  prepare(3);
  // Two downloads that would never end.
  const Stream stalled_before(blobs_[0].substr(0, 1000), Stream::End::kStalls);
  const Stream stalled_after(blobs_[2].substr(0, 700'000), Stream::End::kStalls);
  jobs_[0].layer.source = {.fd = stalled_before.get(), .size = blobs_[0].size()};
  jobs_[2].layer.source = {.fd = stalled_after.get(), .size = blobs_[2].size()};
  jobs_[1].layer.digest = sha256("something else");
  NoConfinement confinement;
  const auto reports = unpack_layers(jobs_, confinement, {}, {.layers_at_once = 3});
  ASSERT_FALSE(reports);
  EXPECT_TRUE(reports.error().message().starts_with("layer 2: ")) << reports.error().message();
  // The streams' writers are ours, and nobody else is.
  int others = 0;
  for (siginfo_t info{}; ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0;)
    ++others;
  EXPECT_EQ(others, 0);
  const pid_t grandchild_group = ::waitpid(0, nullptr, WNOHANG);
  EXPECT_EQ(grandchild_group, 0) << "only the writers are left, and they are alive";
}

TEST_F(UnpackingMany, SaysWhichLayerCouldNotBeBegun) {
  prepare(2);
  jobs_[1].begin = [](LayerToUnpack&) -> Result<void> {
    return fail(ErrorKind::kNotFound, "the registry has it no more");
  };
  NoConfinement confinement;
  const auto reports = unpack_layers(jobs_, confinement, {}, {.layers_at_once = 2});
  ASSERT_FALSE(reports);
  EXPECT_EQ(reports.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(reports.error().message(), "layer 2: the registry has it no more");
}

}  // namespace
}  // namespace bulkhead::storage
