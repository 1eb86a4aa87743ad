// A pull, push or load as people watch it: on a terminal one bar for each layer, which is drawn again in its
// place; elsewhere a line when something has happened.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "storage/registry/observer.h"

namespace bulkhead::cli {

enum class Direction { kPull, kPush, kLoad };
enum class Display { kQuiet, kPlain, kTerminal };

// What becomes of a descriptor: a terminal that knows escape sequences, or not.
Display display_for(int descriptor, bool quiet);

// "1.5MB", "998kB", as Docker writes sizes.
std::string size_text(std::uint64_t bytes);

// One layer's line, at most `width` columns.
std::string bar_line(const storage::LayerProgress& layer, Direction direction,
                     double bytes_per_second, std::size_t width);

class ProgressView final : public storage::TransferObserver {
 public:
  ProgressView(int descriptor, Display display, Direction direction)
      : descriptor_(descriptor), display_(display), direction_(direction) {}

  void line(std::string_view text) override;
  void note(std::string_view text) override;
  void layers(std::span<const storage::LayerProgress> layers) override;
  void finished() override;

 private:
  using Clock = std::chrono::steady_clock;
  struct Seen {
    storage::LayerState state = storage::LayerState::kWaiting;
    std::uint32_t retries = 0;
    bool announced = false;
    std::uint64_t first_done = 0;  // when it began to move: what was there before costs no time
    Clock::time_point since;
    Clock::time_point retry_at;
  };
  void print_changes(std::span<const storage::LayerProgress> layers);
  void draw(std::span<const storage::LayerProgress> layers, bool whole);
  double rate_of(const storage::LayerProgress& layer, std::size_t index) const;
  void write(const std::string& text) const;

  int descriptor_;
  Display display_;
  Direction direction_;
  std::vector<Seen> seen_;
  std::size_t drawn_ = 0;  // lines on the screen that are ours
  Clock::time_point last_drawn_;
  std::vector<storage::LayerProgress> last_;
};

}  // namespace bulkhead::cli
