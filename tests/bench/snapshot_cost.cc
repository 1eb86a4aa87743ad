// What a snapshot costs: the CPU time of making the upper directory and mounting the overlay, and of
// letting go of it again, by the storage library itself.
//
//   snapshot_cost DIRECTORY LAYERS ROUNDS WAY
//
// WAY: directories-detached, directories-private, erofs or erofs-direct. DIRECTORY is empty, on a file
// system that can be idmapped; for erofs the layers' images stand in DIRECTORY/layers-erofs. Prints a
// line for each round: MOUNT-CPU-NANOSECONDS MOUNT-WALL-NANOSECONDS RELEASE-CPU-NANOSECONDS
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "storage/snapshot.h"
#include "sys/file.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::storage;

constexpr std::uint32_t kFirstId = 1'700'000'000;

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "snapshot_cost: %s\n", why.c_str());
  std::exit(1);
}

std::int64_t cpu() {
  // Children's time is known to the microsecond only, ours to the nanosecond.
  struct timespec own{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  struct rusage children{};
  ::getrusage(RUSAGE_CHILDREN, &children);
  std::int64_t sum = own.tv_sec * std::int64_t{1'000'000'000} + own.tv_nsec;
  for (const timeval& time : {children.ru_utime, children.ru_stime})
    sum += time.tv_sec * std::int64_t{1'000'000'000} + time.tv_usec * std::int64_t{1'000};
  return sum;
}

std::int64_t wall() {
  struct timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

// A user namespace with a map of its own, by descriptor.
Fd make_user_namespace() {
  int done[2];
  int ready[2];
  if (::pipe2(done, O_CLOEXEC) != 0 || ::pipe2(ready, O_CLOEXEC) != 0) die("pipe");
  const pid_t child = ::fork();
  char byte = 0;
  if (child == 0) {
    if (::unshare(CLONE_NEWUSER) != 0) ::_exit(1);
    (void)!::write(ready[1], &byte, 1);
    ::close(done[1]);
    (void)!::read(done[0], &byte, 1);
    ::_exit(0);
  }
  ::close(ready[1]);
  if (::read(ready[0], &byte, 1) != 1) die("no user namespace");
  const std::string proc = "/proc/" + std::to_string(child);
  const std::string map = "0 " + std::to_string(kFirstId) + " 65536";
  for (const char* file : {"/uid_map", "/gid_map"})
    if (!write_file_at(AT_FDCWD, (proc + file).c_str(), map)) die(file);
  Fd space(::open((proc + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  ::close(done[1]);
  ::waitpid(child, nullptr, 0);
  return space;
}

std::vector<std::string> make_layers(int store, int count) {
  std::vector<std::string> layers;
  (void)::mkdirat(store, "layers", 0755);
  for (int number = 0; number < count; ++number) {
    layers.push_back("layers/" + std::string(58, 'a') + std::to_string(100'000 + number));
    (void)::mkdirat(store, layers.back().c_str(), 0755);
  }
  return layers;
}

template <class T>
T or_die(Result<T> result) {
  if (!result) die(result.error().message() + " " + result.error().hint());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

}  // namespace

int main(int count, char** words) {
  if (count != 5) die("usage: snapshot_cost DIRECTORY LAYERS ROUNDS WAY");
  const std::string_view way = words[4];
  const Fd store(::open(words[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!store) die(words[1]);
  const Fd space = make_user_namespace();
  const auto layers = make_layers(store.get(), std::atoi(words[2]));
  const auto method = way == "directories-private" ? OverlayMethod::kPrivateNamespace
                                                   : OverlayMethod::kDetachedLayers;
  const int rounds = std::atoi(words[3]);
  for (int round = 0; round < rounds; ++round) {
    Snapshot snapshot;
    snapshot.store = store.get();
    snapshot.layers = layers;
    snapshot.container = "containers/" + std::to_string(round);
    snapshot.upper = Upper::kDiscarded;
    if (way.starts_with("erofs")) snapshot.form.form = LayerForm::kErofs;
    if (way == "erofs-direct") snapshot.form.reading = Layers::Reading::kDirect;
    or_die(make_container_directory(store.get(), snapshot.container));
    const std::int64_t began = wall();
    const std::int64_t before = cpu();
    or_die(make_upper(snapshot, HostUid(kFirstId), HostGid(kFirstId)));
    std::int64_t mounted = 0;
    std::int64_t took = 0;
    {
      const auto mount = or_die(mount_snapshot(snapshot, space.get(), method));
      mounted = cpu();
      took = wall() - began;
    }
    std::printf("%lld %lld %lld\n", static_cast<long long>(mounted - before),
                static_cast<long long>(took), static_cast<long long>(cpu() - mounted));
    or_die(remove_container_directory(store.get(), snapshot.container));
  }
  return 0;
}
