#include "threads.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#endif

namespace mm {
namespace {

size_t processors() {
    if (const char* wanted = std::getenv("OMP_NUM_THREADS")) {
        const long n = std::strtol(wanted, nullptr, 10);
        if (n > 0) return static_cast<size_t>(n);
    }
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<size_t>(CPU_COUNT(&set));
#endif
    return std::max(1u, std::thread::hardware_concurrency());
}

// Whether this thread is at a task already: what it hands out meanwhile it does itself.
thread_local bool at_work = false;

// One call of parallel_for. It outlives the call as long as a worker looks at it.
struct Job {
    const std::function<void(size_t)>* task = nullptr;
    size_t count = 0;
    std::atomic<size_t> next{0}, done{0};

    void work() {
        at_work = true;
        for (size_t i; (i = next.fetch_add(1)) < count;) {
            (*task)(i);
            if (done.fetch_add(1) + 1 == count) done.notify_all();
        }
        at_work = false;
    }
    void wait() {
        for (size_t d; (d = done.load()) < count;) done.wait(d);
    }
};

class Team {
   public:
    explicit Team(size_t size) {
        for (size_t i = 1; i < size; ++i) workers_.emplace_back([this] { serve(); });
    }
    ~Team() {
        {
            std::lock_guard lock(mutex_);
            stop_ = true;
        }
        wake_.notify_all();
        for (auto& worker : workers_) worker.join();
    }
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;

    void run(size_t count, const std::function<void(size_t)>& task) {
        auto job = std::make_shared<Job>();
        job->task = &task;
        job->count = count;
        {
            std::lock_guard lock(mutex_);
            job_ = job;
            ++number_;
        }
        wake_.notify_all();
        job->work();
        job->wait();
    }

   private:
    void serve() {
        size_t seen = 0;
        for (;;) {
            std::shared_ptr<Job> job;
            {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [&] { return stop_ || number_ != seen; });
                if (stop_) return;
                seen = number_;
                job = job_;
            }
            job->work();
        }
    }

    std::vector<std::thread> workers_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::shared_ptr<Job> job_;
    size_t number_ = 0;
    bool stop_ = false;
};

std::mutex team_mutex;  // one job at a time; another caller works alone meanwhile
size_t team_size = 0;
std::unique_ptr<Team> team;

thread_local const std::function<void()>* watch = nullptr;
thread_local std::chrono::steady_clock::time_point next_check;

void check_now_and_then() {
    if (!watch) return;
    const auto now = std::chrono::steady_clock::now();
    if (now < next_check) return;
    next_check = now + std::chrono::milliseconds(100);
    (*watch)();
}

std::once_flag fork_handler;

// The threads do not survive a fork: the child forgets them and makes its own.
void forget_team() {
    (void)team.release();
    new (&team_mutex) std::mutex;
}

}  // namespace

Watch::Watch(std::function<void()> check) : check_(std::move(check)), before_(watch) {
    watch = &check_;
}

Watch::~Watch() { watch = before_; }

void parallel_for(size_t count, const std::function<void(size_t)>& task) {
    if (at_work) {
        for (size_t i = 0; i < count; ++i) task(i);
        return;
    }
    check_now_and_then();
    std::unique_lock lock(team_mutex, std::try_to_lock);
    if (count < 2 || !lock.owns_lock()) {
        for (size_t i = 0; i < count; ++i) task(i);
        return;
    }
    if (team_size == 0) team_size = processors();
    if (team_size < 2) {
        for (size_t i = 0; i < count; ++i) task(i);
        return;
    }
    if (!team) {
#ifndef _WIN32
        std::call_once(fork_handler, [] { pthread_atfork(nullptr, nullptr, forget_team); });
#endif
        team = std::make_unique<Team>(team_size);
    }
    team->run(count, task);
}

size_t thread_count() {
    std::lock_guard lock(team_mutex);
    return team_size == 0 ? processors() : team_size;
}

void set_thread_count(size_t count) {
    std::lock_guard lock(team_mutex);
    team.reset();
    team_size = std::max<size_t>(1, count);
}

}  // namespace mm
