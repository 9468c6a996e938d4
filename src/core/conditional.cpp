// The diagonal of M^-1 without a factorisation: the conditional variances of the random effects.
#include <algorithm>
#include <cmath>

#include "iterative.hpp"
#include "threads.hpp"

namespace mm {
namespace {

constexpr size_t L = lanes;
constexpr double tolerance = 1e-10, probe_tolerance = 1e-6;

}  // namespace

// With a the cells of leading level j, (M^-1)_jj = 1/d_j + gamma_1 a's S^-1 s a / d_j^2.
std::vector<double> IterativeEvaluation::inverse_diagonal(const double* gamma,
                                                          const std::vector<size_t>& levels) {
    set_scale(gamma);
    const SparseRows& A = N_.leading;
    std::vector<double> out(levels.size());
    for (size_t first = 0; first < levels.size(); first += L) {
        const size_t count = std::min(L, levels.size() - first);
        Block right(q2_ * L, 0.0);
        for (size_t l = 0; l < count; ++l) {
            const size_t level = levels[first + l];
            if (level >= q0_) {
                right[(level - q0_) * L + l] = 1.0;
                continue;
            }
            for (auto e = A.start[level]; e < A.start[level + 1]; ++e) {
                const auto c = static_cast<size_t>(A.index[e]);
                right[c * L + l] = scale_[c] * A.value[e];
            }
        }
        Block reduced = right, x;
        precondition_transposed(reduced);
        solve(reduced, x, tolerance, true, nullptr);
        precondition(x);
        for (size_t l = 0; l < count; ++l) {
            const size_t level = levels[first + l];
            double form = 0.0;
            for (size_t c = 0; c < q2_; ++c) form += right[c * L + l] * x[c * L + l];
            if (level >= q0_)
                out[first + l] = root_[level - q0_] * root_[level - q0_] * form;
            else
                out[first + l] = 1.0 / d_[level] + gamma_[0] * form / (d_[level] * d_[level]);
        }
    }
    return out;
}

// Hutchinson's estimate entry by entry (Bekas, Kokiopoulou & Saad 2007, Appl. Numer. Math. 57:1214)
// of what the preconditioner does not know.
IterativeEvaluation::Estimate IterativeEvaluation::estimate_inverse_diagonal(const double* gamma,
                                                                             size_t probes) {
    set_scale(gamma);
    const size_t blocks = (probes + L - 1) / L;
    const auto count = static_cast<double>(blocks * L);
    std::vector<double> sum(q_, 0.0), squares(q_, 0.0);
    for (size_t b = 0; b < blocks; ++b) {
        Block z = probe_block(b), x;
        solve(z, x, probe_tolerance, true, nullptr);
        for (size_t i = 0; i < x.size(); ++i) x[i] -= z[i];
        precondition(z);
        precondition(x);
        const auto add = [&](size_t level, const double* v) {
            for (size_t l = 0; l < L; ++l) {
                sum[level] += v[l];
                squares[level] += v[l] * v[l];
            }
        };
        parallel_for(shares, [&](size_t share) {
            double v[L];
            for (size_t j = parts_[share]; j < parts_[share + 1]; ++j) {
                double tz[L] = {}, tx[L] = {};
                for (auto e = N_.leading.start[j]; e < N_.leading.start[j + 1]; ++e) {
                    const auto c = static_cast<size_t>(N_.leading.index[e]);
                    const double f = N_.leading.value[e] * scale_[c];
                    for (size_t l = 0; l < L; ++l) {
                        tz[l] += f * z[c * L + l];
                        tx[l] += f * x[c * L + l];
                    }
                }
                for (size_t l = 0; l < L; ++l) v[l] = tz[l] * tx[l];
                add(j, v);
            }
        });
        double v[L];
        for (size_t c = 0; c < q2_; ++c) {
            for (size_t l = 0; l < L; ++l) v[l] = z[c * L + l] * x[c * L + l];
            add(q0_ + c, v);
        }
    }

    Estimate out{std::vector<double>(q_), std::vector<double>(q_)};
    const size_t m = C_.rows, rest = q2_ - m;
    const std::vector<double> rows = known_rows();
    std::vector<double> work(m);
    for (size_t l = 0; l < q_; ++l) {
        const double mean = sum[l] / count;
        const double spread =
            std::sqrt(std::max(0.0, squares[l] / count - mean * mean) / (count - 1.0));
        double base = 0.0, factor = 0.0, known = 0.0, least = 0.0;
        if (l < q0_) {
            base = least = 1.0 / d_[l];
            factor = gamma_[0] / (d_[l] * d_[l]);
            known = known_form(l, rows, work);
        } else {
            const size_t c = l - q0_;
            const double* row = rows.data() + c * m;
            factor = root_[c] * root_[c];
            known = (c < rest ? 1.0 : 0.0) + dot(row, row, m);
            least = 1.0 / (1.0 + s_[l] * s_[l] * N_.count[l]);
        }
        // Between what the level's own rows would leave and what no rows would.
        out.value[l] = std::clamp(base + factor * (known + mean), least, 1.0);
        out.error[l] = factor * spread;
    }
    return out;
}

}  // namespace mm
