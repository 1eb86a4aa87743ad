#include <algorithm>

#include "cli/bulkhead/command.h"
#include "cli/bulkhead/options.h"
#include "engine/containers.h"
#include "json/writer.h"

namespace bulkhead::cli::engine {
namespace {

using bulkhead::engine::ContainerStatus;
using bulkhead::engine::ListedContainer;

std::string status_text(const ListedContainer& container) {
  std::string text(name_of(container.status));
  if (container.status == ContainerStatus::kExited)
    text += " (" + std::to_string(container.exit_code) + ")";
  return text;
}

std::string as_table(const std::vector<ListedContainer>& containers) {
  std::string out =
      "ID            STATUS        STARTED               IMAGE                 NAME\n";
  const auto column = [&](std::string_view text, std::size_t width) {
    out.append(text);
    out.append(text.size() < width ? width - text.size() : 1, ' ');
  };
  for (const ListedContainer& container : containers) {
    column(container.id.substr(0, 12), 14);
    column(status_text(container), 14);
    column(container.started.empty() ? "-" : container.started.substr(0, 19) + "Z", 22);
    column(container.image.empty() ? "-" : container.image, 22);
    out.append(container.name).append("\n");
  }
  return out;
}

std::string as_json(const std::vector<ListedContainer>& containers) {
  std::string out;
  json::Writer writer(out, json::Style::kIndented);
  writer.begin_array();
  for (const ListedContainer& container : containers) {
    writer.begin_object();
    writer.member("id", container.id);
    writer.member("name", container.name);
    writer.member("image", container.image);
    writer.member("status", name_of(container.status));
    writer.member("started", container.started);
    if (container.status == ContainerStatus::kExited)
      writer.member("exitCode", container.exit_code);
    writer.member("storage", storage::describe(container.storage.layers));
    if (container.storage.limit) {
      writer.member("sizeLimit", container.storage.limit->bytes);
      writer.member("sizeLimitBy", name_of(container.storage.limit->method));
    }
    writer.end_object();
  }
  writer.end_array();
  out += '\n';
  return out;
}

Result<int> ps(const Invocation& invocation) {
  bool all = false;
  std::string format = "table";
  const Option options[] = {
      {"all", 'a', &all, "", "also containers that have ended"},
      {"format", 0, &format, "FORMAT", "table (default) or json"},
  };
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print("Usage: bulkhead ps [OPTIONS]\n\nLists containers.\n\nOptions:\n" + describe(options) +
          "\nA dead container is one whose bulkhead run was killed: bulkhead rm --dead clears it "
          "away.\n");
    return 0;
  }
  if (!words.positional.empty()) return fail(ErrorKind::kUsage, "ps takes no arguments");
  if (format != "table" && format != "json")
    return fail(ErrorKind::kUsage, "--format " + format + ": table or json is expected");
  TRY_ASSIGN(auto containers, bulkhead::engine::list(invocation.store));
  if (!all)
    std::erase_if(containers, [](const ListedContainer& container) {
      return container.status != ContainerStatus::kRunning;
    });
  print(format == "json" ? as_json(containers) : as_table(containers));
  return 0;
}

Result<int> rm(const Invocation& invocation) {
  bool force = false;
  bool dead = false;
  const Option options[] = {
      {"force", 'f', &force, "", "kill the container first if it runs"},
      {"dead", 0, &dead, "", "all containers whose bulkhead run was killed"},
  };
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead rm [OPTIONS] CONTAINER...\n\nRemoves containers with everything that they "
        "wrote, by "
        "name, id or the beginning of an id.\n\nOptions:\n" +
        describe(options));
    return 0;
  }
  if (words.positional.empty() && !dead) return fail(ErrorKind::kUsage, "no container is named");
  if (dead) {
    TRY_ASSIGN(const auto removed, bulkhead::engine::remove_dead(invocation.store));
    for (const std::string& id : removed) print(id + "\n");
  }
  for (const std::string& name : words.positional) {
    TRY(bulkhead::engine::remove(
        invocation.store, name,
        force ? bulkhead::engine::Force::kKill : bulkhead::engine::Force::kNo));
    print(name + "\n");
  }
  return 0;
}

}  // namespace

const Command kPsCommand{"ps", "[--all]", "list containers", ps};
const Command kRmCommand{"rm", "[--force] CONTAINER...", "remove containers", rm};

}  // namespace bulkhead::cli::engine
