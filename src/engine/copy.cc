#include "engine/copy.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "base/text.h"
#include "engine/copy_root.h"
#include "engine/copy_streams.h"
#include "engine/copy_worker.h"
#include "engine/events.h"
#include "engine/local_root.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

constexpr int kMostLinks = 10;

std::string shown(const CopyPlace& place) {
  return place.container.value_or("") + ":" + place.path;
}

Error failure_of(const CopyAnswer& answer) {
  return Error(answer.error > 0 ? kind_of_errno(answer.error) : answer.kind, answer.text);
}

// What is at a path of the container; nothing when nothing is.
Result<std::optional<CopyAnswer>> look(CopyWorker& worker, const std::string& path, bool follow) {
  CopyRequest request;
  request.task = CopyTask::kStatus;
  request.path = path;
  request.follow = follow;
  TRY_ASSIGN(CopyAnswer answer, worker.ask(request));
  if (answer.error == ENOENT || answer.error == ENOTDIR) return std::nullopt;
  if (answer.error != 0) return std::unexpected(failure_of(answer));
  return answer;
}

std::unexpected<Error> not_there(const ListedContainer& container, const std::string& path) {
  return fail(ErrorKind::kNotFound, "could not find the file " + quoted(path) + " in container " +
                                        quoted(container.name));
}

CopyTarget local_target(const CopyPath& path) {
  struct stat status{};
  if (::stat(path.path.c_str(), &status) != 0) return {};
  return {true, S_ISDIR(status.st_mode)};
}

// A link that leads to nothing: what is copied there goes where it leads.
Result<CopyPath> follow_local(CopyPath path) {
  for (int links = 0; links < kMostLinks; ++links) {
    std::array<char, 4096> target{};
    const ssize_t size = ::readlink(path.path.c_str(), target.data(), target.size());
    if (size <= 0 || local_target(path).exists) return path;
    const std::string to(target.data(), static_cast<std::size_t>(size));
    TRY_ASSIGN(path, read_local_path(to.starts_with('/') ? to : path.parent + "/" + to));
  }
  return fail(ErrorKind::kState, quoted(path.path) + ": too many symbolic links");
}

struct Destination {
  CopyPath path;
  CopyTarget target;
};
Result<Destination> find_destination(CopyWorker& worker, const CopyPlace& place) {
  Destination found{read_container_path(place.path), {}};
  for (int links = 0; links < kMostLinks; ++links) {
    CopyRequest request;
    request.task = CopyTask::kStatus;
    request.path = found.path.path;
    request.follow = true;
    TRY_ASSIGN(const CopyAnswer answer, worker.ask(request));
    if (answer.error == 0) {
      found.target = {true, answer.is_directory};
      return found;
    }
    if (answer.error != ENOENT)
      return std::unexpected(failure_of(answer).within(quoted(shown(place))));
    if (answer.text.empty()) return found;
    const bool must_be_directory = found.path.must_be_directory;
    found.path = read_container_path(
        answer.text.starts_with('/') ? answer.text : found.path.parent + "/" + answer.text);
    found.path.must_be_directory = must_be_directory;
  }
  return fail(ErrorKind::kState, quoted(shown(place)) + ": too many symbolic links");
}

Result<CopyResult> result_of(const CopyAnswer& packed, const CopyAnswer* unpacked,
                             std::string destination) {
  // Whose pipe broke did not fail by himself.
  if (packed.error != 0 && (packed.error != EPIPE || unpacked == nullptr || unpacked->error == 0))
    return std::unexpected(failure_of(packed));
  if (unpacked != nullptr && unpacked->error != 0) return std::unexpected(failure_of(*unpacked));
  CopyResult result;
  result.notes = unpacked != nullptr ? unpacked->notes : packed.notes;
  result.notes.sockets = packed.notes.sockets;
  result.notes.shortened = packed.notes.shortened;
  result.bytes = packed.notes.bytes;
  result.destination = std::move(destination);
  return result;
}

void record(const StoreOptions& options, const ContainerRoot& root, const char* action,
            const std::string& path) {
  record_event(options, EventSubject::of(root.container()), action, {{"path", path}});
}

}  // namespace

Result<CopyResult> copy_from_container(const StoreOptions& options, const CopyPlace& source,
                                       const std::string& local, const CopyChoices& choices) {
  TRY_ASSIGN(const ContainerRoot root, ContainerRoot::take(options, source.container.value_or("")));
  TRY_ASSIGN(const SharedCounter counter, SharedCounter::make());
  TRY_ASSIGN(DataPipe pipe, DataPipe::make());
  TRY_ASSIGN(CopyWorker packer,
             CopyWorker::start([&] { return root.enter(); }, std::move(pipe.in), counter));
  const CopyPath path = read_container_path(source.path);
  const bool follow = choices.follow_link || path.must_be_directory;
  TRY_ASSIGN(const auto found, look(packer, path.path, follow));
  if (!found) return not_there(root.container(), source.path);
  if (path.must_be_directory && !found->is_directory)
    return fail(ErrorKind::kState, quoted(shown(source)) + " is not a directory");

  CopyRequest pack;
  pack.task = CopyTask::kPack;
  pack.path = path.path;
  pack.follow = follow;
  pack.name = path.name;
  if (local == "-") {
    TRY(packer.begin(pack));
    TRY(pump(pipe.out.get(), STDOUT_FILENO, choices.progress));
    pipe.out.reset();
    TRY_ASSIGN(const CopyAnswer packed, packer.finish());
    if (packed.error == 0) record(options, root, "archive-path", source.path);
    return result_of(packed, nullptr, "the standard output");
  }

  TRY_ASSIGN(CopyPath wanted, read_local_path(local));
  TRY_ASSIGN(wanted, follow_local(std::move(wanted)));
  TRY_ASSIGN(const CopyDecision decision,
             decide_copy(path, found->is_directory, wanted, local_target(wanted)));
  pack.name = decision.name;
  const std::string& place = decision.into_parent ? wanted.parent : wanted.path;
  TRY_ASSIGN(const LocalRoot directory, LocalRoot::open(place));
  TRY_ASSIGN(const SharedCounter unseen, SharedCounter::make());
  // Their own counter: the packer stands in the container, and may say anything.
  TRY_ASSIGN(CopyWorker unpacker,
             CopyWorker::start([&] { return directory.enter(); }, std::move(pipe.out), unseen));
  CopyRequest unpack;
  unpack.task = CopyTask::kUnpack;
  unpack.path = "/";
  unpack.rules.foreign = true;
  if (choices.archive) unpack.rules.owners = storage::Owners::kArchived;
  TRY(unpacker.begin(unpack));
  TRY(packer.begin(pack));
  TRY(wait_for_answer(unpacker.socket(), *unseen.get(), choices.progress));
  TRY_ASSIGN(const CopyAnswer unpacked, unpacker.finish());
  TRY_ASSIGN(const CopyAnswer packed, packer.finish());
  auto result = result_of(packed, &unpacked, local);
  if (result) record(options, root, "archive-path", source.path);
  return result;
}

Result<CopyResult> copy_to_container(const StoreOptions& options, const std::string& local,
                                     const CopyPlace& destination, const CopyChoices& choices) {
  // What is to be copied first: no container is bothered for what is not there.
  CopyPath path;
  bool is_directory = false;
  if (local != "-") {
    TRY_ASSIGN(path, read_local_path(local));
    TRY_ASSIGN(is_directory, examine_local(path, choices.follow_link || path.must_be_directory));
  }
  TRY_ASSIGN(const ContainerRoot root,
             ContainerRoot::take(options, destination.container.value_or("")));
  TRY_ASSIGN(const SharedCounter counter, SharedCounter::make());
  TRY_ASSIGN(DataPipe pipe, DataPipe::make());
  TRY_ASSIGN(CopyWorker unpacker,
             CopyWorker::start([&] { return root.enter(); }, std::move(pipe.out), counter));
  TRY_ASSIGN(const Destination found, find_destination(unpacker, destination));
  if (local == "-" && !found.target.is_directory)
    return fail(ErrorKind::kState,
                "destination " + quoted(shown(destination)) + " must be a directory",
                "an archive from the standard input is unpacked in a directory that is there");
  CopyDecision decision;
  if (local != "-") {
    TRY_ASSIGN(decision, decide_copy(path, is_directory, found.path, found.target));
  }
  CopyRequest unpack;
  unpack.task = CopyTask::kUnpack;
  unpack.path = decision.into_parent ? found.path.parent : found.path.path;
  unpack.rules.links = local == "-" ? storage::Links::kFollow : storage::Links::kRefuse;
  unpack.rules.foreign = false;
  if (choices.archive) unpack.rules.owners = storage::Owners::kArchived;
  if (decision.into_parent) {
    TRY_ASSIGN(const auto parent, look(unpacker, unpack.path, true));
    if (!parent) return not_there(root.container(), unpack.path);
    if (!parent->is_directory)
      return fail(ErrorKind::kState, quoted(unpack.path) + " in container " +
                                         quoted(root.container().name) + " is not a directory");
  }
  TRY(unpacker.begin(unpack));
  // What the other end says tells why nobody reads.
  (void)::signal(SIGPIPE, SIG_IGN);
  const bool follow = choices.follow_link || path.must_be_directory;
  CopyAnswer packed;
  std::optional<Error> failure;
  if (local == "-") {
    auto pumped = pump_archive(STDIN_FILENO, pipe.in.get(), choices.progress);
    if (pumped)
      packed.notes.bytes = *pumped;
    else
      failure = std::move(pumped).error();
  } else {
    auto notes = pack_local(path, follow, decision.name, pipe.in.get(), choices.progress);
    if (notes)
      packed.notes = *notes;
    else
      failure = std::move(notes).error();
  }
  pipe.in.reset();
  TRY_ASSIGN(const CopyAnswer unpacked, unpacker.finish());
  // A pipe breaks because the other end has failed, and that is the reason.
  if (failure && (unpacked.error == 0 || !failure->message().ends_with("Broken pipe")))
    return std::unexpected(*std::move(failure));
  auto result = result_of(packed, &unpacked, shown(destination));
  if (result) record(options, root, "extract-to-dir", destination.path);
  return result;
}

}  // namespace bulkhead::engine
