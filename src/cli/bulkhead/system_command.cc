#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/system_options.h"
#include "engine/integrate.h"
#include "sys/file.h"

namespace bulkhead::cli::engine {
namespace {

using bulkhead::engine::FileChange;
using bulkhead::engine::OtherEngine;
using bulkhead::engine::Registration;

std::string help() {
  IntegrateOptions ignored;
  return "Usage: bulkhead system integrate [OPTIONS] docker|podman|containerd\n"
         "\n"
         "Lets another engine use bulkhead-runtime, under the name bulkhead: prints what its\n"
         "configuration needs, or writes it there. The rest of the file stays as it is, and\n"
         "--remove gives back what --write found, to the byte.\n"
         "\n"
         "Options:\n" +
         describe(integrate_options(ignored)) +
         "\nFiles:\n"
         "  docker      /etc/docker/daemon.json\n"
         "  podman      /etc/containers/containers.conf.d/bulkhead.conf\n"
         "  containerd  /etc/containerd/config.toml\n"
         "Users other than root have docker's and podman's under ~/.config.\n"
         "\nExamples:\n"
         "  bulkhead system integrate docker\n"
         "  bulkhead system integrate --write docker && systemctl reload docker\n"
         "  docker run --rm --runtime bulkhead alpine id\n"
         "  bulkhead system integrate --write --default podman && podman run --rm alpine id\n"
         "  bulkhead system integrate --remove docker\n";
}

Result<std::string> runtime_of(const IntegrateOptions& options) {
  if (options.runtime.empty()) return bulkhead::engine::installed_runtime();
  char buffer[PATH_MAX];
  if (::realpath(options.runtime.c_str(), buffer) == nullptr)
    return std::unexpected(
        Error(SysError{"realpath", errno, options.runtime.c_str()}).within("--runtime"));
  return std::string(buffer);
}

void print_change(FileChange change, const std::string& file, OtherEngine engine) {
  const std::string_view reload = bulkhead::engine::how_to_reload(engine);
  switch (change) {
    case FileChange::kNone: print(quoted(file) + ": nothing to change\n"); return;
    case FileChange::kWritten: print(quoted(file) + ": written\n"); break;
    case FileChange::kRemoved: print(quoted(file) + ": removed\n"); break;
  }
  print("To take effect: " + std::string(reload) + "\n");
}

Result<int> integrate(const Words& words, const IntegrateOptions& options) {
  if (words.positional.size() != 2)
    return fail(ErrorKind::kUsage, "say which engine: docker, podman or containerd",
                "bulkhead system integrate --help says more");
  const auto engine = bulkhead::engine::other_engine(words.positional[1]);
  if (!engine)
    return fail(ErrorKind::kUsage, "no such engine: " + quoted(words.positional[1]),
                "docker, podman and containerd are known");
  if (options.write && options.remove)
    return fail(ErrorKind::kUsage, "--write and --remove exclude each other");
  if (options.remove && (options.make_default || !options.runtime.empty()))
    return fail(ErrorKind::kUsage, "--remove takes out whatever is registered",
                "leave --default and --runtime out");
  std::string file = options.file;
  if (file.empty()) {
    TRY_ASSIGN(file, bulkhead::engine::registration_file(*engine));
  }
  if (options.remove) {
    TRY_ASSIGN(const FileChange change, bulkhead::engine::unregister_in(file, *engine));
    print_change(change, file, *engine);
    return 0;
  }
  Registration registration;
  registration.engine = *engine;
  TRY_ASSIGN(registration.runtime, runtime_of(options));
  if (options.make_default)
    registration.default_runtime = bulkhead::engine::DefaultRuntime::kBulkhead;
  if (options.write) {
    TRY_ASSIGN(const FileChange change, bulkhead::engine::register_in(file, registration));
    print_change(change, file, *engine);
    return 0;
  }
  TRY_ASSIGN(const std::string text, bulkhead::engine::registration_text(registration));
  print(text);
  // Beside the text, which may go into a file as it is.
  const std::string advice = "bulkhead: this belongs into " + quoted(file) +
                             "; --write puts it there. To take effect: " +
                             std::string(bulkhead::engine::how_to_reload(*engine)) + "\n";
  (void)write_all(STDERR_FILENO, advice.data(), advice.size());
  return 0;
}

std::string overview() {
  return "Usage: bulkhead system COMMAND\n"
         "\n"
         "Commands:\n"
         "  check       look whether the store is whole, and repair it\n"
         "  df          print how much room the store takes\n"
         "  info        tell about this installation and its host\n"
         "  integrate   let another engine use bulkhead-runtime\n"
         "  prune       remove containers that do not run, and images that nobody uses\n"
         "  start       start what a restart policy brings back after a reboot\n"
         "  stop        stop all containers before one\n"
         "\n"
         "bulkhead system COMMAND --help says more about each.\n";
}

Result<int> system_command(const Invocation& invocation) {
  const std::string_view first = invocation.words.empty() ? "" : invocation.words.front();
  if (first == "start") return system_start({invocation.store, invocation.words.subspan(1)});
  if (first == "stop") return system_stop({invocation.store, invocation.words.subspan(1)});
  if (first == "adopt") return system_adopt({invocation.store, invocation.words.subspan(1)});
  if (first == "info") return system_info({invocation.store, invocation.words.subspan(1)});
  if (first == "df") return system_df({invocation.store, invocation.words.subspan(1)});
  if (first == "prune") return system_prune({invocation.store, invocation.words.subspan(1)});
  if (first == "check") return system_check({invocation.store, invocation.words.subspan(1)});
  IntegrateOptions options;
  const std::vector<Option> table = integrate_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(words.positional.empty() ? overview() : help());
    return 0;
  }
  if (words.positional.empty() || words.positional.front() != "integrate")
    return fail(ErrorKind::kUsage,
                "say what to do: bulkhead system check, df, info, integrate, prune, start or stop",
                "bulkhead system --help says more");
  return integrate(words, options);
}

}  // namespace

std::vector<Option> df_options(DfOptions& options) {
  return {
      {"format", 0, &options.format, "FORMAT", "table (default), json, or a template"},
      {"verbose", 'v', &options.verbose, "", "each image, container and volume"},
  };
}

std::vector<Option> check_options(CheckOptions& options) {
  return {
      {"contents", 0, &options.contents, "",
       "also unpack each layer again, and compare every byte"},
      {"repair", 0, &options.repair, "",
       "unpack damaged layers again, and remove what nothing can be made of"},
  };
}

std::vector<Option> integrate_options(IntegrateOptions& options) {
  return {
      {"write", 'w', &options.write, "", "write it into the engine's file"},
      {"remove", 0, &options.remove, "", "take it out of the engine's file"},
      {"default", 0, &options.make_default, "", "also make it the engine's default runtime"},
      {"file", 'f', &options.file, "FILE", "another file than the engine's usual one",
       ValueKind::kFile},
      {"runtime", 0, &options.runtime, "FILE",
       "another bulkhead-runtime than the one beside this program", ValueKind::kFile},
  };
}

const Command kSystemCommand{
    "system", "COMMAND",
    "check the store; start and stop with the machine; work with other engines", system_command};

}  // namespace bulkhead::cli::engine
