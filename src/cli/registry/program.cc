#include "cli/registry/program.h"

#include <locale.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/text.h"
#include "cli/registry/commands.h"
#include "cli/registry/confinement.h"
#include "events/journal.h"
#include "storage/fetch/dialer.h"
#include "storage/fetch/fetcher.h"
#include "storage/fetch/transport.h"
#include "storage/registry/fetcher_process.h"
#include "sys/file.h"

namespace bulkhead::cli {
namespace {

// Becomes a worker: locked in first, and only then spoken to.
int work(NetworkWorker worker, const RegistryProgram& program) {
  if (worker == NetworkWorker::kFetcher && !storage::Transport::prepare()) return kFailure;
  if (program.confinement == RegistryProgram::Confinement::kLayers && !confine(worker))
    return kFailure;
  const bool fetcher = worker == NetworkWorker::kFetcher;
  if (program.payload) program.payload(fetcher ? storage::kFetcherVerb : storage::kDialerVerb);
  const auto served = fetcher
                          ? storage::serve_fetcher(storage::kOverseerSocket, storage::kPeerSocket)
                          : storage::serve_dialer(storage::kOverseerSocket, storage::kPeerSocket);
  return served ? 0 : kFailure;
}

struct CommandRow {
  std::string_view verb;
  std::vector<std::string_view> options;
  Result<int> (*run)(const RegistryWords& words);
};

const std::vector<CommandRow>& rows() {
  static const std::vector<CommandRow> kRows{
      {"pull",
       {"store", "journal", "settings", "quiet", "platform", "all-tags", "missing", "for-run"},
       pull_command},
      {"push", {"store", "journal", "settings", "quiet", "all-tags"}, push_command},
      {"outdated", {"store", "settings", "format"}, outdated_command},
      {"login", {"settings", "username", "password", "password-stdin"}, login_command},
      {"logout", {"settings"}, logout_command},
  };
  return kRows;
}

Result<int> run_command(const std::vector<std::string>& words) {
  for (const CommandRow& row : rows()) {
    if (words.empty() || words.front() != row.verb) continue;
    TRY_ASSIGN(const RegistryWords parsed, parse_registry_words(words, row.options));
    return row.run(parsed);
  }
  return fail(ErrorKind::kUsage, "bulkhead-registry is executed by bulkhead",
              "bulkhead pull, push, login, logout");
}

}  // namespace

void record_image_event(const std::string& journal, const storage::Reference& image,
                        std::string action) {
  if (journal.empty()) return;
  events::record(journal, {.type = std::string(events::kImage),
                           .action = std::move(action),
                           .id = image.familiar(),
                           .attributes = {{"name", image.familiar_name()}},
                           .time = {}});
}

Result<storage::Settings> settings_for(const RegistryWords& words) {
  std::string file = words.value("settings");
  if (file.empty())
    if (const char* const named = std::getenv("BULKHEAD_REGISTRIES_CONF");
        named != nullptr && *named != '\0')
      file = named;
  return storage::read_settings(file);
}

Result<storage::CredentialFile> credentials_for(const RegistryWords&) {
  TRY_ASSIGN(std::string path, storage::CredentialFile::default_path());
  return storage::CredentialFile(std::move(path));
}

void print_line(std::string_view text) {
  const std::string line = std::string(text) + "\n";
  (void)write_all(STDOUT_FILENO, line.data(), line.size());
}

void print_error_line(std::string_view text) {
  const std::string line = std::string(text) + "\n";
  (void)write_all(STDERR_FILENO, line.data(), line.size());
}

void print_retry(const std::string& why, std::chrono::milliseconds wait) {
  const auto tenths = wait.count() / 100;
  print_error_line("Retrying in " + std::to_string(tenths / 10) + "." +
                   std::to_string(tenths % 10) + " seconds: " + why);
}

int run_registry_program(int count, char** words, const RegistryProgram& program) {
  (void)::signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> given;
  for (int i = 1; i < count; ++i) given.emplace_back(words[i]);
  if (given.size() == 1 && given.front() == storage::kFetcherVerb)
    return work(NetworkWorker::kFetcher, program);
  if (given.size() == 1 && given.front() == storage::kDialerVerb)
    return work(NetworkWorker::kDialer, program);
  // File names in archives are UTF-8 to libarchive or bytes; "C" would make it refuse the former.
  (void)::setlocale(LC_CTYPE, "C.UTF-8");
  ::umask(0);
  const auto done = run_command(given);
  if (done) return *done;
  print_error_line("bulkhead: " + done.error().message());
  if (!done.error().hint().empty()) print_error_line("  " + done.error().hint());
  return kFailure;
}

}  // namespace bulkhead::cli
