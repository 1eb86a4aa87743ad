// Commands that speak to registries: understood here, carried out by bulkhead-registry, which this
// process becomes.
#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/docker_words.h"
#include "cli/bulkhead/registry_options.h"
#include "engine/events.h"
#include "storage/registry_program.h"

namespace bulkhead::cli::engine {
namespace {

// The options that were given, as bulkhead-registry reads them.
void add_options(const RegistryOptions& options, std::vector<std::string>& words) {
  const auto flag = [&](const char* name, bool given) {
    if (given) words.push_back("--" + std::string(name));
  };
  const auto value = [&](const char* name, const std::string& text) {
    if (!text.empty()) words.push_back("--" + std::string(name) + "=" + text);
  };
  flag("quiet", options.quiet);
  flag("all-tags", options.all_tags);
  flag("password-stdin", options.password_stdin);
  value("platform", options.platform);
  value("settings", options.settings);
  value("username", options.username);
  value("password", options.password);
  value("format", options.format);
}

enum class Needs { kStoreAndJournal, kStore, kNothing };

Result<int> become(const char* verb, const Invocation& invocation, const RegistryOptions& options,
                   const Words& words, Needs needs) {
  std::vector<std::string> all{verb};
  if (needs != Needs::kNothing) all.push_back("--store=" + invocation.store.root);
  if (needs == Needs::kStoreAndJournal)
    all.push_back("--journal=" + bulkhead::engine::events_directory(invocation.store));
  add_options(options, all);
  for (const std::string& name : words.positional) {
    // It would be taken for an option; no image and no registry is called so.
    if (name.starts_with('-')) return fail(ErrorKind::kUsage, quoted(name) + " is not a name");
    all.push_back(name);
  }
  TRY(storage::become_registry_program(std::move(all)));
  return 1;
}

Result<int> pull(const Invocation& invocation) {
  RegistryOptions options;
  const std::vector<Option> table = pull_options(options);
  TRY_ASSIGN(const Words words,
             parse({table, docker_options("pull")}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead pull [OPTIONS] NAME[:TAG|@DIGEST]\n\nPulls an image from its registry.\n"
        "\nOptions:\n" +
        describe(table) +
        "\nA name without a registry is Docker Hub's, unless the settings say otherwise\n"
        "(man 5 bulkhead-registries). What an interrupted pull has fetched is used by the next.\n"
        "\nExamples:\n"
        "  bulkhead pull alpine\n"
        "  bulkhead pull --platform linux/arm64 ghcr.io/owner/app:1.2\n"
        "  bulkhead pull localhost:5000/app\n");
    return 0;
  }
  if (words.positional.size() != 1)
    return fail(ErrorKind::kUsage, "name one image: bulkhead pull [OPTIONS] NAME[:TAG|@DIGEST]");
  return become("pull", invocation, options, words, Needs::kStoreAndJournal);
}

Result<int> push(const Invocation& invocation) {
  RegistryOptions options;
  const std::vector<Option> table = push_options(options);
  TRY_ASSIGN(const Words words,
             parse({table, docker_options("push")}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead push [OPTIONS] NAME[:TAG]\n\nPushes an image to the registry that its "
        "name says.\n\nOptions:\n" +
        describe(table) +
        "\nLayers that the registry has already, in this repository or in another one that it\n"
        "was pulled from or pushed to, are not sent again.\n"
        "\nExamples:\n"
        "  bulkhead tag app registry.example/team/app:1.2\n"
        "  bulkhead push registry.example/team/app:1.2\n");
    return 0;
  }
  if (words.positional.size() != 1)
    return fail(ErrorKind::kUsage, "name one image: bulkhead push [OPTIONS] NAME[:TAG]");
  return become("push", invocation, options, words, Needs::kStoreAndJournal);
}

Result<int> login(const Invocation& invocation) {
  RegistryOptions options;
  const std::vector<Option> table = login_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead login [OPTIONS] [REGISTRY]\n\nProves a user and a password to a registry "
        "and remembers them.\n\nOptions:\n" +
        describe(table) +
        "\nThey are kept where Docker keeps them: in ~/.docker/config.json, or by the credential\n"
        "helper that it names. Without REGISTRY, Docker Hub is meant.\n"
        "\nExample:\n"
        "  bulkhead login --username me --password-stdin registry.example < password\n");
    return 0;
  }
  return become("login", invocation, options, words, Needs::kNothing);
}

Result<int> logout(const Invocation& invocation) {
  RegistryOptions options;
  const std::vector<Option> table = logout_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead logout [OPTIONS] [REGISTRY]\n\nForgets the user and the password of a "
        "registry; without REGISTRY, of Docker Hub.\n\nOptions:\n" +
        describe(table));
    return 0;
  }
  return become("logout", invocation, options, words, Needs::kNothing);
}

Result<int> outdated(const Invocation& invocation) {
  RegistryOptions options;
  const std::vector<Option> table = outdated_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead image outdated [OPTIONS] [NAME...]\n\nCompares tags on this host with "
        "their registries: all of them, or those that are named.\n\nOptions:\n" +
        describe(table) +
        "\nExit codes: 0 everything is current; 10 something is outdated; 1 a registry could not\n"
        "be asked.\n");
    return 0;
  }
  return become("outdated", invocation, options, words, Needs::kStore);
}

}  // namespace

const Command kPullCommand{"pull", "[OPTIONS] NAME[:TAG|@DIGEST]",
                           "pull an image from its registry", pull, 1};
const Command kPushCommand{"push", "[OPTIONS] NAME[:TAG]", "push an image to its registry", push,
                           1};
const Command kLoginCommand{"login", "[OPTIONS] [REGISTRY]", "log in to a registry", login, 1};
const Command kLogoutCommand{"logout", "[REGISTRY]", "log out of a registry", logout, 1};
const Command kOutdatedCommand{"outdated", "[OPTIONS] [NAME...]",
                               "compare images with their registries", outdated, 1};

}  // namespace bulkhead::cli::engine
