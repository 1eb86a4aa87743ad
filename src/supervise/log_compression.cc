#include "supervise/log_compression.h"

#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cstdint>
#include <utility>

#include "supervise/log_file.h"
#include "sys/file.h"

namespace bulkhead::supervise {
namespace {

constexpr std::size_t kChunk = 64 * 1024;
constexpr int kGzipWindow = MAX_WBITS + 16;  // zlib: with gzip's frame
constexpr int kLevel = 4;
constexpr int kMemoryLevel = 8;

void be_served_last() noexcept {
  const sched_param parameters{};
  (void)::sched_setscheduler(0, SCHED_IDLE, &parameters);
  // IOPRIO_WHO_PROCESS, and the idle class in its three bits.
  constexpr int kWhoProcess = 1;
  constexpr int kIdleClass = 3 << 13;
  (void)::syscall(SYS_ioprio_set, kWhoProcess, 0, kIdleClass);
}

// gzip's header with an "extra field" (RFC 1952): the inode of the file that was compressed, so that
// whoever was reading that one knows where to go on.
constexpr std::size_t kExtraAt = 12;
struct Extra {
  std::array<char, 2> name{'B', 'H'};
  std::array<unsigned char, 2> size{8, 0};  // little-endian
  std::array<unsigned char, 8> inode{};     // the same
};

Extra extra_of(int file) noexcept {
  Extra extra;
  struct stat status{};
  if (::fstat(file, &status) != 0) return extra;
  auto inode = static_cast<std::uint64_t>(status.st_ino);
  for (unsigned char& byte : extra.inode) {
    byte = static_cast<unsigned char>(inode & 0xFF);
    inode >>= 8;
  }
  return extra;
}

Bytef* bytes_of(char* text) noexcept { return reinterpret_cast<Bytef*>(text); }

// What deflate() has made of all that it was given, or of the end.
bool write_made(z_stream& stream, int flush, std::array<char, kChunk>& made, int target) noexcept {
  do {
    stream.next_out = bytes_of(made.data());
    stream.avail_out = static_cast<uInt>(made.size());
    if (::deflate(&stream, flush) == Z_STREAM_ERROR) return false;
    if (!write_all(target, made.data(), made.size() - stream.avail_out)) return false;
  } while (stream.avail_out == 0);
  return true;
}

}  // namespace

bool compress_log(int directory, int file) noexcept {
  be_served_last();
  const auto target =
      open_at(directory, kCompressedLog, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
  z_stream stream{};
  if (!target || ::deflateInit2(&stream, kLevel, Z_DEFLATED, kGzipWindow, kMemoryLevel,
                                Z_DEFAULT_STRATEGY) != Z_OK)
    return false;
  Extra extra = extra_of(file);
  gz_header header{};
  header.extra = reinterpret_cast<Bytef*>(&extra);
  header.extra_len = sizeof extra;
  header.os = 3;  // Unix
  (void)::deflateSetHeader(&stream, &header);
  static std::array<char, kChunk> read;
  static std::array<char, kChunk> made;
  bool good = true;
  for (bool more = true; good && more;) {
    const auto count = read_up_to(file, read.data(), read.size());
    good = count.has_value();
    more = good && *count == read.size();
    stream.next_in = bytes_of(read.data());
    stream.avail_in = static_cast<uInt>(count.value_or(0));
    good = good && write_made(stream, more ? Z_NO_FLUSH : Z_FINISH, made, target->get());
  }
  (void)::deflateEnd(&stream);
  if (!good) (void)::unlinkat(directory, kCompressedLog, 0);
  return good;
}

struct LogSource::Gzip {
  z_stream stream{};
  std::array<char, kChunk> read{};
  bool ended = false;
  bool ready = false;
};

LogSource::LogSource(Fd file, bool compressed) : file_(std::move(file)) {
  if (!compressed) return;
  gzip_ = std::make_unique<Gzip>();
  gzip_->ready = ::inflateInit2(&gzip_->stream, kGzipWindow) == Z_OK;
}
LogSource::LogSource(LogSource&&) noexcept = default;
LogSource& LogSource::operator=(LogSource&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(gzip_, other.gzip_);
  return *this;
}
LogSource::~LogSource() {
  if (gzip_ && gzip_->ready) (void)::inflateEnd(&gzip_->stream);
}

ino_t LogSource::inode() const noexcept {
  struct stat status{};
  if (!gzip_) return ::fstat(file_.get(), &status) == 0 ? status.st_ino : 0;
  Extra extra;
  if (::pread(file_.get(), &extra, sizeof extra, kExtraAt) != sizeof extra ||
      extra.name != Extra{}.name)
    return 0;
  std::uint64_t inode = 0;
  for (std::size_t i = extra.inode.size(); i-- > 0;) inode = inode << 8 | extra.inode[i];
  return inode;
}

Result<std::size_t> LogSource::read(std::span<char> bytes) {
  if (!gzip_) {
    for (;;) {
      const ssize_t count = ::read(file_.get(), bytes.data(), bytes.size());
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno != EINTR) return std::unexpected(Error(SysError{"read", errno}));
    }
  }
  z_stream& stream = gzip_->stream;
  if (!gzip_->ready) return fail(ErrorKind::kSystem, "a compressed log: out of memory");
  stream.next_out = bytes_of(bytes.data());
  stream.avail_out = static_cast<uInt>(bytes.size());
  while (stream.avail_out == bytes.size() && !gzip_->ended) {
    if (stream.avail_in == 0) {
      TRY_ASSIGN(const std::size_t count,
                 read_up_to(file_.get(), gzip_->read.data(), gzip_->read.size()));
      stream.next_in = bytes_of(gzip_->read.data());
      stream.avail_in = static_cast<uInt>(count);
      if (count == 0) return fail(ErrorKind::kInvalid, "a compressed log is cut short");
    }
    const int status = ::inflate(&stream, Z_NO_FLUSH);
    gzip_->ended = status == Z_STREAM_END;
    if (status != Z_OK && status != Z_STREAM_END)
      return fail(ErrorKind::kInvalid, "a compressed log is damaged");
  }
  return bytes.size() - stream.avail_out;
}

Result<void> LogSource::rewind() {
  if (::lseek(file_.get(), 0, SEEK_SET) != 0)
    return std::unexpected(Error(SysError{"lseek", errno}));
  if (!gzip_) return {};
  gzip_->ended = false;
  gzip_->stream.avail_in = 0;
  if (!gzip_->ready || ::inflateReset(&gzip_->stream) != Z_OK)
    return fail(ErrorKind::kSystem, "a compressed log: out of memory");
  return {};
}

}  // namespace bulkhead::supervise
