#include <unistd.h>

#include <chrono>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/each_container.h"
#include "cli/bulkhead/options.h"
#include "cli/bulkhead/table.h"
#include "cli/progress/progress.h"
#include "engine/copy.h"
#include "sys/file.h"

namespace bulkhead::cli::engine {
namespace {

using bulkhead::engine::CopyPlace;
using bulkhead::engine::CopyResult;

void print_beside(const std::string& text) {
  (void)write_all(STDERR_FILENO, text.data(), text.size());
}

// One line on a terminal, drawn again a few times a second.
class Progress {
 public:
  explicit Progress(std::string_view what) : what_(what) {}
  void show(std::uint64_t bytes) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(200)) return;
    last_ = now;
    print_beside("\r\033[K" + what_ + " - " + size_text(bytes));
    shown_ = true;
  }
  void clear() {
    if (shown_) print_beside("\r\033[K");
    shown_ = false;
  }

 private:
  std::string what_;
  // Nothing is drawn of what takes no time.
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  bool shown_ = false;
};

void print_notes(const storage::TreeNotes& notes) {
  const auto note = [](std::uint64_t count, const char* what) {
    if (count > 0) print_warning(std::to_string(count) + what);
  };
  note(notes.devices, " device nodes were left out");
  note(notes.sockets, " sockets were left out: an archive has none");
  note(notes.shortened,
       " files became shorter while they were read, and were filled up with zeros");
}

Result<int> report(const Result<CopyResult>& done, bool quiet) {
  if (done) {
    print_notes(done->notes);
    if (!quiet)
      print_beside("Successfully copied " + size_text(done->bytes) + " to " +
                   printable(done->destination) + "\n");
    return 0;
  }
  print_error(done.error());
  return kSomeFailed;
}

Result<int> cp(const Invocation& invocation) {
  bulkhead::engine::CopyChoices choices;
  bool quiet = ::isatty(STDOUT_FILENO) == 0;
  const Option options[] = {
      {"archive", 'a', &choices.archive, "", "keep the owners and setuid bits of the source"},
      {"follow-link", 'L', &choices.follow_link, "", "copy what SRC_PATH links to, not the link"},
      {"quiet", 'q', &quiet, "", "show no progress (default where the output is no terminal)"},
  };
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n"
        "       bulkhead cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH\n\nCopies files between a "
        "container and this host. The container may run or not.\n\nOptions:\n" +
        describe(options) +
        "\nA directory is copied with all that is in it: into DEST_PATH where that is a directory, "
        "or\n"
        "as DEST_PATH where nothing is there. SRC_PATH/. means what is in the directory. - is a "
        "tar\n"
        "archive on the standard input or output. Files belong to root in the container, and to\n"
        "whoever copies them on the host.\n\nExamples:\n"
        "  bulkhead cp web:/var/log/nginx ./logs\n"
        "  bulkhead cp ./site/. web:/srv/www\n"
        "  bulkhead cp web:/etc - | tar -t\n");
    return 0;
  }
  if (words.positional.size() != 2)
    return fail(ErrorKind::kUsage, "a source and a destination are expected",
                "bulkhead cp CONTAINER:PATH PATH, or bulkhead cp PATH CONTAINER:PATH");
  const CopyPlace from = bulkhead::engine::read_copy_place(words.positional[0]);
  const CopyPlace to = bulkhead::engine::read_copy_place(words.positional[1]);
  for (const CopyPlace* place : {&from, &to})
    if (place->path.empty())
      return fail(ErrorKind::kUsage, "an empty path", "the container's root directory is /");
  if (from.container && to.container)
    return fail(ErrorKind::kUsage, "copying between containers is not supported",
                "bulkhead cp ONE:PATH - | bulkhead cp - OTHER:PATH");
  if (!from.container && !to.container)
    return fail(ErrorKind::kUsage, "one of both must be in a container: CONTAINER:PATH",
                "a path of this host that has a colon in it begins with ./");
  if (to.path == "-" && !to.container && ::isatty(STDOUT_FILENO) == 1)
    return fail(ErrorKind::kUsage, "an archive is nothing for a terminal",
                "name a file or directory, or direct the output into a file or a pipe");
  Progress progress(from.container ? "Copying from container" : "Copying to container");
  if (!quiet && ::isatty(STDERR_FILENO) == 1)
    choices.progress = [&](std::uint64_t bytes) { progress.show(bytes); };
  const auto done =
      from.container
          ? bulkhead::engine::copy_from_container(invocation.store, from, to.path, choices)
          : bulkhead::engine::copy_to_container(invocation.store, from.path, to, choices);
  progress.clear();
  return report(done, quiet);
}

}  // namespace

const Command kCpCommand{"cp",
                         "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-, or the other way",
                         "copy files between a container and this host",
                         cp,
                         kEngineFailure,
                         true};

}  // namespace bulkhead::cli::engine
