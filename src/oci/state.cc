#include "oci/state.h"

#include <array>

#include "base/text.h"
#include "json/parse.h"
#include "oci/object_reader.h"
#include "oci/object_writer.h"

namespace bulkhead::oci {
namespace {

// "paused" is no status of the specification, but every runtime prints it and callers expect it.
constexpr std::array<std::string_view, 5> kStatusNames = {"creating", "created", "running",
                                                          "stopped", "paused"};

void read_value(Decoding& decoding, const json::Value& value, const json::Place& place,
                Status& out) {
  std::string name;
  read_text(decoding, value, place, Nul::kRefused, name);
  if (decoding.failed()) return;
  for (std::size_t i = 0; i < kStatusNames.size(); ++i) {
    if (kStatusNames[i] == name) {
      out = static_cast<Status>(i);
      return;
    }
  }
  decoding.fail(place, "is " + quoted(name, 64) + ", which is no status of a container",
                "use one of creating, created, running, stopped, paused");
}

}  // namespace

std::string_view name_of(Status status) { return kStatusNames[static_cast<std::size_t>(status)]; }

void write(json::Writer& writer, const State& state) {
  writer.begin_object();
  writer.member("ociVersion", state.oci_version);
  writer.member("id", state.id);
  writer.member("status", name_of(state.status));
  writer.member("pid", state.pid);
  writer.member("bundle", state.bundle);
  if (!state.rootfs.empty()) writer.member("rootfs", state.rootfs);
  if (!state.created.empty()) writer.member("created", state.created);
  if (!state.annotations.empty()) {
    writer.key("annotations");
    write_value(writer, state.annotations);
  }
  if (!state.owner.empty()) writer.member("owner", state.owner);
  writer.end_object();
}

std::string encode(const State& state, json::Style style) {
  std::string out;
  json::Writer writer(out, style);
  write(writer, state);
  return out;
}

Result<State> decode_state(std::string_view text) {
  TRY_ASSIGN(const json::Document document, json::parse(text));
  const json::Value& root = document.root();
  Decoding decoding;
  const json::Place place;
  State state;
  if (root.type() != json::Type::kObject) {
    decoding.fail_type(place, json::type_name(json::Type::kObject), root);
  } else {
    ObjectReader reader(decoding, root, place);
    reader.required("ociVersion", state.oci_version);
    reader.required("id", state.id);
    const json::Value* const status = root.find("status");
    if (!decoding.failed() && status == nullptr) {
      decoding.fail(json::Place(place, "status"), "is required, but absent", "add the field");
    }
    if (!decoding.failed()) {
      read_value(decoding, *status, json::Place(place, "status"), state.status);
    }
    reader.optional("pid", state.pid);
    reader.required("bundle", state.bundle);
    reader.text("annotations", state.annotations);
    reader.optional("rootfs", state.rootfs);
    reader.optional("created", state.created);
    reader.optional("owner", state.owner);
    if (state.pid < 0) {
      decoding.fail(json::Place(place, "pid"), "must not be negative", "correct the number");
    }
  }
  if (decoding.failed()) return std::unexpected(std::move(*decoding.error));
  return state;
}

std::string encode(const ContainerProcessState& state) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object();
  writer.member("ociVersion", state.state.oci_version);
  writer.key("fds");
  write_value(writer, state.fds);
  writer.member("pid", state.pid);
  if (!state.metadata.empty()) writer.member("metadata", state.metadata);
  writer.key("state");
  write(writer, state.state);
  writer.end_object();
  return out;
}

}  // namespace bulkhead::oci
