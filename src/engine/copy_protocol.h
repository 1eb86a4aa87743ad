// What a process that stands in a container's file system is asked, and what it answers: one packet of a
// SOCK_SEQPACKET socket each. Who asks takes the answers for a stranger's: the process has hostile files
// before it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/tree/pack_tree.h"
#include "storage/tree/unpack_tree.h"

namespace bulkhead::engine {

enum class CopyTask : std::uint32_t {
  kStatus = 1,  // what is at `path`?
  kPack = 2,    // write `path` to the data pipe, its entries beginning with `name`
  kUnpack = 3,  // read an archive from the data pipe into the directory `path`
};

struct CopyRequest {
  CopyTask task = CopyTask::kStatus;
  bool follow = false;  // a symbolic link at the end of `path`
  storage::UnpackRules rules;
  std::string path;
  std::string name;
};

struct CopyAnswer {
  int error = 0;  // errno, or -1 for a failure that has none; 0: it went well
  ErrorKind kind = ErrorKind::kSystem;
  bool is_directory = false;
  std::uint64_t size = 0;
  storage::TreeNotes notes;
  // Of a failure what it was; of a symbolic link that leads to nothing, where it leads.
  std::string text;
};

std::string encode(const CopyRequest& request);
Result<CopyRequest> decode_copy_request(std::string_view packet);
std::string encode(const CopyAnswer& answer);
// kInvalid for what is none. The text is safe to be shown.
Result<CopyAnswer> decode_copy_answer(std::string_view packet);

inline constexpr std::size_t kMostCopyPacket = 32 << 10;

}  // namespace bulkhead::engine
