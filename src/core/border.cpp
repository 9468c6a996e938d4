// The preconditioner of an iterative evaluation, and what is known of its inverse.
#include <algorithm>
#include <cmath>

#include "dense.hpp"
#include "iterative.hpp"
#include "lanes.hpp"
#include "threads.hpp"

namespace mm {
namespace {

constexpr size_t L = lanes;

}  // namespace

// The border's rows of S, and the factor of what eliminating the rest's diagonal leaves of it.
void IterativeEvaluation::set_border() {
    log_det_border_ = 0.0;
    if (border_ == 0) return;
    const size_t rest = q2_ - border_, m = border_;
    SdE_.assign(rest * m, 0.0);
    Matrix E(m, m);
    for (size_t i = 0; i < m; ++i) E(i, i) = 1.0;
    parallel_for(m, [&](size_t i) {
        const size_t c = rest + i;
        for (auto e = N_.leading_t.start[c]; e < N_.leading_t.start[c + 1]; ++e) {
            const auto j = static_cast<size_t>(N_.leading_t.index[e]);
            const double f = kappa_[j] * scale_[c] * N_.leading_t.value[e];
            for (auto g = N_.leading.start[j]; g < N_.leading.start[j + 1]; ++g) {
                const auto d = static_cast<size_t>(N_.leading.index[g]);
                const double v = f * scale_[d] * N_.leading.value[g];
                if (d < rest)
                    SdE_[d * m + i] -= v;
                else if (d > c)
                    E(d - rest, i) -= v;
            }
        }
    });
    for (size_t c = 0; c < N_.trailing.rows(); ++c)
        for (auto e = N_.trailing.start[c]; e < N_.trailing.start[c + 1]; ++e) {
            const auto d = static_cast<size_t>(N_.trailing.index[e]);
            const double v = scale_[c] * scale_[d] * N_.trailing.value[e];
            if (d < rest) continue;
            if (c < rest)
                SdE_[c * m + d - rest] += v;
            else
                E(d - rest, c - rest) += v;
        }
    subtract_product_parallel(m, m, rest, {SdE_.data(), 1, m}, {SdE_.data(), 1, m}, E.values.data(),
                              m);
    // Where the diagonal alone is too far from S for this to be positive definite, go without.
    if (!cholesky(E.values.data(), m, m)) {
        SdE_.clear();
        C_ = Matrix();
        return;
    }
    C_ = std::move(E);
    for (size_t i = 0; i < m; ++i) log_det_border_ += 2.0 * std::log(C_(i, i));
}

void IterativeEvaluation::precondition(Block& x) const {
    if (C_.rows == 0) return;
    const size_t rest = q2_ - border_, m = border_;
    double* xe = x.data() + rest * L;
    for (size_t i = m; i-- > 0;)  // C x_E = w_E, C the transpose of what is stored
        for (size_t l = 0; l < L; ++l) {
            double v = xe[i * L + l];
            for (size_t k = i + 1; k < m; ++k) v -= C_(k, i) * xe[k * L + l];
            xe[i * L + l] = v / C_(i, i);
        }
    parallel_for((rest + stretch - 1) / stretch, [&](size_t part) {
        const size_t last = std::min(rest, (part + 1) * stretch);
        for (size_t c = part * stretch; c < last; ++c) {
            Lanes v = load(x.data() + c * L);
            for (size_t i = 0; i < m; ++i) v -= SdE_[c * m + i] * load(xe + i * L);
            store(x.data() + c * L, v);
        }
    });
}

void IterativeEvaluation::precondition_transposed(Block& x) const {
    if (C_.rows == 0) return;
    const size_t rest = q2_ - border_, m = border_;
    const size_t parts = (rest + stretch - 1) / stretch;
    std::vector<double> sums(parts * m * L, 0.0);
    parallel_for(parts, [&](size_t part) {
        double* sum = sums.data() + part * m * L;
        const size_t last = std::min(rest, (part + 1) * stretch);
        for (size_t c = part * stretch; c < last; ++c) {
            const Lanes v = load(x.data() + c * L);
            for (size_t i = 0; i < m; ++i)
                store(sum + i * L, load(sum + i * L) + SdE_[c * m + i] * v);
        }
    });
    double* xe = x.data() + rest * L;
    for (size_t part = 0; part < parts; ++part)
        for (size_t i = 0; i < m * L; ++i) xe[i] -= sums[part * m * L + i];
    for (size_t i = 0; i < m; ++i)
        for (size_t l = 0; l < L; ++l) {
            double v = xe[i * L + l];
            for (size_t k = 0; k < i; ++k) v -= C_(i, k) * xe[k * L + l];
            xe[i * L + l] = v / C_(i, i);
        }
}

// Rows of [-S_dE; I] C^-1: P^-1 = diag(I, 0) + [-S_dE; I] (C'C)^-1 [-S_dE; I]', so that what is
// known of P^-1_cc is 1 (or 0, on the border) plus a row's square.
std::vector<double> IterativeEvaluation::known_rows() const {
    const bool bordered = C_.rows > 0;
    const size_t m = bordered ? border_ : 0, rest = q2_ - m;
    std::vector<double> rows(q2_ * m, 0.0);
    parallel_for(bordered ? (q2_ + stretch - 1) / stretch : 0, [&](size_t part) {
        const size_t last = std::min(q2_, (part + 1) * stretch);
        for (size_t c = part * stretch; c < last; ++c) {
            double* row = rows.data() + c * m;
            if (c < rest)
                for (size_t i = 0; i < m; ++i) row[i] = -SdE_[c * m + i];
            else
                row[c - rest] = 1.0;
            for (size_t i = 0; i < m; ++i) {  // row <- row C^-1, by columns of C'
                double v = row[i];
                for (size_t k = 0; k < i; ++k) v -= row[k] * C_(i, k);
                row[i] = v / C_(i, i);
            }
        }
    });
    return rows;
}

// a' P^-1 a for the cells a of a leading level; `work` has as many values as the border has levels.
double IterativeEvaluation::known_form(size_t j, const std::vector<double>& rows,
                                       std::vector<double>& work) const {
    const size_t m = work.size(), rest = q2_ - m;
    std::fill(work.begin(), work.end(), 0.0);
    double own = 0.0;
    for (auto e = N_.leading.start[j]; e < N_.leading.start[j + 1]; ++e) {
        const auto c = static_cast<size_t>(N_.leading.index[e]);
        const double v = scale_[c] * N_.leading.value[e];
        if (c < rest) own += v * v;
        const double* row = rows.data() + c * m;
        for (size_t i = 0; i < m; ++i) work[i] += v * row[i];
    }
    return own + dot(work.data(), work.data(), m);
}

// The traces of P^-1 in the place of S^-1.
void IterativeEvaluation::known_traces(std::vector<double>& h) const {
    const size_t m = C_.rows, rest = q2_ - m;
    const std::vector<double> rows = known_rows();
    std::vector<double> trace(k_, 0.0);
    for (size_t c = 0; c < q2_; ++c) {
        const double* row = rows.data() + c * m;
        const double inverse = (c < rest ? 1.0 : 0.0) + dot(row, row, m);
        trace[term_of_[c]] += root_[c] * root_[c] * inverse;
    }
    for (size_t t = 1; t < k_; ++t)
        h[t] += (static_cast<double>(N_.levels[t]) - trace[t]) / gamma_[t];
    std::vector<double> sums(shares, 0.0);
    parallel_for(shares, [&](size_t share) {
        std::vector<double> work(m);
        double sum = 0.0;
        for (size_t j = parts_[share]; j < parts_[share + 1]; ++j)
            sum += known_form(j, rows, work) / (d_[j] * d_[j]);
        sums[share] = sum;
    });
    for (double sum : sums) h[0] -= sum;
}

}  // namespace mm
