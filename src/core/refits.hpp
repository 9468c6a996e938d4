// Fits of one model to many responses: of the cross-products only those of y change.
#pragma once

#include <cstdint>
#include <memory>
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

// `Y`: n rows, a column a response, shared among the threads. From `start`, if it is given, the
// first step of all fits is taken with one factorisation.
Refits refit_many(const std::shared_ptr<const Structure>& structure, const SchurPlan& plan,
                  bool reml, const double* Y, size_t count, const std::vector<double>* start,
                  const NewtonControl& control, bool covariance);

}  // namespace mm
