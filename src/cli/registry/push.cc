// push: one image, or all tags of a repository, to the registry of their names.
#include "storage/registry/push.h"

#include "base/text.h"
#include "cli/progress/progress.h"
#include "cli/registry/commands.h"
#include "storage/image_names.h"
#include "storage/registry/endpoint.h"

namespace bulkhead::cli {
namespace {

using storage::Reference;

Result<std::vector<Reference>> tags_here(const storage::Store& store, const Reference& repository) {
  TRY_ASSIGN(const storage::ImageNames names, storage::list_image_names(store.get()));
  std::vector<Reference> tags;
  for (const storage::ImageName& name : names.names)
    if (!name.reference.tag.empty() && name.reference.name() == repository.name())
      tags.push_back(name.reference);
  if (tags.empty())
    return fail(ErrorKind::kNotFound,
                "there is no image " + quoted(repository.familiar_name()) + " on this host",
                "bulkhead images lists them");
  return tags;
}

}  // namespace

Result<int> push_command(const RegistryWords& words) {
  if (words.names.size() != 1)
    return fail(ErrorKind::kUsage, "one image at a time", "bulkhead push [OPTIONS] NAME[:TAG]");
  const std::string& name = words.names.front();
  TRY_ASSIGN(const Reference reference, storage::parse_reference(name));
  if (!reference.digest.empty())
    return fail(ErrorKind::kUsage, quoted(name) + ": a digest cannot be pushed as a name",
                "bulkhead tag gives the image one");
  const bool tagged = name.find(':', name.rfind('/') == std::string::npos ? 0 : name.rfind('/')) !=
                      std::string::npos;
  if (words.has("all-tags") && tagged)
    return fail(ErrorKind::kUsage, "--all-tags and a tag exclude each other");
  TRY_ASSIGN(const storage::Settings settings, settings_for(words));
  TRY_ASSIGN(const storage::CredentialFile credentials, credentials_for(words));
  TRY_ASSIGN(const storage::Store store, storage::Store::open(words.value("store")));
  std::vector<Reference> references{reference};
  if (words.has("all-tags")) {
    TRY_ASSIGN(references, tags_here(store, reference));
  }
  ProgressView view(STDOUT_FILENO, display_for(STDOUT_FILENO, words.has("quiet")),
                    Direction::kPush);
  view.line("The push refers to repository [" + reference.name() + "]");
  if (!tagged && !words.has("all-tags")) view.line("Using default tag: latest");
  TRY_ASSIGN(
      std::vector<storage::Endpoint> endpoints,
      storage::endpoints_of(settings, credentials, reference.registry, storage::Purpose::kPush));
  storage::RegistryClient client(std::move(endpoints), reference.repository, "pull,push",
                                 print_retry);
  for (const Reference& one : references) {
    TRY_ASSIGN(const storage::Pushed pushed, storage::push_image(store, client, one, view));
    record_image_event(words.value("journal"), one, "push");
    view.line(one.tag + ": digest: " + pushed.digest + " size: " + std::to_string(pushed.size));
    if (words.has("quiet")) print_line(one.canonical());
  }
  return 0;
}

}  // namespace bulkhead::cli
