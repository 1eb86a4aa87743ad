// The messages that are exchanged with CRIU's service (protocol buffers, as its rpc.proto numbers
// them): the few fields that a checkpoint and a restore of a container need. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bulkhead::runtime {

enum class CriuCall : std::uint8_t {
  kDump = 1,
  kRestore = 2,
  kPreDump = 4,
  kNotify = 6,
  kFeatureCheck = 9,
  kVersion = 10,
};

// What is done about cgroups (--manage-cgroups-mode), by CRIU's numbers.
enum class CriuCgroupMode : std::uint8_t { kIgnore = 0, kSoft = 3, kFull = 4, kStrict = 5 };

struct CriuOptions {
  // Descriptors of this process: CRIU opens them by way of /proc.
  int images = -1;
  int work = -1;
  std::int32_t pid = 0;  // 0: none, to restore
  std::string log_file;
  std::string root;
  std::string parent_images;  // relative to `images`; empty: none
  bool leave_running = false;
  bool tcp_established = false;
  bool tcp_close = false;
  bool external_unix_sockets = false;
  bool shell_job = false;
  bool file_locks = false;
  bool track_memory = false;
  bool restore_as_sibling = false;  // the first process becomes our child, not CRIU's
  bool hand_over_terminal = false;  // orphan_pts_master
  std::optional<CriuCgroupMode> cgroup_mode;
  // Where the groups of each v1 hierarchy go ("memory"); an empty name: of all others and of v2.
  std::vector<std::pair<std::string, std::string>> cgroup_roots;
  std::string freezer;                // the directory of the group to freeze meanwhile
  std::vector<std::string> external;  // "mnt[/data]:/srv/data", "net[4026531840]:NAME"
  // Name and descriptor of the worker.
  std::vector<std::pair<std::string, int>> inherited;
  std::uint32_t empty_namespaces = 0;  // CLONE_NEW* bits
  std::string lsm_profile;
  std::string lsm_mount_context;
};

// With `keep_open` CRIU waits for another request after its answer.
std::string encode_criu_request(CriuCall call, const CriuOptions* options, bool keep_open);
// "Can this kernel track what memory is written to?"
std::string encode_criu_memory_tracking_query();
// The answer to a notification: whether CRIU may go on.
std::string encode_criu_go_on(bool go_on);

struct CriuAnswer {
  CriuCall call{};
  bool success = false;
  std::string script;      // of a kNotify: the stage, "post-restore"
  std::int32_t pid = 0;    // of the first process: of a kNotify or kRestore
  std::int32_t error = 0;  // errno
  std::string message;
  bool tracks_memory = false;
  int version = 0;  // 31701 is 3.17.1
};

// kInvalid for what is no message at all; fields that are not known here are skipped.
Result<CriuAnswer> decode_criu_answer(std::string_view bytes);

}  // namespace bulkhead::runtime
