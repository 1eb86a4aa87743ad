// The state document of the runtime-spec: what `state` prints and hooks read from their stdin.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "json/writer.h"
#include "oci/spec.h"

namespace bulkhead::oci {

enum class Status { kCreating, kCreated, kRunning, kStopped, kPaused };

std::string_view name_of(Status status);  // "running"

struct State {
  std::string oci_version;
  std::string id;
  Status status = Status::kCreating;
  std::int32_t pid = 0;  // as the runtime sees it; 0 when there is no process
  std::string bundle;    // absolute
  Annotations annotations;

  // What runc's `state` and `list` add, and callers read; left out while empty.
  std::string rootfs;   // absolute
  std::string created;  // RFC 3339
  std::string owner;    // `list` only
};

std::string encode(const State& state, json::Style style = json::Style::kCompact);
// As an object within a document that the caller is writing.
void write(json::Writer& writer, const State& state);
Result<State> decode_state(std::string_view text);

// What is sent with the descriptors to the listener of a seccomp profile
// (linux.seccomp.listenerPath).
struct ContainerProcessState {
  std::vector<std::string> fds;  // names, by the index of the descriptor: "seccompFd"
  std::int32_t pid = 0;
  std::string metadata;
  State state;
};

std::string encode(const ContainerProcessState& state);

}  // namespace bulkhead::oci
