#include "dense.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "matrix.hpp"
#include "threads.hpp"

namespace mm {
namespace {

constexpr size_t panel = 128;  // columns of a step of the factorisation
constexpr size_t depth = 256;  // of the product, packed at a time
constexpr size_t chunk = 192;  // rows of a task, and of a packed piece of A; of 24, 8 and 4
constexpr size_t inner = 32;   // below this, plain loops
constexpr double alone = 2e6;  // flops below which threads cost more than they bring

// The micro-kernel: MR x NR entries of C live in registers while the depth runs.
template <class V, int MV, int NR>
[[gnu::always_inline]] inline void multiply_packed(const double* a, const double* b, size_t m,
                                                   size_t n, size_t k, double* c, size_t ldc) {
    constexpr int W = sizeof(V) / sizeof(double);
    constexpr int MR = MV * W;
    for (size_t j = 0; j < n; j += NR)
        for (size_t i = 0; i < m; i += MR) {
            const double* ai = a + i * k;
            const double* bj = b + j * k;
            V sum[NR][MV] = {};
            for (size_t l = 0; l < k; ++l, ai += MR, bj += NR) {
                V av[MV];
                for (int v = 0; v < MV; ++v) __builtin_memcpy(&av[v], ai + v * W, sizeof(V));
                for (int s = 0; s < NR; ++s)
                    for (int v = 0; v < MV; ++v) sum[s][v] += av[v] * bj[s];
            }
            const size_t rows = std::min<size_t>(MR, m - i), cols = std::min<size_t>(NR, n - j);
            if (rows == MR) {
                for (size_t s = 0; s < cols; ++s)
                    for (int v = 0; v < MV; ++v) {
                        double* to = c + (j + s) * ldc + i + static_cast<size_t>(v) * W;
                        V old;
                        __builtin_memcpy(&old, to, sizeof(V));
                        old -= sum[s][v];
                        __builtin_memcpy(to, &old, sizeof(V));
                    }
            } else {
                for (size_t s = 0; s < cols; ++s)
                    for (size_t r = 0; r < rows; ++r)
                        c[(j + s) * ldc + i + r] -= sum[s][r / W][r % W];
            }
        }
}

// X <- X L^-T for a few columns.
[[gnu::always_inline]] inline void solve_columns(const double* l, size_t ldl, size_t w, double* x,
                                                 size_t m, size_t ldx) {
    for (size_t j = 0; j < w; ++j) {
        double* xj = x + j * ldx;
        for (size_t k = 0; k < j; ++k) {
            const double f = l[k * ldl + j];
            const double* xk = x + k * ldx;
            for (size_t i = 0; i < m; ++i) xj[i] -= f * xk[i];
        }
        const double d = 1.0 / l[j * ldl + j];
        for (size_t i = 0; i < m; ++i) xj[i] *= d;
    }
}

using V2 [[gnu::vector_size(16)]] = double;
void kernel_baseline(const double* a, const double* b, size_t m, size_t n, size_t k, double* c,
                     size_t ldc) {
    multiply_packed<V2, 2, 4>(a, b, m, n, k, c, ldc);
}

void solve_baseline(const double* l, size_t ldl, size_t w, double* x, size_t m, size_t ldx) {
    solve_columns(l, ldl, w, x, m, ldx);
}

#if defined(__x86_64__) && defined(__GNUC__)
using V4 [[gnu::vector_size(32)]] = double;
using V8 [[gnu::vector_size(64)]] = double;
[[gnu::target("avx2,fma")]] void kernel_avx2(const double* a, const double* b, size_t m, size_t n,
                                             size_t k, double* c, size_t ldc) {
    multiply_packed<V4, 2, 6>(a, b, m, n, k, c, ldc);
}
[[gnu::target("avx512f")]] void kernel_avx512(const double* a, const double* b, size_t m, size_t n,
                                              size_t k, double* c, size_t ldc) {
    multiply_packed<V8, 3, 8>(a, b, m, n, k, c, ldc);
}
[[gnu::target("avx2,fma")]] void solve_avx2(const double* l, size_t ldl, size_t w, double* x,
                                            size_t m, size_t ldx) {
    solve_columns(l, ldl, w, x, m, ldx);
}
[[gnu::target("avx512f")]] void solve_avx512(const double* l, size_t ldl, size_t w, double* x,
                                             size_t m, size_t ldx) {
    solve_columns(l, ldl, w, x, m, ldx);
}
#endif

struct Kernel {
    size_t rows, cols;
    void (*run)(const double*, const double*, size_t, size_t, size_t, double*, size_t);
    void (*solve)(const double*, size_t, size_t, double*, size_t, size_t);
};

Kernel choose_kernel() {
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx512f")) return {24, 8, kernel_avx512, solve_avx512};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return {8, 6, kernel_avx2, solve_avx2};
#endif
    return {4, 4, kernel_baseline, solve_baseline};
}

const Kernel kernel = choose_kernel();

// k columns of `width` rows, one after the other: of a length known here, no call for each.
template <size_t width>
void copy_columns_of(const double* from, size_t ld, size_t k, double* out) {
    for (size_t l = 0; l < k; ++l) __builtin_memcpy(out + l * width, from + l * ld, 8 * width);
}
void copy_columns(const double* from, size_t ld, size_t width, size_t k, double* out) {
    switch (width) {
        case 24:
            return copy_columns_of<24>(from, ld, k, out);
        case 8:
            return copy_columns_of<8>(from, ld, k, out);
        case 6:
            return copy_columns_of<6>(from, ld, k, out);
        default:
            for (size_t l = 0; l < k; ++l) std::copy_n(from + l * ld, width, out + l * width);
    }
}

// Groups of `width` rows, depth by depth, the last filled up with zeros.
void pack(Strided A, size_t rows, size_t k, size_t width, std::vector<double>& to) {
    to.resize((rows + width - 1) / width * width * k);
    double* out = to.data();
    for (size_t i = 0; i < rows; i += width) {
        const size_t here = std::min(width, rows - i);
        const double* from = A.values + i * A.row;
        if (A.row == 1 && here == width) {
            copy_columns(from, A.column, width, k, out);
            out += width * k;
        } else {
            // Row by row: where columns are contiguous, that is how memory runs.
            if (here < width) std::fill_n(out, width * k, 0.0);
            for (size_t r = 0; r < here; ++r)
                for (size_t l = 0; l < k; ++l) out[l * width + r] = from[r * A.row + l * A.column];
            out += width * k;
        }
    }
}

// The rows from `below` on of columns j..j+w into the upper triangle, by squares for the caches.
void mirror(double* z, size_t n, size_t j, size_t w, size_t below) {
    constexpr size_t square = 16;
    for (size_t i0 = below; i0 < n; i0 += square)
        for (size_t c0 = j; c0 < j + w; c0 += square)
            for (size_t i = i0; i < std::min(n, i0 + square); ++i)
                for (size_t c = c0; c < std::min(j + w, c0 + square); ++c)
                    z[i * n + c] = z[c * n + i];
}

}  // namespace

void subtract_product(size_t m, size_t n, size_t k, Strided A, Strided B, double* C, size_t ldc) {
    thread_local std::vector<double> packed_a, packed_b;
    for (size_t l = 0; l < k; l += depth) {
        const size_t deep = std::min(depth, k - l);
        for (size_t j = 0; j < n; j += panel) {
            const size_t wide = std::min(panel, n - j);
            pack({B.values + j * B.row + l * B.column, B.row, B.column}, wide, deep, kernel.cols,
                 packed_b);
            for (size_t i = 0; i < m; i += chunk) {
                const size_t high = std::min(chunk, m - i);
                pack({A.values + i * A.row + l * A.column, A.row, A.column}, high, deep,
                     kernel.rows, packed_a);
                kernel.run(packed_a.data(), packed_b.data(), high, wide, deep, C + j * ldc + i,
                           ldc);
            }
        }
    }
}

void subtract_product_parallel(size_t m, size_t n, size_t k, Strided A, Strided B, double* C,
                               size_t ldc) {
    const double flops =
        2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    if (flops < alone) {
        subtract_product(m, n, k, A, B, C, ldc);
        return;
    }
    // Few rows in smaller shares: what is summed in an entry, and in which order, is the same.
    const size_t share = m < 4 * chunk ? chunk / 2 : chunk;
    parallel_for((m + share - 1) / share, [&](size_t task) {
        const size_t i = task * share;
        subtract_product(std::min(share, m - i), n, k, {A.values + i * A.row, A.row, A.column}, B,
                         C + i, ldc);
    });
}

void solve_panel(const double* l, size_t ldl, size_t w, double* x, size_t m, size_t ldx) {
    for (size_t i = 0; i < m; i += chunk) {
        const size_t rows = std::min(chunk, m - i);
        double* xi = x + i;
        for (size_t j = 0; j < w; j += inner) {
            const size_t wide = std::min(inner, w - j);
            if (j > 0)
                subtract_product(rows, wide, j, {xi, 1, ldx}, {l + j, 1, ldl}, xi + j * ldx, ldx);
            kernel.solve(l + j * ldl + j, ldl, wide, xi + j * ldx, rows, ldx);
        }
    }
}

bool factor_diagonal(double* a, size_t w, size_t lda) {
    for (size_t k = 0; k < w; k += inner) {
        const size_t wide = std::min(inner, w - k);
        double* diagonal = a + k * lda + k;
        if (k > 0)
            subtract_product(w - k, wide, k, {a + k, 1, lda}, {a + k, 1, lda}, diagonal, lda);
        if (!cholesky(diagonal, wide, lda)) return false;
        if (k + wide < w) solve_panel(diagonal, lda, wide, diagonal + wide, w - k - wide, lda);
    }
    return true;
}

void invert_triangle(const double* l, size_t w, size_t ldl, double* t) {
    std::fill_n(t, w * w, 0.0);
    for (size_t c = 0; c < w; ++c) {
        double* xc = t + c * w;
        xc[c] = 1.0;
        for (size_t j = c; j < w; ++j) {
            const double* lj = l + j * ldl;
            const double v = xc[j] /= lj[j];
            for (size_t i = j + 1; i < w; ++i) xc[i] -= lj[i] * v;
        }
    }
}

bool cholesky_blocked(double* a, size_t n) {
    for (size_t k = 0; k < n; k += panel) {
        const size_t w = std::min(panel, n - k);
        double* diagonal = a + k * n + k;
        subtract_product_parallel(w, w, k, {a + k, 1, n}, {a + k, 1, n}, diagonal, n);
        if (!factor_diagonal(diagonal, w, n)) return false;
        const size_t below = n - k - w;
        parallel_for((below + chunk - 1) / chunk, [&](size_t task) {
            const size_t i = k + w + task * chunk;
            const size_t rows = std::min(chunk, n - i);
            subtract_product(rows, w, k, {a + i, 1, n}, {a + k, 1, n}, a + k * n + i, n);
            solve_panel(diagonal, n, w, a + k * n + i, rows, n);
        });
    }
    return true;
}

// Panel by panel from the last: with Y = L_RJ L_JJ^-1,
//     Z_RJ = -Z_RR Y,    Z_JJ = L_JJ^-T L_JJ^-1 - Y' Z_RJ.
void inverse_blocked(const double* l, double* z, size_t n) {
    std::vector<double> Y, T;
    for (size_t end = n; end > 0;) {
        const size_t j = (end - 1) / panel * panel, w = end - j, r = n - end;
        T.resize(w * w);
        invert_triangle(l + j * n + j, w, n, T.data());
        double* zjj = z + j * n + j;
        for (size_t c = 0; c < w; ++c) std::fill_n(zjj + c * n, w + r, 0.0);
        // A product is subtracted from zero: T'T changes its sign afterwards.
        subtract_product(w, w, w, {T.data(), w, 1}, {T.data(), w, 1}, zjj, n);
        for (size_t c = 0; c < w; ++c)
            for (size_t i = 0; i < w; ++i) zjj[c * n + i] = -zjj[c * n + i];
        if (r > 0) {
            Y.assign(r * w, 0.0);
            subtract_product_parallel(r, w, w, {l + j * n + end, 1, n}, {T.data(), w, 1}, Y.data(),
                                      r);
            for (double& y : Y) y = -y;
            subtract_product_parallel(r, w, r, {z + end * n + end, 1, n}, {Y.data(), r, 1}, zjj + w,
                                      n);
            subtract_product_parallel(w, w, r, {Y.data(), r, 1}, {zjj + w, n, 1}, zjj, n);
            mirror(z, n, j, w, end);
        }
        end = j;
    }
}

}  // namespace mm
