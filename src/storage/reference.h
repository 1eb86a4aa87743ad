// The name of an image in a registry, by Docker's rules: "busybox", "ghcr.io/o/r:1.2",
// "localhost:5000/x@sha256:…". Pure: nothing here asks a registry, the store or the settings.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::storage {

inline constexpr std::string_view kDefaultRegistry = "docker.io";
inline constexpr std::string_view kDefaultNamespace = "library/";
inline constexpr std::string_view kDefaultTag = "latest";

// The longest "registry/repository" that registries take.
inline constexpr std::size_t kLongestRepositoryName = 255;
inline constexpr std::size_t kLongestTag = 128;

struct Reference {
  std::string registry;    // "docker.io", "localhost:5000", "[::1]:5000"
  std::string repository;  // "library/busybox"
  std::string tag;         // empty: by digest alone
  std::string digest;      // "sha256:…", or empty

  // "docker.io/library/busybox:latest": the same for all spellings of one name. With tag and digest
  // "name:tag@digest".
  std::string canonical() const;
  // The shortest spelling that means the same: "busybox:latest".
  std::string familiar() const;
  // "docker.io/library/busybox": neither tag nor digest.
  std::string name() const;
  std::string familiar_name() const;
  // What a manifest is asked for by: the digest, which is the stronger statement, or else the tag.
  const std::string& version() const { return digest.empty() ? tag : digest; }

  bool operator==(const Reference&) const = default;
};

// Whether the text names its registry itself: its first component has a dot or a port, or is
// "localhost".
bool names_registry(std::string_view text);

// Without a registry docker.io is meant, there without a namespace "library/"; without tag and digest
// the tag "latest". kInvalid says which part is wrong and what it may consist of.
Result<Reference> parse_reference(std::string_view text);

// As parse_reference, for a name that names_registry() finds no registry in.
Result<Reference> parse_reference_at(std::string_view registry, std::string_view text);

// The parts, by the distribution specification's grammar.
bool is_registry_name(std::string_view text);  // host or host:port
// A registry that a name can begin with: "quay", without a dot or a port, would read as a namespace of
// docker.io, and be another image.
bool is_distinct_registry(std::string_view text);
bool is_repository_name(std::string_view text);  // "library/busybox"
bool is_tag(std::string_view text);

}  // namespace bulkhead::storage
