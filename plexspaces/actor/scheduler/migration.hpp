// When a worker gives actors to an idle one.
#pragma once

#include <cstddef>

#include "plexspaces/env/time.hpp"

namespace plexspaces::detail {

/// Decides, from the batches of one worker, whether its turns are worth a migration.
///
/// A migration is worthwhile when the mean turn costs `turn_cost_min` over two windows of `batches` in a row and more
/// than one actor can run. Over a window, because a turn that only sends many messages is costly though its actor and
/// their receiver belong together: their turns count with it. Twice in a row, because the thread may not have been
/// scheduled for a while. A batch after which nothing can run begins anew.
class MigrationWindow {
 public:
  MigrationWindow(std::size_t batches, Duration turn_cost_min) : batches_max_(batches), turn_cost_min_(turn_cost_min) {}

  /// A batch that began at `now` has run `turns`, and `runnable` actors are left.
  bool is_worthwhile(TimePoint now, std::size_t turns, std::size_t runnable) {
    if (batches_++ == 0) {
      began_ = now;
      turns_ = 0;
    }
    if (runnable == 0) {
      batches_ = 0;
      costly_windows_ = 0;
      return false;
    }
    if (batches_ <= batches_max_) {
      turns_ += turns;
      return false;
    }
    batches_ = 0;
    Duration cost = (now - began_) / static_cast<Duration::rep>(turns_ > 0 ? turns_ : 1);
    costly_windows_ = cost >= turn_cost_min_ ? costly_windows_ + 1 : 0;
    return costly_windows_ >= kCostlyWindows && runnable > 1;
  }

 private:
  static constexpr std::size_t kCostlyWindows = 2;  // in a row

  const std::size_t batches_max_;
  const Duration turn_cost_min_;
  std::size_t batches_ = 0;  // of this window
  std::size_t turns_ = 0;    // in them
  TimePoint began_;
  std::size_t costly_windows_ = 0;  // in a row
};

}  // namespace plexspaces::detail
