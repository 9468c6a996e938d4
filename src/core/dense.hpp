// Large dense matrices: Cholesky factor and inverse, built on one matrix product.
//
// The product is our own rather than a BLAS's so that the digits do not depend on the number of
// threads, and so that no thread of a BLAS spins while another process has its processor.
#pragma once

#include <cstddef>

namespace mm {

using std::size_t;

// C <- C - A B' with C m x n column-major, A m x k and B n x k at any strides.
struct Strided {
    const double* values;
    size_t row, column;  // distance to the next row and to the next column
};
void subtract_product(size_t m, size_t n, size_t k, Strided A, Strided B, double* C, size_t ldc);

// The same, rows of C shared out among threads.
void subtract_product_parallel(size_t m, size_t n, size_t k, Strided A, Strided B, double* C,
                               size_t ldc);

// Cholesky factor of the lower triangle of the column-major n x n matrix, in place, by panels.
// Returns false where a pivot is not positive.
bool cholesky_blocked(double* a, size_t n);

// The parts of a step, for panels of any leading dimension: the Cholesky factor of a diagonal
// block, X <- X L^-T for m rows of X below it, and T = L^-1, w x w with zeros above its diagonal.
bool factor_diagonal(double* a, size_t w, size_t lda);
void solve_panel(const double* l, size_t ldl, size_t w, double* x, size_t m, size_t ldx);
void invert_triangle(const double* l, size_t w, size_t ldl, double* t);

// All of the inverse (both triangles) from the factor: z is n x n, column-major.
void inverse_blocked(const double* l, double* z, size_t n);

}  // namespace mm
