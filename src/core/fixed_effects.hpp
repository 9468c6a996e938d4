// What both evaluations read off [X y]'V^-1[X y], however they came by it.
#pragma once

#include <vector>

#include "matrix.hpp"

namespace mm {

struct FixedEffects {
    Matrix RX;                 // upper triangle
    std::vector<double> beta;  // on the basis
    double log_det_RX = 0.0, r2 = 0.0;
};

// From the lower triangle of the matrix, (rank + 1) x (rank + 1), which is overwritten by its
// Cholesky factor: R_X, c_beta and r. Returns false where it is not positive definite.
bool solve_fixed_effects(std::vector<double>& G, size_t rank, FixedEffects& out);

// The inverse of an upper triangle.
Matrix invert_upper(const Matrix& R);

// An entry of the average information from Q_st = f_s' P f_t. Ratios first: a product of squares
// of the response may be beyond what numbers can hold.
inline double average_information(double nu, double r2, double Q, double ee_s, double ee_t) {
    return nu * (Q / r2 - (ee_s / r2) * (ee_t / r2));
}

}  // namespace mm
