// A team of threads that sleep between jobs. Tasks are claimed one by one, the caller among the
// claimants: where another process holds the processors, the caller does the work alone rather
// than wait for a thread that is not running.
#pragma once

#include <cstddef>
#include <functional>

namespace mm {

// Calls task(i) for i in 0..count, in any order and on any thread. Tasks must not throw, and each
// must do the same arithmetic wherever it runs. Within a task it does all of them in turn.
void parallel_for(std::size_t count, const std::function<void(std::size_t)>& task);

// While it lives, parallel_for calls `check` in this thread, before tasks begin and not more often
// than ten times a second; it may throw, and so end the work.
class Watch {
   public:
    explicit Watch(std::function<void()> check);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    std::function<void()> check_;
    const std::function<void()>* before_;
};

// How many threads there are, the caller included: OMP_NUM_THREADS if it is set, otherwise the
// processors that this process may use.
std::size_t thread_count();
void set_thread_count(std::size_t count);

}  // namespace mm
