// What a pull or push tells whoever watches it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead::storage {

enum class LayerState : std::uint8_t {
  kWaiting,  // its turn has not come
  kMoving,   // bytes are on their way
  kDone,     // pulled or pushed
  kThere,    // nothing to do: the other side has it
  kMounted,  // the registry took it from another repository
};

struct LayerProgress {
  std::string
      id;  // 12 digits of the blob's digest; empty: not shown, as an image's configuration is
  LayerState state = LayerState::kWaiting;
  std::uint64_t done = 0;
  std::uint64_t size = 0;
  std::uint32_t retries = 0;        // so far
  std::uint32_t retry_wait_ms = 0;  // until the attempt that is waited for; 0: none is
};

class TransferObserver {
 public:
  virtual ~TransferObserver() = default;
  virtual void line(std::string_view text) = 0;  // of the course of things
  virtual void note(std::string_view text) = 0;  // what the user should know
  // A few times a second, always all layers in the same order.
  virtual void layers(std::span<const LayerProgress> layers) = 0;
  // No more of these layers.
  virtual void finished() = 0;
};

}  // namespace bulkhead::storage
