#include "cli/progress/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "sys/file.h"

namespace bulkhead::cli {
namespace {

using storage::LayerProgress;
using storage::LayerState;

constexpr std::chrono::milliseconds kDrawEvery{100};
constexpr std::size_t kWidestBar = 50;

struct Screen {
  std::size_t columns = 80;
  std::size_t rows = 24;
};

Screen screen_of(int descriptor) {
  struct winsize size{};
  Screen screen;
  if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) {
    screen.columns = size.ws_col;
    screen.rows = std::max<std::size_t>(size.ws_row, 2);
  }
  return screen;
}

std::string_view word_for(LayerState state, Direction direction) {
  // In the order of Direction.
  const auto choose = [&](std::string_view pull, std::string_view push, std::string_view load) {
    return direction == Direction::kPull ? pull : direction == Direction::kPush ? push : load;
  };
  switch (state) {
    case LayerState::kWaiting: return choose("Pulling fs layer", "Preparing", "Waiting");
    case LayerState::kMoving: return choose("Downloading", "Pushing", "Loading layer");
    case LayerState::kDone: return choose("Pull complete", "Pushed", "Loaded");
    case LayerState::kThere:
      return choose("Already exists", "Layer already exists", "Already exists");
    case LayerState::kMounted: return "Mounted from another repository";
  }
  return "";
}

std::string time_text(double seconds) {
  if (!(seconds < 360'000)) return "";
  const long whole = std::lround(seconds);
  if (whole < 60) return std::to_string(whole) + "s";
  char text[32];
  if (whole < 3600)
    (void)std::snprintf(text, sizeof text, "%ldm%02lds", whole / 60, whole % 60);
  else
    (void)std::snprintf(text, sizeof text, "%ldh%02ldm", whole / 3600, whole / 60 % 60);
  return text;
}

}  // namespace

Display display_for(int descriptor, bool quiet) {
  if (quiet) return Display::kQuiet;
  const char* const terminal = std::getenv("TERM");
  const bool plain = terminal != nullptr && std::strcmp(terminal, "dumb") == 0;
  return ::isatty(descriptor) == 1 && !plain ? Display::kTerminal : Display::kPlain;
}

std::string size_text(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  char text[32];
  const int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  (void)std::snprintf(text, sizeof text, "%.*f%s", decimals, value, kUnits[unit]);
  return text;
}

std::string bar_line(const LayerProgress& layer, Direction direction, double bytes_per_second,
                     std::size_t width) {
  std::string text = layer.id + ": " + std::string(word_for(layer.state, direction));
  if (layer.state != LayerState::kMoving) return text.substr(0, width);
  std::string numbers = "  " + size_text(layer.done) + "/" + size_text(layer.size);
  if (layer.retry_wait_ms != 0) {
    numbers += "  retrying in " + time_text(layer.retry_wait_ms / 1000.0);
  } else if (bytes_per_second > 0) {
    numbers += "  " + size_text(static_cast<std::uint64_t>(bytes_per_second)) + "/s";
    if (layer.size > layer.done)
      numbers += "  " + time_text(static_cast<double>(layer.size - layer.done) / bytes_per_second);
  }
  const std::size_t taken = text.size() + numbers.size() + 3;
  const std::size_t bar = width > taken ? std::min(kWidestBar, width - taken) : 0;
  if (bar >= 8) {
    const double share =
        layer.size == 0
            ? 1.0
            : std::min(1.0, static_cast<double>(layer.done) / static_cast<double>(layer.size));
    const auto filled = static_cast<std::size_t>(share * static_cast<double>(bar - 1));
    text += " [" + std::string(filled, '=') + ">" + std::string(bar - 1 - filled, ' ') + "]";
  }
  return (text + numbers).substr(0, width);
}

void ProgressView::write(const std::string& text) const {
  (void)write_all(descriptor_, text.data(), text.size());
}

void ProgressView::line(std::string_view text) {
  if (display_ == Display::kQuiet) return;
  write(std::string(text) + "\n");
}

void ProgressView::note(std::string_view text) {
  const std::string line = "bulkhead: note: " + std::string(text) + "\n";
  (void)write_all(STDERR_FILENO, line.data(), line.size());
  drawn_ = 0;  // the bars begin anew beneath it
}

double ProgressView::rate_of(const LayerProgress& layer, std::size_t index) const {
  const Seen& seen = seen_[index];
  const double seconds = std::chrono::duration<double>(Clock::now() - seen.since).count();
  if (seconds < 0.3 || layer.done <= seen.first_done) return 0;
  return static_cast<double>(layer.done - seen.first_done) / seconds;
}

void ProgressView::print_changes(std::span<const LayerProgress> layers) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerProgress& layer = layers[i];
    if (layer.id.empty()) continue;
    Seen& seen = seen_[i];
    if (!seen.announced || (layer.state != seen.state && layer.state != LayerState::kMoving))
      write(layer.id + ": " + std::string(word_for(layer.state, direction_)) + "\n");
    if (layer.retries != seen.retries && layer.retry_wait_ms != 0)
      write(layer.id + ": Retrying in " + time_text(layer.retry_wait_ms / 1000.0) + "\n");
  }
}

void ProgressView::draw(std::span<const LayerProgress> layers, bool whole) {
  const Screen screen = screen_of(descriptor_);
  // What does not fit on the screen cannot be drawn again: the layers that have most to tell.
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (!layers[i].id.empty()) shown.push_back(i);
  if (!whole && shown.size() > screen.rows - 1) {
    // In their order among equals. Not by stable_sort, which clang warns of in g++ 12's library.
    std::ranges::sort(shown, {}, [&](std::size_t i) {
      const LayerState state = layers[i].state;
      return std::pair(state == LayerState::kMoving ? 0 : state == LayerState::kWaiting ? 1 : 2, i);
    });
    shown.resize(screen.rows - 1);
    std::ranges::sort(shown);
  }
  std::string out;
  if (drawn_ != 0) out += "\x1b[" + std::to_string(drawn_) + "A";
  out += "\r\x1b[J";
  for (const std::size_t i : shown)
    out += bar_line(layers[i], direction_, rate_of(layers[i], i), screen.columns - 1) + "\n";
  drawn_ = shown.size();
  write(out);
}

void ProgressView::layers(std::span<const LayerProgress> layers) {
  if (display_ == Display::kQuiet) return;
  const Clock::time_point now = Clock::now();
  seen_.resize(layers.size());
  std::vector<LayerProgress> shown(layers.begin(), layers.end());
  bool changed = false;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    Seen& seen = seen_[i];
    changed = changed || layers[i].state != seen.state || !seen.announced;
    if (layers[i].state == LayerState::kMoving && seen.state != LayerState::kMoving) {
      seen.since = now;
      seen.first_done = layers[i].done;
    }
    // The first bytes may be an earlier pull's, which are only read.
    if (seen.first_done == 0 && layers[i].done != 0) {
      seen.first_done = layers[i].done;
      seen.since = now;
    }
    if (layers[i].retries != seen.retries)
      seen.retry_at = now + std::chrono::milliseconds(layers[i].retry_wait_ms);
    if (seen.retry_at <= now) shown[i].retry_wait_ms = 0;
  }
  if (display_ == Display::kPlain) print_changes(layers);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    seen_[i].state = layers[i].state;
    seen_[i].retries = layers[i].retries;
    seen_[i].announced = true;
  }
  last_ = shown;
  if (display_ != Display::kTerminal || (!changed && now - last_drawn_ < kDrawEvery)) return;
  last_drawn_ = now;
  draw(shown, false);
}

void ProgressView::finished() {
  if (display_ == Display::kTerminal && !last_.empty()) draw(last_, true);
  drawn_ = 0;
  seen_.clear();
  last_.clear();
}

}  // namespace bulkhead::cli
