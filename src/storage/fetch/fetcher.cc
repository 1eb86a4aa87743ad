#include "storage/fetch/fetcher.h"

#include <chrono>

#include "storage/fetch/exchange.h"
#include "storage/registry/packet.h"
#include "sys/file.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kMostPem = 4 << 20;
constexpr std::chrono::milliseconds kTellEvery{100};

class PacketSink final : public ExchangeSink {
 public:
  PacketSink(int overseer, int body) : overseer_(overseer), body_(body) {}
  bool head(const FetchHead& head) override {
    return send_packet(overseer_, encode(head)).has_value();
  }
  // Seldom enough that its socket never fills up.
  void sent(std::uint64_t bytes) override {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_told_ < kTellEvery) return;
    last_told_ = now;
    (void)send_packet(overseer_, encode(FetchProgress{bytes}));
  }
  bool body(std::string_view bytes) override {
    return write_all(body_, bytes.data(), bytes.size()).has_value();
  }

 private:
  int overseer_;
  int body_;
  std::chrono::steady_clock::time_point last_told_;
};

// Without fstat(2), which a fetcher has no use for otherwise.
Result<void> read_whole(int file, std::string& into) {
  char buffer[16 * 1024];
  for (;;) {
    TRY_ASSIGN(const std::size_t count, read_up_to(file, buffer, sizeof buffer));
    into.append(buffer, count);
    if (into.size() > kMostPem) return fail(ErrorKind::kInvalid, "the certificates are too long");
    if (count < sizeof buffer) return {};
  }
}

Result<TlsMaterial> read_material(const FetcherSetup& setup, const std::vector<Fd>& descriptors) {
  TlsMaterial material;
  std::size_t next = 0;
  const auto read = [&](bool wanted, std::string& into) -> Result<void> {
    if (!wanted) return {};
    return read_whole(descriptors[next++].get(), into);
  };
  std::string own;
  std::string system;
  TRY(read(setup.has_system_authorities, system));
  TRY(read(setup.has_own_authorities, own));
  TRY(read(setup.has_client_certificate, material.client_certificate));
  TRY(read(setup.has_client_key, material.client_key));
  for (std::string* pem : {&own, &system})
    if (!pem->empty()) material.authorities.push_back(std::move(*pem));
  return material;
}

}  // namespace

Result<void> serve_fetcher(int overseer, int dialer) {
  TRY_ASSIGN(Packet first, receive_packet_up_to(overseer, kMostDescriptors));
  TRY_ASSIGN(const FetcherSetup setup, decode_setup(first.message));
  if (first.descriptors.size() != setup.descriptors())
    return fail(ErrorKind::kInvalid, "the overseer left out certificates");
  TRY_ASSIGN(TlsMaterial material, read_material(setup, first.descriptors));
  first.descriptors.clear();
  TRY_ASSIGN(Url origin, parse_url(setup.origin));
  Transport transport(setup, std::move(material), dialer);
  Exchange exchange(setup, std::move(origin), transport);
  for (;;) {
    const auto packet = receive_packet(overseer, 1);
    if (!packet) return {};  // the overseer is gone
    TRY_ASSIGN(const FetchRequest request, decode_request(packet->message));
    const int body = packet->descriptors.front().get();
    PacketSink sink(overseer, body);
    TRY(send_packet(overseer, encode(exchange.run(request, body, sink))));
  }
}

}  // namespace bulkhead::storage
