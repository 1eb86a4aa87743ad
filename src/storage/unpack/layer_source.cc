#include "storage/unpack/layer_source.h"

#include <poll.h>

#include <algorithm>

namespace bulkhead::storage {
namespace {

Result<std::size_t> read_at(int fd, void* buffer, std::size_t room, std::uint64_t offset) {
  for (;;) {
    const ssize_t count = ::pread(fd, buffer, room, static_cast<off_t>(offset));
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) return std::unexpected(Error(SysError{"pread", errno}));
  }
}

Result<void> write_at(int fd, const char* data, std::size_t size, std::uint64_t offset) {
  for (std::size_t done = 0; done < size;) {
    const ssize_t count = ::pwrite(fd, data + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return std::unexpected(Error(SysError{"write", errno}).within("keeping the layer's blob"));
    done += static_cast<std::size_t>(count);
  }
  return {};
}

}  // namespace

Result<std::size_t> LayerReader::read_kept(void* buffer, std::size_t room) {
  room = std::min<std::uint64_t>(room, source_.kept - done_);
  TRY_ASSIGN(const std::size_t count, read_at(source_.keep, buffer, room, done_));
  if (count == 0)
    return fail(ErrorKind::kState, "what had been kept of the layer's blob is gone",
                "somebody else changes the store: try again");
  return count;
}

Result<std::size_t> LayerReader::read_extent(void* buffer, std::size_t room) {
  room = std::min<std::uint64_t>(room, source_.size - done_);
  if (room == 0) return std::size_t{0};
  TRY_ASSIGN(const std::size_t count,
             read_at(source_.fd, buffer, room, *source_.offset + done_ - source_.kept));
  if (count == 0)
    return fail(ErrorKind::kInvalid, "the layer's blob was cut short while it was read");
  return count;
}

Result<std::size_t> LayerReader::read_sequence(void* buffer, std::size_t room) {
  // One more byte than there may be is enough to notice it.
  room = std::min<std::uint64_t>(room, source_.size - done_ + 1);
  for (;;) {
    pollfd awaited[] = {{source_.fd, POLLIN, 0}, {stop_, POLLIN, 0}};
    if (stop_ >= 0) {
      if (::poll(awaited, 2, -1) < 0 && errno != EINTR)
        return std::unexpected(Error(SysError{"poll", errno}));
      if (awaited[1].revents != 0) return fail(ErrorKind::kState, "unpacking was given up");
      if (awaited[0].revents == 0) continue;
    }
    const ssize_t count = ::read(source_.fd, buffer, room);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) return std::unexpected(Error(SysError{"read", errno}).within("the layer"));
    const auto got = static_cast<std::size_t>(count);
    if (got > source_.size - done_)
      return fail(ErrorKind::kInvalid, "the layer's blob is longer than the " +
                                           std::to_string(source_.size) +
                                           " bytes that the manifest says");
    if (got == 0 && done_ != source_.size)
      return fail(ErrorKind::kSystem, "the layer's blob ended after " + std::to_string(done_) +
                                          " of " + std::to_string(source_.size) + " bytes");
    return got;
  }
}

Result<std::size_t> LayerReader::read(void* buffer, std::size_t room) {
  std::size_t count = 0;
  if (done_ < source_.kept) {
    TRY_ASSIGN(count, read_kept(buffer, room));
  } else {
    if (source_.offset) {
      TRY_ASSIGN(count, read_extent(buffer, room));
    } else {
      TRY_ASSIGN(count, read_sequence(buffer, room));
    }
    if (source_.keep >= 0)
      TRY(write_at(source_.keep, static_cast<const char*>(buffer), count, done_));
  }
  done_ += count;
  return count;
}

}  // namespace bulkhead::storage
