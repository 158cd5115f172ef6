#pragma once
#include <atomic>
#include <thread>
#include <vector>

#include "../core/pool.h"

namespace troupe::bench {

/** Threads that spin between calls, as those of a session do while it is busy. */
class Threads {
 public:
  explicit Threads(int count) : count_(count) {
    for (int i = 1; i < count; i++) workers_.emplace_back([this] { work(); });
  }
  ~Threads() {
    stop_ = true;
    for (std::thread& worker : workers_) worker.join();
  }

  Pool pool() {
    return {this, [](void* context, void (*item)(void*, size_t), size_t count, void* arg) { static_cast<Threads*>(context)->run(item, count, arg); },
            count_};
  }

 private:
  void run(void (*item)(void*, size_t), size_t items, void* arg) {
    item_ = item, items_ = items, arg_ = arg;
    next_ = 0;
    left_ = int(workers_.size());
    call_++;
    take();
    while (left_ > 0) {
    }
  }
  void take() {
    for (size_t i; (i = next_.fetch_add(1)) < items_;) item_(arg_, i);
  }
  void work() {
    for (int seen = 0; !stop_;) {
      if (call_ == seen) continue;
      seen = call_;
      take();
      left_--;
    }
  }

  const int count_;
  std::vector<std::thread> workers_;
  std::atomic<bool> stop_{false};
  std::atomic<int> call_{0}, left_{0};
  std::atomic<size_t> next_{0};
  void (*item_)(void*, size_t) = nullptr;
  size_t items_ = 0;
  void* arg_ = nullptr;
};

}  // namespace troupe::bench
