// bulkhead-unpack: the program that reads archives and hashes blobs for `bulkhead`; not meant to be
// called by hand.
//
//   bulkhead-unpack STORE SOURCE [REFERENCE]        an image by its path
//   bulkhead-unpack --erofs STORE DIFF-ID...        EROFS images of layers that are there
//   bulkhead-unpack --layers STORE MANIFEST         layers of an image of the store that are missing
//   bulkhead-unpack --load STORE [FILE]             images of an archive, from FILE or standard input
//   bulkhead-unpack --check STORE [repair] [contents]  a line for each finding, and one for the sum
//   bulkhead-unpack --import STORE CONFIG NAME      a tar from standard input becomes an image
//   bulkhead-unpack --tree STORE                    a tar from standard input into the empty directory
//                                                   that descriptor 4 is
//   bulkhead-unpack --save STORE FORMAT PATH IMAGE...  to standard output, or to the directory PATH; an
//                                                   image is MANIFEST[=NAME[,NAME...]]
//
// Exit code: 0 done, 2 nothing there, 3 the system refused, 4 not now, 5 not supported, 1 any other
// failure; the reason stands on standard error, and what to do after "hint: ".
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <span>
#include <string_view>

#include "base/text.h"
#include "cli/progress/progress.h"
#include "cli/unpack/confinement.h"
#include "cli/unpack/erofs_writer.h"
#include "storage/unpack/check.h"
#include "storage/unpack/extract_archive.h"
#include "storage/unpack/import.h"
#include "storage/unpack/import_tree.h"
#include "storage/unpack/limits_file.h"
#include "storage/unpack/load.h"
#include "storage/unpack/owners.h"
#include "storage/unpack/repair_layers.h"
#include "storage/unpack/save.h"

namespace {

using namespace bulkhead;
using Words = std::span<char* const>;

constexpr int kProgress = 3;
constexpr int kTarget = 4;
constexpr std::string_view kUnpacking = "unpacking an image";

int fail_with(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  if (!error.hint().empty()) std::fprintf(stderr, "hint: %s\n", error.hint().c_str());
  switch (error.kind()) {
    case ErrorKind::kNotFound: return 2;
    case ErrorKind::kSystem:
    case ErrorKind::kPermission: return 3;
    case ErrorKind::kState:
    case ErrorKind::kExists: return 4;
    case ErrorKind::kUnsupported: return 5;
    default: return 1;
  }
}

void note(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) std::fprintf(stderr, "note: %s\n", line.c_str());
}

Result<void> unpack(Words words, storage::Confinement& confinement) {
  TRY(storage::require_owners(kUnpacking));
  TRY_ASSIGN(const storage::ExtractLimits limits, storage::read_limits());
  const storage::Import wanted{words[0], words[1], words.size() == 3 ? words[2] : ""};
  TRY_ASSIGN(const auto notices, storage::import_image(wanted, confinement, limits));
  note(notices.lines);
  return {};
}

Result<void> load(Words words, storage::Confinement& confinement) {
  TRY(storage::require_owners("bulkhead load"));
  storage::LoadSource source;
  source.input = STDIN_FILENO;
  if (words.size() == 2) source.path = words[1];
  TRY_ASSIGN(const storage::ExtractLimits limits, storage::read_limits());
  // The caller hands in its terminal, if it is to see the progress.
  cli::ProgressView view(kProgress, cli::Display::kTerminal, cli::Direction::kLoad);
  storage::TransferObserver* const observer = ::isatty(kProgress) == 1 ? &view : nullptr;
  TRY_ASSIGN(const auto loaded,
             storage::load_images(words[0], source, confinement, limits, observer));
  note(loaded.notes);
  for (const std::string& line : loaded.lines) std::printf("%s\n", line.c_str());
  return {};
}

Result<void> layers(Words words, storage::Confinement& confinement) {
  TRY(storage::require_owners(kUnpacking));
  TRY_ASSIGN(const storage::ExtractLimits limits, storage::read_limits());
  TRY_ASSIGN(const auto notes, storage::restore_layers(words[0], words[1], confinement, limits));
  note(notes);
  return {};
}

Result<storage::ImageToSave> image_to_save(std::string_view text) {
  storage::ImageToSave image;
  image.manifest = next_field(text, '=');
  if (text.empty()) return image;
  for (const std::string_view each : split(text, ',')) {
    TRY_ASSIGN(storage::Reference name, storage::parse_reference(each));
    image.names.push_back(std::move(name));
  }
  return image;
}

Result<void> save(Words words, storage::Confinement& confinement) {
  const std::string_view format = words[1];
  storage::ArchiveFormat chosen = storage::ArchiveFormat::kDocker;
  if (format == "oci-archive") chosen = storage::ArchiveFormat::kOci;
  if (format == "oci-dir") chosen = storage::ArchiveFormat::kDirectory;
  std::vector<storage::ImageToSave> images;
  for (const char* const text : words.subspan(3)) {
    TRY_ASSIGN(storage::ImageToSave image, image_to_save(text));
    images.push_back(std::move(image));
  }
  return storage::save_images(words[0], images, chosen, {STDOUT_FILENO, words[2]}, confinement);
}

// "problem TEXT", "left PATH", and at the end "sum IMAGES BLOBS LAYERS BYTES UNREPAIRED".
Result<void> check(Words words, storage::Confinement& confinement) {
  storage::CheckOptions options;
  for (const std::string_view word : words.subspan(1)) {
    options.repair |= word == "repair";
    options.contents |= word == "contents";
  }
  if (options.repair || options.contents)
    TRY(storage::require_owners("bulkhead system check --repair or --contents"));
  TRY_ASSIGN(const storage::ExtractLimits limits, storage::read_limits());
  TRY_ASSIGN(const auto report, storage::check_store(words[0], options, confinement, limits));
  for (const std::string& text : report.problems) std::printf("problem %s\n", text.c_str());
  for (const std::string& path : report.left_over) std::printf("left %s\n", path.c_str());
  std::printf("sum %zu %zu %zu %llu %zu\n", report.images, report.blobs, report.layers,
              static_cast<unsigned long long>(report.bytes), report.unrepaired);
  return {};
}

Result<void> import(Words words, storage::Confinement& confinement) {
  TRY(storage::require_owners("bulkhead import"));
  storage::TreeToImport tree;
  tree.input = STDIN_FILENO;
  tree.config = words[1];
  if (const std::string_view name = words[2]; !name.empty()) {
    TRY_ASSIGN(tree.name, storage::parse_reference(name));
  }
  TRY_ASSIGN(const storage::ExtractLimits limits, storage::read_limits());
  TRY_ASSIGN(const auto imported, storage::import_tree(words[0], tree, confinement, limits));
  note(imported.notes);
  std::printf("%s\n", imported.id.c_str());
  return {};
}

Result<void> extract(Words words, storage::Confinement& confinement) {
  TRY_ASSIGN(const storage::ExtractLimits limits, storage::read_limits());
  TRY_ASSIGN(const auto notes,
             storage::extract_archive(words[0], STDIN_FILENO, kTarget, confinement, limits));
  note(notes);
  return {};
}

Result<void> make_erofs(Words words, isolation::HostFacts host) {
  ::umask(0077);
  cli::LayeredErofsWriter confinement(std::move(host));
  return storage::make_erofs_images(words[0], {words.begin() + 1, words.end()}, confinement);
}

struct Verb {
  std::string_view name;
  std::size_t least;  // words after it
  std::size_t most;
  Result<void> (*run)(Words words, storage::Confinement& confinement);
};

constexpr Verb kVerbs[] = {
    {"--layers", 2, 2, layers}, {"--load", 1, 2, load},       {"--check", 1, 3, check},
    {"--import", 3, 3, import}, {"--save", 4, 100'000, save}, {"--tree", 1, 1, extract},
};
constexpr Verb kUnpack{"", 2, 3, unpack};

Result<void> dispatch(Words words) {
  if (words.size() >= 3 && std::string_view(words[0]) == "--erofs") {
    TRY_ASSIGN(isolation::HostFacts host, isolation::gather_host_facts());
    return make_erofs(words.subspan(1), std::move(host));
  }
  const auto* verb = &kUnpack;
  if (!words.empty()) {
    const auto found = std::ranges::find(kVerbs, std::string_view(words[0]), &Verb::name);
    if (found != std::end(kVerbs)) {
      verb = &*found;
      words = words.subspan(1);
    }
  }
  if (words.size() < verb->least || words.size() > verb->most)
    return fail(ErrorKind::kUsage, "usage: bulkhead-unpack [VERB] STORE WORDS...");
  TRY_ASSIGN(isolation::HostFacts host, isolation::gather_host_facts());
  cli::LayeredConfinement confinement(std::move(host));
  return verb->run(words, confinement);
}

}  // namespace

int main(int count, char** words) {
  // Whoever asked for it is gone: nobody will use it.
  (void)::prctl(PR_SET_PDEATHSIG, SIGTERM);
  (void)::signal(SIGPIPE, SIG_IGN);
  ::umask(0);
  const auto done = dispatch({words + 1, words + count});
  return done ? 0 : fail_with(done.error());
}
