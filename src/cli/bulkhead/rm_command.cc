// rm, and container prune.
#include <unistd.h>

#include "cli/bulkhead/command.h"
#include "cli/bulkhead/docker_words.h"
#include "cli/bulkhead/each_container.h"
#include "cli/bulkhead/options.h"
#include "engine/containers.h"
#include "engine/image_time.h"
#include "engine/life.h"

namespace bulkhead::cli::engine {
namespace {

Result<int> rm(const Invocation& invocation) {
  bool force = false;
  bool dead = false;
  bool volumes = false;
  const Option options[] = {
      {"force", 'f', &force, "", "kill the container first if it runs"},
      {"volumes", 'v', &volumes, "", "also its anonymous volumes"},
      {"dead", 0, &dead, "", "all containers whose bulkhead run in the foreground was killed"},
  };
  TRY_ASSIGN(const Words words,
             parse({options, docker_options("rm")}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead rm [OPTIONS] CONTAINER...\n\nRemoves containers with everything that they "
        "wrote, by "
        "name, id or the beginning of an id.\n\nOptions:\n" +
        describe(options));
    return 0;
  }
  if (!dead) TRY(want_containers(words.positional, "rm"));
  if (dead) {
    TRY_ASSIGN(const auto removed, bulkhead::engine::remove_dead(invocation.store));
    for (const std::string& id : removed) print(id + "\n");
  }
  int code = 0;
  for (const std::string& name : words.positional) {
    auto removed = bulkhead::engine::remove(
        invocation.store, name,
        force ? bulkhead::engine::Force::kKill : bulkhead::engine::Force::kNo,
        volumes ? bulkhead::engine::OwnVolumes::kRemove : bulkhead::engine::OwnVolumes::kKeep);
    // What is not there any more needs no force.
    if (removed || (force && removed.error().kind() == ErrorKind::kNotFound)) {
      if (removed) print(name + "\n");
      if (!removed) print_error(removed.error());
      continue;
    }
    print_error(removed.error());
    code = kSomeFailed;
  }
  return code;
}

Result<int> prune(const Invocation& invocation) {
  bool force = false;
  const Option options[] = {{"force", 'f', &force, "", "do not ask first"}};
  TRY_ASSIGN(const Words words, parse({options, docker_options("container prune")},
                                      invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead container prune [OPTIONS]\n\nRemoves all containers that do not run.\n"
        "\nOptions:\n" +
        describe(options));
    return 0;
  }
  if (!words.positional.empty())
    return fail(ErrorKind::kUsage, "container prune takes no arguments");
  if (!force) {
    print(
        "WARNING! This will remove all stopped containers.\n"
        "Are you sure you want to continue? [y/N] ");
    char answer = 'n';
    if (::read(STDIN_FILENO, &answer, 1) != 1 || (answer != 'y' && answer != 'Y')) return 0;
  }
  TRY_ASSIGN(const auto pruned, bulkhead::engine::prune(invocation.store));
  if (!pruned.ids.empty()) print("Deleted Containers:\n");
  for (const std::string& id : pruned.ids) print(id + "\n");
  if (!pruned.ids.empty()) print("\n");
  print("Total reclaimed space: " + bulkhead::engine::describe_size(pruned.bytes) + "\n");
  return 0;
}

Result<int> container(const Invocation& invocation) {
  const std::string_view name = invocation.words.empty() ? "--help" : invocation.words.front();
  Invocation rest = invocation;
  if (!rest.words.empty()) rest.words = rest.words.subspan(1);
  if (name == "prune") return prune(rest);
  if (name == "ls" || name == "list") return kPsCommand.run(rest);
  // Docker's other way of saying the same.
  for (const Command* command : commands())
    if (command->name == name && command->on_containers) return command->run(rest);
  std::string text =
      "Usage: bulkhead container COMMAND\n\nThe commands on containers by their longer names; and "
      "prune.\n\nCommands:\n";
  const auto add = [&](std::string_view command, std::string_view summary) {
    std::string line = "  " + std::string(command);
    line.append(line.size() < 14 ? 14 - line.size() : 1, ' ').append(summary);
    text += line + "\n";
  };
  add("ls", kPsCommand.summary);
  add("prune", "remove all containers that do not run");
  for (const Command* command : commands())
    if (command->on_containers) add(command->name, command->summary);
  if (name == "--help" || name == "-h" || name == "help") {
    print(text);
    return 0;
  }
  return fail(ErrorKind::kUsage, "there is no command \"container " + std::string(name) + "\"",
              "bulkhead container --help lists them");
}

}  // namespace

const Command kRmCommand{"rm", "[OPTIONS] CONTAINER...", "remove containers", rm, kSomeFailed,
                         true};
const Command kContainerCommand{"container", "COMMAND", "the same by longer names, and prune",
                                container};

}  // namespace bulkhead::cli::engine
