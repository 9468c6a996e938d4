// Fits of one model to many responses: of the cross-products only those of y change.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "fit.hpp"

namespace mm {

// A column for each response; of one that could not be fitted all are NaN.
struct Refits {
    Matrix gamma, beta, standard_error;  // k, p and p rows; the errors over sigma
    Matrix covariance;                   // p^2 rows, relative to sigma^2, if wanted
    std::vector<double> objective, r2, log_det_M;
    std::vector<std::uint8_t> converged;
    double nu = 0.0;
};

// Where all fits begin: gamma > 0, and the matrix of the first step, k x k; the average information
// of each response if it is empty.
struct Start {
    std::vector<double> gamma, information;
};

// Fisher's information of gamma in the profiled criterion, from the slopes of the traces. For a
// factor of few levels, whose variance differs much from replicate to replicate, its step is the
// better one.
std::vector<double> expected_information(const CrossProducts& data, const SchurPlan& plan,
                                         bool reml, const std::vector<double>& gamma);

// The first step of all fits is taken with one factorisation a thread.
class Refitter {
   public:
    // The plan is the caller's, who keeps it alive.
    Refitter(std::shared_ptr<const Structure> structure, const SchurPlan& plan, bool reml,
             Start start, NewtonControl control);
    ~Refitter();
    // `Y`: n rows, a column a response, shared among the threads.
    Refits fit(const double* Y, size_t count, bool covariance);
    const Structure& structure() const { return *structure_; }

   private:
    class Worker;
    std::unique_ptr<Worker> take();
    void put_back(std::unique_ptr<Worker> worker);

    std::shared_ptr<const Structure> structure_;
    const SchurPlan& plan_;
    bool reml_;
    Start start_;
    NewtonControl control_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Worker>> idle_;
};

}  // namespace mm
