#include "storage/reference.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/text.h"
#include "oci/image.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kLongestText = 1024;
constexpr std::size_t kLongestHost = 253;  // RFC 1035, without the final dot

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_alphanumeric(char c) { return is_digit(c) || is_lower(c) || is_upper(c); }

bool is_port(std::string_view text) {
  if (!std::ranges::all_of(text, is_digit)) return false;
  const auto number = parse_number<unsigned>(text);
  return text.size() <= 5 && number && *number >= 1 && *number <= 65535;
}

bool is_host_label(std::string_view label) {
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         std::ranges::all_of(label, [](char c) { return is_alphanumeric(c) || c == '-'; });
}

bool is_bracketed_address(std::string_view host) {
  if (host.size() < 4 || host.front() != '[' || host.back() != ']') return false;
  if (host.find('\0') != std::string_view::npos) return false;  // where inet_pton() would stop
  struct in6_addr address{};
  return ::inet_pton(AF_INET6, std::string(host.substr(1, host.size() - 2)).c_str(), &address) == 1;
}

// Of the algorithms that the image specification registers.
bool is_known_digest(std::string_view text) {
  return oci::is_digest(text) && (text.starts_with("sha256:") || text.starts_with("sha512:"));
}

// Runs of lower-case letters and digits, between two of which stands ".", "_", "__" or any number
// of "-".
bool is_path_component(std::string_view text) {
  const auto is_word = [](char c) { return is_lower(c) || is_digit(c); };
  if (text.empty() || !is_word(text.front()) || !is_word(text.back())) return false;
  for (std::size_t at = 0; at < text.size();) {
    if (is_word(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (!is_word(text[end])) ++end;  // the last character is one
    const std::string_view separator = text.substr(at, end - at);
    if (separator != "." && separator != "_" && separator != "__" &&
        separator.find_first_not_of('-') != std::string_view::npos)
      return false;
    at = end;
  }
  return true;
}

std::unexpected<Error> refuse(std::string_view whole, const std::string& what, std::string hint) {
  return fail(ErrorKind::kInvalid, "image name " + quoted(whole) + ": " + what, std::move(hint));
}

bool looks_like_id(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// "busybox" for "library/busybox".
std::string_view without_default_namespace(const Reference& reference) {
  const std::string_view repository = reference.repository;
  if (!repository.starts_with(kDefaultNamespace)) return repository;
  const std::string_view rest = repository.substr(kDefaultNamespace.size());
  return rest.find('/') == std::string_view::npos && !looks_like_id(rest) ? rest : repository;
}

std::string with_version(std::string name, const Reference& reference) {
  if (!reference.tag.empty()) name.append(":").append(reference.tag);
  if (!reference.digest.empty()) name.append("@").append(reference.digest);
  return name;
}

Result<Reference> parse_rest(std::string_view whole, std::string_view rest, Reference reference) {
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    reference.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!is_known_digest(reference.digest))
      return refuse(whole, quoted(reference.digest) + " is not a digest",
                    "a digest is sha256: and 64 lower-case hexadecimal digits");
  }
  if (const std::size_t at = rest.rfind(':');
      at != std::string_view::npos && rest.find('/', at) == std::string_view::npos) {
    reference.tag = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!is_tag(reference.tag))
      return refuse(whole, quoted(reference.tag) + " is not a tag",
                    "a tag has at most 128 letters, digits and _ . - and does not begin with . or "
                    "-");
  } else if (reference.digest.empty()) {
    reference.tag = kDefaultTag;
  }
  // Docker refuses it, too: the name could as well be an image's id.
  if (reference.registry == kDefaultRegistry && looks_like_id(rest))
    return refuse(whole, "64 hexadecimal digits are an image's id, not a name",
                  "name the repository: NAME@sha256:DIGEST");
  if (reference.registry == kDefaultRegistry && rest.find('/') == std::string_view::npos)
    reference.repository = kDefaultNamespace;
  reference.repository += rest;
  if (rest.empty() || !is_repository_name(reference.repository)) {
    const bool upper = std::ranges::any_of(rest, is_upper);
    return refuse(whole,
                  quoted(rest) + " is not the name of a repository" +
                      (upper ? ": it has upper-case letters" : ""),
                  "a repository is made of lower-case letters and digits, with single . or _, or - "
                  "between them, and / between its parts");
  }
  if (reference.name().size() > kLongestRepositoryName)
    return refuse(whole, "longer than " + std::to_string(kLongestRepositoryName) + " characters",
                  "registries take no longer names");
  return reference;
}

// The registry by all of its names.
std::string canonical_registry(std::string_view registry) {
  std::string text(registry);
  // Host names are the same in either case; only the canonical one must become a file's or a key's.
  for (char& c : text)
    if (is_upper(c)) c = static_cast<char>(c - 'A' + 'a');
  if (text == "index.docker.io") text = kDefaultRegistry;
  return text;
}

}  // namespace

bool is_registry_name(std::string_view text) {
  std::string_view host = text;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    host = text.substr(0, end + 1);
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return false;
    return is_bracketed_address(host);
  }
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    if (!is_port(text.substr(colon + 1))) return false;
    host = text.substr(0, colon);
  }
  return host.size() <= kLongestHost && std::ranges::all_of(split(host, '.'), is_host_label);
}

bool is_repository_name(std::string_view text) {
  return text.size() <= kLongestRepositoryName &&
         std::ranges::all_of(split(text, '/'), is_path_component);
}

bool is_tag(std::string_view text) {
  return !text.empty() && text.size() <= kLongestTag && text.front() != '.' &&
         text.front() != '-' && std::ranges::all_of(text, [](char c) {
           return is_alphanumeric(c) || c == '_' || c == '.' || c == '-';
         });
}

bool names_registry(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return false;
  const std::string_view first = text.substr(0, slash);
  return first == "localhost" || first.find_first_of(".:") != std::string_view::npos;
}

bool is_distinct_registry(std::string_view text) {
  return is_registry_name(text) && names_registry(std::string(text) + "/");
}

Result<Reference> parse_reference(std::string_view text) {
  if (!names_registry(text)) return parse_reference_at(kDefaultRegistry, text);
  if (text.size() > kLongestText) return refuse(text, "too long", "shorten it");
  const std::size_t slash = text.find('/');
  const std::string_view registry = text.substr(0, slash);
  if (!is_registry_name(registry))
    return refuse(text, quoted(registry) + " is not the name of a registry",
                  "a registry is HOST or HOST:PORT");
  Reference reference;
  reference.registry = canonical_registry(registry);
  return parse_rest(text, text.substr(slash + 1), std::move(reference));
}

Result<Reference> parse_reference_at(std::string_view registry, std::string_view text) {
  if (text.empty()) return fail(ErrorKind::kInvalid, "the image's name is empty");
  if (text.size() > kLongestText) return refuse(text, "too long", "shorten it");
  if (!is_distinct_registry(registry))
    return refuse(text, quoted(registry) + " is not the name of a registry",
                  "a registry is HOST or HOST:PORT, and has a dot, a port, or is localhost");
  Reference reference;
  reference.registry = canonical_registry(registry);
  return parse_rest(text, text, std::move(reference));
}

std::string Reference::name() const { return registry + "/" + repository; }

std::string Reference::familiar_name() const {
  if (registry != kDefaultRegistry) return name();
  const std::string_view familiar = without_default_namespace(*this);
  // docker.io/localhost/x without its registry would be another image.
  return names_registry(familiar) ? name() : std::string(familiar);
}

std::string Reference::canonical() const { return with_version(name(), *this); }

std::string Reference::familiar() const { return with_version(familiar_name(), *this); }

}  // namespace bulkhead::storage
