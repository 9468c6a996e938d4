#include "fixed_effects.hpp"

#include <cmath>

namespace mm {

bool solve_fixed_effects(std::vector<double>& G, size_t rank, FixedEffects& out) {
    const size_t m = rank + 1;
    if (!cholesky(G.data(), m, m)) return false;
    out.RX = Matrix(rank, rank);
    out.beta.assign(rank, 0.0);
    out.log_det_RX = 0.0;
    for (size_t j = 0; j < rank; ++j) {
        for (size_t i = j; i < rank; ++i) out.RX(j, i) = G[j * m + i];
        out.beta[j] = G[j * m + rank];
        out.log_det_RX += 2.0 * std::log(out.RX(j, j));
    }
    for (size_t j = rank; j-- > 0;) {
        for (size_t i = j + 1; i < rank; ++i) out.beta[j] -= out.RX(j, i) * out.beta[i];
        out.beta[j] /= out.RX(j, j);
    }
    out.r2 = G[m * m - 1] * G[m * m - 1];
    return true;
}

Matrix invert_upper(const Matrix& R) {
    const size_t p = R.cols;
    Matrix T(p, p);
    for (size_t j = 0; j < p; ++j) {
        T(j, j) = 1.0 / R(j, j);
        for (size_t i = j; i-- > 0;) {
            double v = 0.0;
            for (size_t l = i + 1; l <= j; ++l) v -= R(i, l) * T(l, j);
            T(i, j) = v / R(i, i);
        }
    }
    return T;
}

}  // namespace mm
