#include "supervise/restart.h"

#include <algorithm>

#include "base/text.h"

namespace bulkhead::supervise {
namespace {

constexpr std::int64_t kFirstPause = 100;
constexpr std::int64_t kLongestPause = 60'000;
constexpr std::int64_t kLastingMilliseconds = 10'000;

}  // namespace

Result<RestartPolicy> parse_restart_policy(std::string_view text) {
  std::string_view count = text;
  const bool has_count = text.find(':') != std::string_view::npos;
  const std::string_view name = next_field(count, ':');
  RestartPolicy policy;
  if (name == "no") {
    policy.kind = RestartKind::kNo;
  } else if (name == "on-failure") {
    policy.kind = RestartKind::kOnFailure;
  } else if (name == "always") {
    policy.kind = RestartKind::kAlways;
  } else if (name == "unless-stopped") {
    policy.kind = RestartKind::kUnlessStopped;
  } else {
    return fail(ErrorKind::kUsage, "--restart " + quoted(text) + ": there is no such policy",
                "there are no, on-failure[:N], always and unless-stopped");
  }
  if (!has_count) return policy;
  const auto most = parse_number<std::uint32_t>(count);
  if (policy.kind != RestartKind::kOnFailure || !most)
    return fail(ErrorKind::kUsage,
                "--restart " + quoted(text) + ": a number of restarts goes with on-failure alone");
  policy.most = *most;
  return policy;
}

std::string_view name_of(RestartKind kind) {
  switch (kind) {
    case RestartKind::kNo: return "no";
    case RestartKind::kOnFailure: return "on-failure";
    case RestartKind::kAlways: return "always";
    case RestartKind::kUnlessStopped: return "unless-stopped";
  }
  return "no";
}

std::string text_of(const RestartPolicy& policy) {
  std::string text(name_of(policy.kind));
  if (policy.most != 0) text += ":" + std::to_string(policy.most);
  return text;
}

bool wants_restart(const RestartPolicy& policy, const ExitStatus& exit, std::uint32_t restarts) {
  switch (policy.kind) {
    case RestartKind::kNo: return false;
    case RestartKind::kOnFailure:
      return exit.shell_code() != 0 && (policy.most == 0 || restarts < policy.most);
    case RestartKind::kAlways:
    case RestartKind::kUnlessStopped: return true;
  }
  return false;
}

std::int64_t Backoff::next_milliseconds(std::int64_t up_milliseconds) {
  if (up_milliseconds >= kLastingMilliseconds) last_ = 0;
  last_ = last_ == 0 ? kFirstPause : std::min(last_ * 2, kLongestPause);
  return last_;
}

}  // namespace bulkhead::supervise
