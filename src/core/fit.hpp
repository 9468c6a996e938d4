// What is read off a fit, in the units of X.
#pragma once

#include <vector>

#include "cross_products.hpp"
#include "newton.hpp"

namespace mm {

struct Fit {
    Optimum optimum;
    std::vector<double> beta, u;
    Matrix vcov;  // (X'V^-1 X)^-1, relative to sigma^2
    double r2 = 0.0, nu = 0.0, log_det_M = 0.0, log_det_X = 0.0, yty = 0.0;
};

const char* name(Ending ending);

// beta in the units of the kept columns of X, from its value on the orthonormal basis.
std::vector<double> original_beta(const CrossProducts& data, const std::vector<double>& on_basis);

// (X'V^-1 X)^-1 in the units of X, relative to sigma^2.
Matrix unscaled_covariance(const Matrix& RX, const Matrix& R);

double log_det_R(const Matrix& R);

}  // namespace mm
