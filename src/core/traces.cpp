// The gradient of an iterative evaluation: its traces from probes, and what is known of them
// exactly.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "dense.hpp"
#include "iterative.hpp"
#include "quadrature.hpp"
#include "threads.hpp"

namespace mm {
namespace {

constexpr size_t L = lanes;

std::uint64_t mix(std::uint64_t z) {  // splitmix64
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

}  // namespace

IterativeEvaluation::Block IterativeEvaluation::probe_block(size_t block) const {
    Block z(q2_ * L);
    for (size_t l = 0; l < L; ++l) {
        const std::uint64_t stream = mix(control_.seed ^ mix(block * L + l + 1));
        for (size_t c = 0; c < q2_; ++c) z[c * L + l] = mix(stream + c) >> 63 ? 1.0 : -1.0;
    }
    return z;
}

void IterativeEvaluation::traces(bool log_determinant) {
    // What is known exactly: the leading term's share and, for REML, what beta takes away.
    std::vector<double> h(k_, 0.0);
    for (size_t j = 0; j < q0_; ++j) h[0] += N_.count[j] / d_[j];
    if (reml_ && rank_ > 0) {
        // Gram matrices of M^-1 Lambda Z'X, term by term.
        const size_t p = rank_;
        std::vector<std::vector<double>> gram(k_, std::vector<double>(p * p, 0.0));
        std::vector<double> w(p);
        const auto add = [&](std::vector<double>& g) {
            for (size_t i = 0; i < p; ++i)
                for (size_t j = 0; j <= i; ++j) g[i * p + j] += w[i] * w[j];
        };
        for (size_t c = 0; c < q2_; ++c) {
            for (size_t i = 0; i < p; ++i) w[i] = root_[c] * solved_[i / L][c * L + i % L];
            add(gram[term_of_[c]]);
        }
        const double s0 = std::sqrt(gamma_[0]);
        std::vector<std::vector<double>> of_share(shares, std::vector<double>(p * p, 0.0));
        parallel_for(shares, [&](size_t share) {
            // Levels by the block, so that their products are one of matrices.
            constexpr size_t block = 256;
            std::vector<double> rows(block * p);
            for (size_t from = parts_[share]; from < parts_[share + 1]; from += block) {
                const size_t to = std::min(from + block, parts_[share + 1]);
                for (size_t i = 0; i < p; ++i)
                    for (size_t j = from; j < to; ++j)
                        rows[(j - from) * p + i] = structure_.ZtX(j, i);
                for (size_t j = from; j < to; ++j) {
                    double* row = rows.data() + (j - from) * p;
                    for (auto e = N_.leading.start[j]; e < N_.leading.start[j + 1]; ++e) {
                        const auto c = static_cast<size_t>(N_.leading.index[e]);
                        const double v = N_.leading.value[e] * scale_[c];
                        for (size_t b = 0; b * L < p; ++b) {
                            const double* x = solved_[b].data() + c * L;
                            for (size_t i = b * L; i < std::min(p, (b + 1) * L); ++i)
                                row[i] -= v * x[i - b * L];
                        }
                    }
                    for (size_t i = 0; i < p; ++i) row[i] *= s0 / d_[j];
                }
                subtract_product(p, p, to - from, {rows.data(), 1, p}, {rows.data(), 1, p},
                                 of_share[share].data(), p);
            }
        });
        for (const auto& part : of_share)
            for (size_t i = 0; i < p * p; ++i) gram[0][i] -= part[i];
        // tr(R_X^-T gram R_X^-1)
        const Matrix T = invert_upper(RX);
        for (size_t t = 0; t < k_; ++t) {
            double sum = 0.0;
            for (size_t c = 0; c < p; ++c)
                for (size_t i = 0; i <= c; ++i)
                    for (size_t j = 0; j <= c; ++j)
                        sum += T(i, c) * T(j, c) * gram[t][std::max(i, j) * p + std::min(i, j)];
            h[t] -= sum / gamma_[t];
        }
    }

    known_traces(h);
    const size_t probes = control_.probes;
    samples_.assign(probes * k_, 0.0);
    std::vector<double> logs;
    std::vector<double> f(q0_);
    for (size_t j = 0; j < q0_; ++j) f[j] = 1.0 / (d_[j] * d_[j]);
    for (size_t b = 0; b < probes / L; ++b) {
        Block z = probe_block(b);
        Recurrence recurrence;
        solve(z, probe_solved_[b], control_.probe_tolerance, log_determinant,
              log_determinant ? &recurrence : nullptr);
        Block x = probe_solved_[b];
        for (size_t i = 0; i < x.size(); ++i) x[i] -= z[i];
        precondition(z);
        precondition(x);
        // x' s N_21 D^-2 N_12 s z, row by row of the cells
        std::vector<double> part(shares * L, 0.0);
        parallel_for(shares, [&](size_t i) {
            double sum[L] = {};
            for (size_t j = parts_[i]; j < parts_[i + 1]; ++j) {
                double tz[L] = {}, tx[L] = {};
                for (auto e = N_.leading.start[j]; e < N_.leading.start[j + 1]; ++e) {
                    const auto c = static_cast<size_t>(N_.leading.index[e]);
                    const double v = N_.leading.value[e] * scale_[c];
                    for (size_t l = 0; l < L; ++l) {
                        tz[l] += v * z[c * L + l];
                        tx[l] += v * x[c * L + l];
                    }
                }
                for (size_t l = 0; l < L; ++l) sum[l] += f[j] * tz[l] * tx[l];
            }
            std::copy(sum, sum + L, part.begin() + static_cast<std::ptrdiff_t>(i * L));
        });
        for (size_t l = 0; l < L; ++l) {
            double* sample = samples_.data() + (b * L + l) * k_;
            for (size_t i = 0; i < shares; ++i) sample[0] -= part[i * L + l];
            for (size_t c = 0; c < q2_; ++c) {
                const size_t t = term_of_[c];
                sample[t] -= root_[c] * root_[c] * z[c * L + l] * x[c * L + l];
            }
            for (size_t t = 1; t < k_; ++t) sample[t] /= gamma_[t];
            if (log_determinant)
                logs.push_back(static_cast<double>(q2_) *
                               log_quadrature(recurrence.alpha[l], recurrence.beta[l]));
        }
    }
    gradient.assign(k_, 0.0);
    for (size_t t = 0; t < k_; ++t) {
        double mean = 0.0;
        for (size_t i = 0; i < probes; ++i) mean += samples_[i * k_ + t];
        gradient[t] = h[t] + mean / static_cast<double>(probes) - nu_ * ee_[t] / r2;
    }
    if (log_determinant) {
        const auto m = static_cast<double>(logs.size());
        const double mean = std::accumulate(logs.begin(), logs.end(), 0.0) / m;
        double squares = 0.0;
        for (double v : logs) squares += (v - mean) * (v - mean);
        log_det_M = mean + log_det_border_;
        log_det_M_error = std::sqrt(squares / (m * (m - 1.0)));
        for (size_t c = 0; c < q2_; ++c) log_det_M -= 2.0 * std::log(root_[c]);
        for (double d : d_) log_det_M += std::log(d);
    }
}

std::vector<double> IterativeEvaluation::gradient_error() const {
    const auto m = static_cast<double>(control_.probes);
    std::vector<double> mean(k_, 0.0), cov(k_ * k_, 0.0);
    for (size_t i = 0; i < control_.probes; ++i)
        for (size_t t = 0; t < k_; ++t) mean[t] += samples_[i * k_ + t] / m;
    for (size_t i = 0; i < control_.probes; ++i)
        for (size_t s = 0; s < k_; ++s)
            for (size_t t = 0; t < k_; ++t)
                cov[s * k_ + t] += (samples_[i * k_ + s] - mean[s]) *
                                   (samples_[i * k_ + t] - mean[t]) / (m * (m - 1.0));
    return cov;
}

}  // namespace mm
