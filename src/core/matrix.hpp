// Column-major dense matrices and the few small kernels that need no BLAS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mm {

using std::size_t;
using Code = std::int32_t;  // a level of a grouping factor, or a column of the Schur complement

struct Matrix {
    size_t rows = 0, cols = 0;
    std::vector<double> values;

    Matrix() = default;
    Matrix(size_t r, size_t c) : rows(r), cols(c), values(r * c, 0.0) {}
    double* col(size_t j) { return values.data() + j * rows; }
    const double* col(size_t j) const { return values.data() + j * rows; }
    double& operator()(size_t i, size_t j) { return values[j * rows + i]; }
    double operator()(size_t i, size_t j) const { return values[j * rows + i]; }
};

// Sum of x*y, or of w*x*y. Partial sums of fixed blocks are added in order, so that the result
// depends neither on the number of threads nor, by more than the block's own error, on n.
double dot(const double* x, const double* y, size_t n);
double dot(const double* w, const double* x, const double* y, size_t n);

// Cholesky factor of the lower triangle of a column-major n x n matrix, in place.
// Returns false where a pivot is not positive.
bool cholesky(double* a, size_t n, size_t lda);

// The lower triangle of the inverse from the Cholesky factor, in place.
void cholesky_inverse(double* a, size_t n, size_t lda);

// B <- L^-1 B and B <- L^-T B for lower-triangular L.
void forward_solve(const double* l, size_t n, size_t lda, double* b, size_t ldb, size_t cols);
void backward_solve(const double* l, size_t n, size_t lda, double* b, size_t ldb, size_t cols);

}  // namespace mm
