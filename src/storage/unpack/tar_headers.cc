#include "storage/unpack/tar_headers.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/text.h"
#include "sys/error.h"

namespace bulkhead::storage {
namespace {

constexpr std::uint64_t kBlock = 512;

struct Header {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char modified[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[8];
  char user[32];
  char group[32];
  char major[8];
  char minor[8];
  char prefix[155];
  char padding[12];
};
static_assert(sizeof(Header) == kBlock);

template <std::size_t Size>
std::string_view text_of(const char (&field)[Size]) {
  return std::string_view(field, ::strnlen(field, Size));
}

// Octal with spaces or NULs around it, or big-endian binary with the top bit set (GNU).
template <std::size_t Size>
std::optional<std::uint64_t> number_of(const char (&field)[Size]) {
  if ((static_cast<unsigned char>(field[0]) & 0x80) != 0) {
    std::uint64_t number = static_cast<unsigned char>(field[0]) & 0x7FU;
    for (std::size_t i = 1; i < Size; ++i) {
      if (number >> 55 != 0) return std::nullopt;
      number = number << 8 | static_cast<unsigned char>(field[i]);
    }
    return number;
  }
  const std::string_view text = trim(text_of(field));
  if (text.empty()) return 0;
  return parse_number<std::uint64_t>(text, 8);
}

bool checksum_holds(const Header& header) {
  const auto* const bytes = reinterpret_cast<const unsigned char*>(&header);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < sizeof header; ++i) {
    const bool in_checksum = i >= offsetof(Header, checksum) && i < offsetof(Header, type);
    sum += in_checksum ? ' ' : bytes[i];
  }
  return number_of(header.checksum) == sum;
}

}  // namespace

Result<std::optional<TarMember>> TarHeaders::next() {
  struct stat status{};
  if (file_size_ == 0) {
    if (::fstat(fd_, &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
    file_size_ = static_cast<std::uint64_t>(status.st_size);
  }
  Header header;
  const ssize_t count = ::pread(fd_, &header, sizeof header, static_cast<off_t>(at_));
  if (count < 0) return std::unexpected(Error(SysError{"pread", errno}));
  if (count == 0) return std::nullopt;
  if (static_cast<std::size_t>(count) != sizeof header)
    return fail(ErrorKind::kInvalid, "the archive is cut short");
  const std::string_view whole(reinterpret_cast<const char*>(&header), sizeof header);
  if (whole.find_first_not_of('\0') == std::string_view::npos) return std::nullopt;
  if (!checksum_holds(header)) {
    if (at_ != 0)
      return fail(ErrorKind::kInvalid, "the archive is damaged: a header's checksum is wrong");
    return fail(ErrorKind::kInvalid, "the file is not a tar",
                "an archive to be run by its path is an uncompressed tar; bulkhead load takes a "
                "compressed one");
  }
  const auto size = number_of(header.size);
  TarMember member;
  member.offset = at_ + kBlock;
  if (!size || *size > file_size_ || member.offset > file_size_ - *size)
    return fail(ErrorKind::kInvalid, "the archive is cut short: a member reaches beyond its end");
  member.size = *size;
  if (std::string_view(header.magic, 6) == std::string_view("ustar\0", 6)) {
    member.name = text_of(header.prefix);
    if (!member.name.empty()) member.name += '/';
  }
  member.name += text_of(header.name);
  member.regular = header.type == '0' || header.type == '\0';
  if (header.type == '2') member.link = text_of(header.link);
  if (header.type == 'L' || header.type == 'S')
    return fail(ErrorKind::kUnsupported,
                "the archive uses GNU extensions that an OCI archive does not need",
                "make it anew with skopeo copy … oci-archive:FILE");
  if (header.type == 'x' || header.type == 'g') {
    std::string body(std::min<std::uint64_t>(member.size, 1 << 20), '\0');
    if (body.size() != member.size ||
        ::pread(fd_, body.data(), body.size(), static_cast<off_t>(member.offset)) !=
            static_cast<ssize_t>(body.size()))
      return fail(ErrorKind::kInvalid, "the archive has an unreadable extended header");
    if (body.find(" path=") != std::string::npos || body.find(" size=") != std::string::npos ||
        body.find(" GNU.sparse") != std::string::npos)
      return fail(ErrorKind::kUnsupported,
                  "the archive has extended headers that an OCI archive does not need",
                  "make it anew with skopeo copy … oci-archive:FILE");
  }
  at_ = member.offset + (member.size + kBlock - 1) / kBlock * kBlock;
  return member;
}

}  // namespace bulkhead::storage
