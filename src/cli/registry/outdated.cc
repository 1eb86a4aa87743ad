// image outdated: each tag on this host beside what its registry has under it.
#include "storage/registry/outdated.h"

#include <algorithm>
#include <map>
#include <memory>

#include "base/text.h"
#include "cli/registry/commands.h"
#include "json/writer.h"
#include "storage/image_names.h"
#include "storage/registry/endpoint.h"
#include "storage/store.h"

namespace bulkhead::cli {
namespace {

using storage::ComparedTag;
using storage::Currency;
using storage::ImageName;
using storage::Reference;

class Comparison {
 public:
  Comparison(const storage::Settings& settings, const storage::CredentialFile& credentials,
             const std::vector<ImageName>& names)
      : settings_(settings), credentials_(credentials), names_(names) {}

  Result<ComparedTag> compare(const ImageName& tag) {
    ComparedTag compared;
    compared.reference = tag.reference;
    compared.here = "sha256:" + tag.manifest;
    const std::vector<std::string> known = storage::known_digests(names_, tag);
    if (known.empty()) {
      compared.currency = Currency::kLocal;
      return compared;
    }
    compared.here = known.front();
    TRY_ASSIGN(storage::RegistryClient* const client, client_for(tag.reference));
    const auto digest = client->manifest_digest(tag.reference.tag);
    if (!digest) {
      compared.currency =
          digest.error().kind() == ErrorKind::kNotFound ? Currency::kGone : Currency::kUnknown;
      compared.trouble = digest.error().message();
      return compared;
    }
    compared.there = *digest;
    const bool same =
        std::ranges::find(known, *digest) != known.end() || *digest == "sha256:" + tag.manifest;
    if (same) compared.here = *digest;
    compared.currency = same ? Currency::kCurrent : Currency::kOutdated;
    return compared;
  }

 private:
  // One connection for all tags of a repository.
  Result<storage::RegistryClient*> client_for(const Reference& reference) {
    if (client_ && name_ == reference.name()) return client_.get();
    TRY_ASSIGN(std::vector<storage::Endpoint> endpoints,
               storage::endpoints_of(settings_, credentials_, reference.registry,
                                     storage::Purpose::kPull));
    client_ = std::make_unique<storage::RegistryClient>(std::move(endpoints), reference.repository,
                                                        "pull", print_retry);
    name_ = reference.name();
    return client_.get();
  }

  const storage::Settings& settings_;
  const storage::CredentialFile& credentials_;
  const std::vector<ImageName>& names_;
  std::unique_ptr<storage::RegistryClient> client_;
  std::string name_;
};

// Those that are named, or all tags.
Result<std::vector<ImageName>> choose(const std::vector<ImageName>& all,
                                      const std::vector<std::string>& wanted) {
  std::vector<ImageName> chosen;
  if (wanted.empty()) {
    for (const ImageName& name : all)
      if (!name.reference.tag.empty()) chosen.push_back(name);
    return chosen;
  }
  for (const std::string& text : wanted) {
    TRY_ASSIGN(const Reference reference, storage::parse_reference(text));
    if (!reference.digest.empty())
      return fail(ErrorKind::kUsage, quoted(text) + ": what a digest names never changes",
                  "name it by its tag");
    const auto found = std::ranges::find(all, reference, &ImageName::reference);
    if (found == all.end())
      return fail(ErrorKind::kNotFound, "there is no image " + quoted(text) + " on this host",
                  "bulkhead images lists them");
    chosen.push_back(*found);
  }
  return chosen;
}

std::string short_digest(const std::string& digest) {
  return digest.empty() ? "-" : digest.substr(digest.find(':') + 1, 12);
}

std::string as_table(const std::vector<ComparedTag>& compared) {
  std::size_t width = 5;
  for (const ComparedTag& tag : compared) width = std::max(width, tag.reference.familiar().size());
  std::string out;
  const auto row = [&](std::string name, std::string_view state, std::string here,
                       std::string_view there) {
    name.resize(width + 2, ' ');
    std::string column(state);
    column.resize(10, ' ');
    here.resize(14, ' ');
    out.append(name).append(column).append(here).append(there).append("\n");
  };
  row("IMAGE", "STATE", "HERE", "REGISTRY");
  for (const ComparedTag& tag : compared)
    row(tag.reference.familiar(), name_of(tag.currency), short_digest(tag.here),
        short_digest(tag.there));
  return out;
}

std::string as_json(const std::vector<ComparedTag>& compared) {
  std::string out;
  json::Writer writer(out, json::Style::kIndented);
  writer.begin_array();
  for (const ComparedTag& tag : compared) {
    writer.begin_object();
    writer.member("name", tag.reference.canonical());
    writer.member("state", name_of(tag.currency));
    writer.member("here", tag.here);
    writer.member("registry", tag.there);
    if (!tag.trouble.empty()) writer.member("error", tag.trouble);
    writer.end_object();
  }
  writer.end_array();
  return out + "\n";
}

}  // namespace

Result<int> outdated_command(const RegistryWords& words) {
  const std::string format = words.has("format") ? words.value("format") : "table";
  if (format != "table" && format != "json")
    return fail(ErrorKind::kUsage, "--format " + quoted(format) + ": table or json is expected");
  TRY_ASSIGN(const storage::Settings settings, settings_for(words));
  TRY_ASSIGN(const storage::CredentialFile credentials, credentials_for(words));
  TRY_ASSIGN(const storage::Store store, storage::Store::open(words.value("store")));
  TRY_ASSIGN(const storage::ImageNames names, storage::list_image_names(store.get()));
  TRY_ASSIGN(const std::vector<ImageName> chosen, choose(names.names, words.names));
  Comparison comparison(settings, credentials, names.names);
  std::vector<ComparedTag> compared;
  int code = 0;
  for (const ImageName& name : chosen) {
    TRY_ASSIGN(ComparedTag tag, comparison.compare(name));
    if (tag.currency == Currency::kUnknown) {
      print_error_line("bulkhead: " + tag.reference.familiar() + ": " + tag.trouble);
      code = kFailure;
    } else if (tag.currency != Currency::kCurrent && tag.currency != Currency::kLocal &&
               code == 0) {
      code = kOutdated;
    }
    compared.push_back(std::move(tag));
  }
  std::string text = format == "json" ? as_json(compared) : as_table(compared);
  text.pop_back();
  print_line(text);
  return code;
}

}  // namespace bulkhead::cli
