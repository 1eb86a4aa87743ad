#include "storage/unpack/decompress.h"

#include <isa-l/igzip_lib.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;

std::unexpected<Error> malformed(const char* what) {
  return fail(ErrorKind::kInvalid, std::string("the layer's compression is malformed: ") + what);
}

// What has been read of the input and not been used yet.
struct Source {
  explicit Source(int descriptor) : fd(descriptor) {}

  // False at the end of the input.
  Result<bool> fill() {
    if (begin < end) return true;
    for (;;) {
      const ssize_t size = ::read(fd, buffer.data(), buffer.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return std::unexpected(Error(SysError{"read", errno}));
      begin = 0;
      end = static_cast<std::size_t>(size);
      return size > 0;
    }
  }

  // The first bytes, without using them; fewer at the end of the input.
  Result<std::string_view> peek(std::size_t wanted) {
    TRY_ASSIGN(end, read_up_to(fd, buffer.data(), wanted));
    return std::string_view(reinterpret_cast<const char*>(buffer.data()), end);
  }

  int fd;
  std::vector<std::uint8_t> buffer = std::vector<std::uint8_t>(kBlock);
  std::size_t begin = 0;
  std::size_t end = 0;
};

Result<void> copy(Source& source, int output) {
  for (;;) {
    TRY_ASSIGN(const bool more, source.fill());
    if (!more) return {};
    TRY(write_all(output, source.buffer.data() + source.begin, source.end - source.begin));
    source.begin = source.end;
  }
}

// One gzip member. Zeros after the last one are padding.
Result<bool> skip_padding(Source& source) {
  for (;;) {
    TRY_ASSIGN(const bool more, source.fill());
    if (!more) return false;
    while (source.begin < source.end && source.buffer[source.begin] == 0) ++source.begin;
    if (source.begin < source.end) return true;
  }
}

Result<void> gunzip(Source& source, int output) {
  // 90 KiB with its tables: not for the stack.
  const auto state = std::make_unique<inflate_state>();
  std::vector<std::uint8_t> out(kBlock);
  bool first = true;
  for (;;) {
    if (!first) {
      TRY_ASSIGN(const bool more, skip_padding(source));
      if (!more) return {};
    }
    first = false;
    ::isal_inflate_init(state.get());
    state->crc_flag = ISAL_GZIP;
    while (state->block_state != ISAL_BLOCK_FINISH) {
      TRY_ASSIGN(const bool more, source.fill());
      state->next_in = source.buffer.data() + source.begin;
      state->avail_in = static_cast<std::uint32_t>(source.end - source.begin);
      state->next_out = out.data();
      state->avail_out = static_cast<std::uint32_t>(out.size());
      const std::uint32_t before = state->avail_in;
      const int status = ::isal_inflate(state.get());
      if (status != ISAL_DECOMP_OK) return malformed("not gzip, or damaged");
      source.begin = source.end - state->avail_in;
      const std::size_t made = out.size() - state->avail_out;
      TRY(write_all(output, out.data(), made));
      if (!more && made == 0 && state->block_state != ISAL_BLOCK_FINISH)
        return malformed("cut short");
      if (more && before == state->avail_in && made == 0 && state->block_state != ISAL_BLOCK_FINISH)
        return malformed("no progress");
    }
  }
}

Result<void> unzstd(Source& source, int output) {
  struct Free {
    void operator()(ZSTD_DStream* stream) const { ::ZSTD_freeDStream(stream); }
  };
  const std::unique_ptr<ZSTD_DStream, Free> stream(::ZSTD_createDStream());
  if (!stream) return fail(ErrorKind::kSystem, "zstd: out of memory");
  std::vector<std::uint8_t> out(std::max(kBlock, ::ZSTD_DStreamOutSize()));
  std::size_t wanted = 0;  // 0: at the end of a frame
  for (;;) {
    TRY_ASSIGN(const bool more, source.fill());
    if (!more) break;
    ZSTD_inBuffer in = {source.buffer.data() + source.begin, source.end - source.begin, 0};
    ZSTD_outBuffer to = {out.data(), out.size(), 0};
    // Also called again while the output was full, which the frame's end flushes.
    do {
      to.pos = 0;
      wanted = ::ZSTD_decompressStream(stream.get(), &to, &in);
      if (::ZSTD_isError(wanted) != 0) return malformed(::ZSTD_getErrorName(wanted));
      TRY(write_all(output, out.data(), to.pos));
    } while (to.pos == to.size || in.pos < in.size);
    source.begin = source.end;
  }
  if (wanted != 0) return malformed("cut short");
  return {};
}

}  // namespace

Compression sniff_compression(std::string_view head) {
  using namespace std::literals;
  if (head.starts_with("\x1F\x8B"sv)) return Compression::kGzip;
  if (head.starts_with("\x28\xB5\x2F\xFD"sv)) return Compression::kZstd;
  // A skippable frame, as zstd:chunked layers may begin with: 0x184D2A50 to 5F, little-endian.
  if (head.size() >= 4 && (head[0] & 0xF0) == 0x50 && head.substr(1).starts_with("\x2A\x4D\x18"sv))
    return Compression::kZstd;
  return Compression::kNone;
}

Result<void> decompress(int input, int output) {
  Source source(input);
  TRY_ASSIGN(const std::string_view head, source.peek(4));
  switch (sniff_compression(head)) {
    case Compression::kNone: return copy(source, output);
    case Compression::kGzip: return gunzip(source, output);
    case Compression::kZstd: return unzstd(source, output);
  }
  return fail(ErrorKind::kInternal, "an unknown compression");
}

}  // namespace bulkhead::storage
