// pull: which image a name means, and bringing it into the store.
#include "storage/registry/pull.h"

#include <unistd.h>

#include "base/text.h"
#include "cli/progress/progress.h"
#include "cli/registry/commands.h"
#include "cli/unpack/confinement.h"
#include "storage/images.h"
#include "storage/registry/endpoint.h"
#include "storage/unpack/owners.h"

namespace bulkhead::cli {
namespace {

using storage::Reference;

std::string list_of(const std::vector<Reference>& references) {
  std::string text;
  for (const Reference& reference : references)
    text.append(text.empty() ? "" : ", ").append(reference.canonical());
  return text;
}

struct Context {
  storage::Settings settings;
  storage::CredentialFile credentials;
  storage::Store store;
  std::string journal;

  static Result<Context> open(const RegistryWords& words) {
    TRY_ASSIGN(storage::Settings settings, settings_for(words));
    TRY_ASSIGN(storage::CredentialFile credentials, credentials_for(words));
    TRY_ASSIGN(storage::Store store, storage::Store::open(words.value("store")));
    return Context{std::move(settings), std::move(credentials), std::move(store),
                   words.value("journal")};
  }
  Result<storage::RegistryClient> client(const Reference& reference) const {
    TRY_ASSIGN(
        std::vector<storage::Endpoint> endpoints,
        storage::endpoints_of(settings, credentials, reference.registry, storage::Purpose::kPull));
    return storage::RegistryClient(std::move(endpoints), reference.repository, "pull", print_retry);
  }
};

// Of several registries that a short name may be in, the one that has it. To have it in two is no
// choice that a program may make.
Result<Reference> find_in_registries(const Context& context, const std::string& name,
                                     const std::vector<Reference>& candidates) {
  if (candidates.size() == 1) return candidates.front();
  std::vector<Reference> found;
  std::optional<Error> trouble;
  for (const Reference& candidate : candidates) {
    TRY_ASSIGN(storage::RegistryClient client, context.client(candidate));
    const auto digest = client.manifest_digest(candidate.version());
    if (digest)
      found.push_back(candidate);
    else if (digest.error().kind() != ErrorKind::kNotFound &&
             digest.error().kind() != ErrorKind::kPermission)
      trouble = digest.error();
  }
  // Whoever makes one registry unreachable must not decide which of the others is meant.
  if (trouble)
    return std::unexpected(std::move(*trouble)
                               .within("looking for " + quoted(name))
                               .with_hint("name the registry: one of " + list_of(candidates)));
  if (found.size() == 1) return found.front();
  if (found.empty())
    return fail(ErrorKind::kNotFound,
                "image " + quoted(name) + " is in none of " + list_of(candidates),
                "name another registry, or log in to one of these");
  return fail(ErrorKind::kInvalid, quoted(name) + " is ambiguous: there is " + list_of(found),
              "say which one is meant");
}

Result<void> pull_one(const Context& context, storage::RegistryClient& client,
                      const Reference& reference, const storage::WantedPlatform& platform,
                      ProgressView& view) {
  view.line(
      (reference.digest.empty() ? reference.tag : reference.digest) + ": Pulling from " +
      (reference.registry == storage::kDefaultRegistry ? reference.repository : reference.name()));
  auto host = isolation::gather_host_facts();
  if (!host) return std::unexpected(std::move(host).error());
  LayeredConfinement confinement(*std::move(host));
  storage::Puller puller(context.store, confinement, view, platform);
  TRY_ASSIGN(const storage::Pulled pulled, puller.pull(client, reference));
  record_image_event(context.journal, reference, "pull");
  view.line("Digest: " + pulled.digest);
  view.line(std::string("Status: ") +
            (pulled.newer ? "Downloaded newer image for " : "Image is up to date for ") +
            reference.familiar());
  return {};
}

Result<void> pull_all_tags(const Context& context, storage::RegistryClient& client,
                           const Reference& reference, const storage::WantedPlatform& platform,
                           ProgressView& view) {
  TRY_ASSIGN(const std::vector<std::string> tags, client.tags());
  if (tags.empty())
    return fail(ErrorKind::kNotFound, "repository " + quoted(reference.name()) + " has no tags");
  for (const std::string& tag : tags) {
    Reference one = reference;
    one.tag = tag;
    if (auto pulled = pull_one(context, client, one, platform, view); !pulled)
      return std::unexpected(std::move(pulled).error().within(quoted(one.familiar())));
  }
  return {};
}

}  // namespace

Result<int> pull_command(const RegistryWords& words) {
  TRY(storage::require_owners("bulkhead pull"));
  if (words.names.size() != 1)
    return fail(ErrorKind::kUsage, "one image at a time", "bulkhead pull [OPTIONS] IMAGE");
  const std::string& name = words.names.front();
  TRY_ASSIGN(const Context context, Context::open(words));
  // For `bulkhead run`: the answer goes to the standard output, and all else beside it.
  const bool for_run = words.has("missing") || words.has("for-run");
  if (words.has("missing")) {
    // What is here wins, whatever the settings make of the name.
    TRY_ASSIGN(const std::vector<Reference> local, storage::candidates(context.settings, name));
    for (const Reference& candidate : local) {
      TRY_ASSIGN(const auto record, context.store.find_name(candidate));
      if (!record || !context.store.has_layers(*record)) continue;
      print_line(candidate.canonical());
      return 0;
    }
    print_error_line("Unable to find image '" + local.front().familiar() + "' locally");
  }
  storage::WantedPlatform platform = storage::this_platform();
  if (words.has("platform")) {
    TRY_ASSIGN(platform, storage::parse_platform(words.value("platform")));
  }
  const bool all = words.has("all-tags");
  TRY_ASSIGN(const std::vector<Reference> candidates, storage::candidates(context.settings, name));
  const bool has_version =
      name.find_first_of(":@", name.rfind('/') == std::string::npos ? 0 : name.rfind('/')) !=
      std::string::npos;
  if (all && has_version)
    return fail(ErrorKind::kUsage, "--all-tags and a tag or digest exclude each other");

  const int out = for_run ? STDERR_FILENO : STDOUT_FILENO;
  ProgressView view(out, display_for(out, words.has("quiet")), Direction::kPull);
  if (!has_version && !all) view.line("Using default tag: latest");
  TRY_ASSIGN(const Reference reference, find_in_registries(context, name, candidates));
  TRY_ASSIGN(storage::RegistryClient client, context.client(reference));
  if (all)
    TRY(pull_all_tags(context, client, reference, platform, view));
  else
    TRY(pull_one(context, client, reference, platform, view));
  print_line(all ? reference.name() : reference.canonical());
  return 0;
}

}  // namespace bulkhead::cli
