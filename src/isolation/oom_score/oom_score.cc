#include "isolation/oom_score/oom_score.h"

#include <sys/prctl.h>

#include <array>
#include <charconv>
#include <cstring>

#include "base/text.h"
#include "isolation/namespace.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

constexpr const char* kOwnFile = "self/oom_score_adj";
constexpr std::string_view kFile = "/oom_score_adj";
constexpr const char* kRefused =
    "write oom_score_adj (one below the inherited needs CAP_SYS_RESOURCE on the host)";

SysResult<void> write_score(int directory, const char* path, const OomScore::Plan& plan) noexcept {
  const auto written = write_file_at(directory, path, plan.text);
  if (written) return {};
  const SysError& error = written.error();
  // The path may be on the stack; the plan's text outlives the error.
  const char* call = error.error == EACCES || error.error == EPERM ? kRefused : error.call;
  return sys_fail_with(error.error, call, plan.text.c_str());
}

// Of this process. An unprivileged one that is not dumpable does not own its files in /proc.
SysResult<void> write_own_score(const OomScore::Plan& plan) noexcept {
  constexpr const char* kOwn = "/proc/self/oom_score_adj";
  const auto written = write_score(AT_FDCWD, kOwn, plan);
  if (written || written.error().error != EACCES || ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
    return written;
  if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) return sys_fail("prctl(PR_SET_DUMPABLE)");
  const auto again = write_score(AT_FDCWD, kOwn, plan);
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return sys_fail("prctl(PR_SET_DUMPABLE)");
  return again;
}

}  // namespace

Result<OomScore::Plan> OomScore::describe(const Request& request, const HostFacts&) {
  Plan plan;
  if (!request.spec.process || !request.spec.process->oom_score_adj) return plan;
  plan.adjustment = *request.spec.process->oom_score_adj;
  if (plan.adjustment < -1000 || plan.adjustment > 1000)
    return fail(ErrorKind::kInvalid, "/process/oomScoreAdj: " + std::to_string(plan.adjustment) +
                                         " is not between -1000 and 1000");
  plan.enabled = true;
  plan.text = std::to_string(plan.adjustment);
  plan.written_by_parent = lists_namespace(request, oci::NamespaceType::kUser);
  return plan;
}

Explanation OomScore::explain(const Plan& plan) {
  Explanation explanation;
  if (!plan.enabled) {
    explanation.standing = Standing::kNotApplicable;
    explanation.reason = "not asked for: the runtime's own score is inherited";
    return explanation;
  }
  explanation.facts.push_back({"oom_score_adj", plan.text, ""});
  return explanation;
}

SysResult<void> OomScore::from_parent(const Plan& plan, HostPid child) noexcept {
  if (!plan.enabled || !plan.written_by_parent) return {};
  if (child.value() == 0) return write_own_score(plan);
  constexpr std::string_view kBefore = "/proc/";
  std::array<char, 48> path{};  // room for the longest pid, and zeroes after it
  ::memcpy(path.data(), kBefore.data(), kBefore.size());
  char* const end = path.data() + path.size();
  char* const number_end = std::to_chars(path.data() + kBefore.size(), end, child.value()).ptr;
  ::memcpy(number_end, kFile.data(), kFile.size());
  return write_score(AT_FDCWD, path.data(), plan);
}

SysResult<void> OomScore::apply(const Plan& plan, ChildContext& child) noexcept {
  if (!plan.enabled || plan.written_by_parent) return {};
  return write_score(child.proc, kOwnFile, plan);
}

SysResult<void> OomScore::verify(const Plan& plan, ChildContext& child) noexcept {
  if (!plan.enabled) return {};
  std::array<char, 32> buffer;
  TRY_ASSIGN(const std::string_view text, read_small_file_at(child.proc, kOwnFile, buffer));
  std::string_view rest = text;
  if (parse_number<int>(next_field(rest, '\n')) != plan.adjustment)
    return not_held("the score is another", plan.text.c_str());
  return {};
}

}  // namespace bulkhead::isolation
