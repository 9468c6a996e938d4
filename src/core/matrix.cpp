#include "matrix.hpp"

#include <algorithm>
#include <cmath>

namespace mm {
namespace {

constexpr size_t block = 2048;
constexpr size_t lanes = 8;  // independent sums let the compiler use vector registers

template <class Product>
double blocked_sum(size_t n, Product product) {
    double total = 0.0;
    for (size_t start = 0; start < n; start += block) {
        const size_t stop = std::min(n, start + block);
        double lane[lanes] = {};
        size_t i = start;
        for (; i + lanes <= stop; i += lanes)
            for (size_t l = 0; l < lanes; ++l) lane[l] += product(i + l);
        double sum = 0.0;
        for (; i < stop; ++i) sum += product(i);
        for (double s : lane) sum += s;
        total += sum;
    }
    return total;
}

}  // namespace

double dot(const double* x, const double* y, size_t n) {
    return blocked_sum(n, [=](size_t i) { return x[i] * y[i]; });
}

double dot(const double* w, const double* x, const double* y, size_t n) {
    return blocked_sum(n, [=](size_t i) { return w[i] * x[i] * y[i]; });
}

bool cholesky(double* a, size_t n, size_t lda) {
    for (size_t j = 0; j < n; ++j) {
        double* aj = a + j * lda;
        for (size_t k = 0; k < j; ++k) {
            const double* ak = a + k * lda;
            const double f = ak[j];
            if (f != 0.0)
                for (size_t i = j; i < n; ++i) aj[i] -= f * ak[i];
        }
        if (!(aj[j] > 0.0)) return false;
        const double d = std::sqrt(aj[j]);
        aj[j] = d;
        for (size_t i = j + 1; i < n; ++i) aj[i] /= d;
    }
    return true;
}

void cholesky_inverse(double* a, size_t n, size_t lda) {
    // First K = L^-1 in place, column by column; then K'K.
    for (size_t j = 0; j < n; ++j) {
        double* aj = a + j * lda;
        const double d = 1.0 / aj[j];
        aj[j] = d;
        for (size_t i = j + 1; i < n; ++i) {
            double s = aj[i] * d;
            for (size_t k = j + 1; k < i; ++k) s += a[k * lda + i] * aj[k];
            aj[i] = -s / a[i * lda + i];
        }
    }
    for (size_t j = 0; j < n; ++j)
        for (size_t i = j; i < n; ++i) {
            double s = 0.0;
            for (size_t k = i; k < n; ++k) s += a[i * lda + k] * a[j * lda + k];
            a[j * lda + i] = s;
        }
}

void forward_solve(const double* l, size_t n, size_t lda, double* b, size_t ldb, size_t cols) {
    for (size_t c = 0; c < cols; ++c) {
        double* x = b + c * ldb;
        for (size_t j = 0; j < n; ++j) {
            const double* lj = l + j * lda;
            const double v = x[j] /= lj[j];
            for (size_t i = j + 1; i < n; ++i) x[i] -= lj[i] * v;
        }
    }
}

void backward_solve(const double* l, size_t n, size_t lda, double* b, size_t ldb, size_t cols) {
    for (size_t c = 0; c < cols; ++c) {
        double* x = b + c * ldb;
        for (size_t j = n; j-- > 0;) {
            const double* lj = l + j * lda;
            double v = x[j];
            for (size_t i = j + 1; i < n; ++i) v -= lj[i] * x[i];
            x[j] = v / lj[j];
        }
    }
}

}  // namespace mm
