// Reads a tar from a pipe: ustar, PAX, GNU (long names, binary numbers, sparse files of all four
// kinds), star and the old format. Names are bytes, whatever they say in which encoding; what a header
// says twice and differently is refused, as is all that has no meaning in an image's layer.
//
// Where the field's readers differ, this one does what those of other engines do: the size of an entry
// that can have no content means nothing, and global PAX headers are skipped.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bulkhead::storage {

enum class TarType {
  kFile,
  kHardLink,
  kSymbolicLink,
  kCharacterDevice,
  kBlockDevice,
  kDirectory,
  kFifo,
};

struct TarEntry {
  TarType type = TarType::kFile;
  std::string path;
  std::string link;
  mode_t mode = 0;  // 12 bits
  std::int64_t uid = 0;
  std::int64_t gid = 0;
  timespec modified{};
  std::uint64_t size = 0;  // of a file, holes included
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::vector<std::pair<std::string, std::string>> attributes;  // of SCHILY.xattr.NAME
};

// A part of a file and its place in it. No bytes: the end.
struct TarPiece {
  std::uint64_t offset = 0;
  std::string_view bytes;  // until the next call
};

// Where a sparse file has content.
struct TarExtent {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

class TarReader {
 public:
  // Does not own the descriptor. Reads ahead, and at the end until the end of the file.
  explicit TarReader(int fd) : fd_(fd), buffer_(kRoom) {}

  // The next entry; false at the end. What is left of the last one's content is skipped.
  Result<bool> next(TarEntry& entry);
  Result<TarPiece> content();

 private:
  static constexpr std::size_t kRoom = std::size_t{256} << 10;
  using Records = std::map<std::string, std::string, std::less<>>;
  // What the headers before an entry have said about it.
  struct Ahead {
    bool has_pax = false;
    Records pax;
    std::vector<std::uint64_t> sparse_0_0;  // GNU.sparse.offset and .numbytes, as they come
    std::string long_name;
    std::string long_link;
  };

  // A block of 512 bytes, until the next call; null at the end of the file.
  Result<const char*> block();
  Result<bool> fill();
  Result<std::string> body(std::uint64_t size, const char* what);
  Result<void> skip(std::uint64_t size);
  Result<void> finish_content();
  Result<bool> end_of_archive();

  Result<void> read_ahead(char type, std::uint64_t size, Ahead& ahead);
  Result<void> parse_pax(std::string_view text, Ahead& ahead);
  Result<void> apply(const char* header, Ahead& ahead, TarEntry& entry);
  Result<void> apply_pax(Ahead& ahead, TarEntry& entry);
  Result<void> find_extents(const char* header, Ahead& ahead, TarEntry& entry);
  Result<void> old_gnu_extents(const char* header, TarEntry& entry);
  Result<void> pax_1_0_extents();
  Result<void> check_extents(std::uint64_t real_size);

  int fd_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool at_end_ = false;

  std::uint64_t stored_ = 0;   // content of the entry that is still to be read
  std::uint64_t padding_ = 0;  // behind it
  std::uint64_t offset_ = 0;   // of the next byte in the file
  bool sparse_ = false;
  std::vector<TarExtent> extents_;
  std::size_t extent_ = 0;
};

}  // namespace bulkhead::storage
