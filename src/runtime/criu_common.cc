#include "runtime/criu_common.h"

#include <sched.h>
#include <unistd.h>

#include <cstring>

#include "base/text.h"
#include "runtime/criu_log.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::runtime {
namespace {

constexpr std::size_t kLargestLog = 64U << 20;

Result<Fd> open_place(const std::string& path, Missing missing) {
  if (missing == Missing::kMake) TRY(make_directories(path));
  auto directory = open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY);
  if (!directory) return std::unexpected(Error(directory.error()));
  return *std::move(directory);
}

// CRIU writes its log in the middle of everything: a path that leads nowhere is found out before.
std::string absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  char here[4096];
  if (::getcwd(here, sizeof here) == nullptr) return path;
  return std::string(here) + "/" + path;
}

std::string errors_in(const CriuPlaces& places, std::string_view log_file) {
  const auto log = read_file_at(places.work.get(), std::string(log_file).c_str(), kLargestLog);
  return log ? last_errors(*log) : std::string();
}

}  // namespace

Result<void> require_host_root(const isolation::HostFacts& host, std::string_view what) {
  if (host.euid == 0 && host.privileged()) return {};
  return fail(ErrorKind::kPermission, std::string(what) + " needs the host's root",
              "CRIU cannot do it for other users: run it as root, outside of containers");
}

Result<CriuPlaces> open_places(const CriuWish& wish, Missing missing) {
  CriuPlaces places;
  places.image_path = absolute(wish.image_path.empty() ? "checkpoint" : wish.image_path);
  places.work_path = wish.work_path.empty() ? places.image_path : absolute(wish.work_path);
  auto images = open_place(places.image_path, missing);
  if (!images) return std::unexpected(std::move(images).error().within("--image-path"));
  places.images = *std::move(images);
  auto work = open_place(places.work_path, Missing::kMake);
  if (!work) return std::unexpected(std::move(work).error().within("--work-path"));
  places.work = *std::move(work);
  return places;
}

CriuOptions options_of(const CriuWish& wish, const CriuPlaces& places, std::string_view log_file) {
  CriuOptions options;
  options.images = places.images.get();
  options.work = places.work.get();
  options.log_file = log_file;
  options.tcp_established = wish.tcp_established;
  options.external_unix_sockets = wish.external_unix_sockets;
  options.shell_job = wish.shell_job;
  options.file_locks = wish.file_locks;
  options.cgroup_mode = wish.cgroup_mode;
  options.hand_over_terminal = true;
  if (wish.empty_network) options.empty_namespaces = CLONE_NEWNET;
  return options;
}

std::string joined_network(const oci::Spec& spec) {
  for (const oci::Namespace& entry : spec.linux_.namespaces)
    if (entry.type == oci::NamespaceType::kNetwork) return entry.path;
  return {};
}

Error criu_failure(std::string_view what, const CriuPlaces& places, std::string_view log_file,
                   const CriuAnswer& answer) {
  std::string text = "CRIU could not " + std::string(what);
  if (!answer.message.empty())
    text.append(": ").append(quoted(answer.message));
  else if (answer.error != 0)
    text.append(": ").append(std::strerror(answer.error));
  return with_log(Error(ErrorKind::kSystem, std::move(text)), places, log_file);
}

Error with_log(Error error, const CriuPlaces& places, std::string_view log_file) {
  const std::string path = places.work_path + "/" + std::string(log_file);
  const std::string errors = errors_in(places, log_file);
  std::string text = error.message();
  if (!errors.empty()) text.append("; its log says ").append(errors);
  std::string hint = error.hint();
  if (hint.empty()) hint = "all of the log is in " + quoted(path);
  return {error.kind(), std::move(text), std::move(hint)};
}

}  // namespace bulkhead::runtime
