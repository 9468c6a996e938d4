#include "fit.hpp"

#include <algorithm>
#include <cmath>

namespace mm {

const char* name(Ending e) {
    switch (e) {
        case Ending::converged:
            return "converged";
        case Ending::no_progress:
            return "no progress";
        case Ending::too_many_iterations:
            return "too many iterations";
        case Ending::perfect_fit:
            return "perfect fit";
        case Ending::too_few_probes:
            return "Monte Carlo error above the one asked for; method='exact' has none";
        case Ending::out_of_reach:
            return "a variance too large beside the residual's for an iterative fit; "
                   "method='exact' has more digits";
    }
    return "";
}

std::vector<double> original_beta(const CrossProducts& data, const std::vector<double>& on_basis) {
    const Matrix& R = data.structure->basis.R;
    std::vector<double> b(R.cols);
    for (size_t j = R.cols; j-- > 0;) {
        double v = data.beta0[j] + on_basis[j];
        for (size_t i = j + 1; i < R.cols; ++i) v -= R(j, i) * b[i];
        b[j] = v / R(j, j);
    }
    return b;
}

Matrix unscaled_covariance(const Matrix& RX, const Matrix& R) {
    const size_t p = R.cols;
    Matrix product(p, p);
    for (size_t j = 0; j < p; ++j)
        for (size_t i = 0; i <= j; ++i)
            for (size_t l = i; l <= j; ++l) product(i, j) += RX(i, l) * R(l, j);
    const Matrix T = invert_upper(product);
    Matrix V(p, p);
    for (size_t i = 0; i < p; ++i)
        for (size_t j = 0; j < p; ++j)
            for (size_t l = std::max(i, j); l < p; ++l) V(i, j) += T(i, l) * T(j, l);
    return V;
}

double log_det_R(const Matrix& R) {
    double sum = 0.0;
    for (size_t j = 0; j < R.cols; ++j) sum += 2.0 * std::log(std::abs(R(j, j)));
    return sum;
}

}  // namespace mm
