#include "equations.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mm {
namespace {

// Rows of A^-1 for a small positive definite A, by Cholesky.
std::vector<double> invert(std::vector<double> A, size_t k) {
    for (size_t t = 0; t < k; ++t) A[t * k + t] *= 1.0 + 1e-12;
    if (!cholesky(A.data(), k, k)) return {};
    cholesky_inverse(A.data(), k, k);
    for (size_t s = 0; s < k; ++s)
        for (size_t t = 0; t < s; ++t) A[s * k + t] = A[t * k + s];
    return A;
}

// Monte Carlo error of gamma over its standard error: A^-1 C A^-1 against 2 A^-1, both on the terms
// that are not zero.
std::vector<double> error_shares(const IterativeEvaluation& evaluation,
                                 const std::vector<double>& gamma) {
    const size_t k = gamma.size();
    std::vector<size_t> free;
    for (size_t t = 0; t < k; ++t)
        if (gamma[t] > 0.0) free.push_back(t);
    std::vector<double> shares(k, 0.0);
    const size_t m = free.size();
    if (m == 0) return shares;
    std::vector<double> A(m * m), C(m * m);
    const std::vector<double> error = evaluation.gradient_error();
    for (size_t i = 0; i < m; ++i)
        for (size_t j = 0; j < m; ++j) {
            A[i * m + j] = evaluation.information[free[i] * k + free[j]];
            C[i * m + j] = error[free[i] * k + free[j]];
        }
    A = invert(std::move(A), m);
    if (A.empty()) return std::vector<double>(k, std::numeric_limits<double>::infinity());
    for (size_t i = 0; i < m; ++i) {
        double variance = 0.0;
        for (size_t a = 0; a < m; ++a)
            for (size_t b = 0; b < m; ++b) variance += A[i * m + a] * C[a * m + b] * A[b * m + i];
        shares[free[i]] = std::sqrt(variance / (2.0 * A[i * m + i]));
    }
    return shares;
}

}  // namespace

Solution solve_equations(IterativeEvaluation& evaluation, const CrossProducts& data,
                         std::vector<double> start, const EquationsControl& control) {
    const Structure& structure = *data.structure;
    const size_t k = evaluation.terms();
    const Scale unit(structure);
    Solution out;
    Optimum& best = out.optimum;
    const auto evaluate = [&](const std::vector<double>& gamma, bool log_determinant) {
        ++best.evaluations;
        evaluation.evaluate(unit.inside(gamma).data(), log_determinant);
    };

    std::vector<double> gamma = unit.nearer(std::move(start)), step(k, 0.0), from = gamma;
    double slope = 0.0, taken = 0.0;
    evaluate(gamma, false);
    for (int number = 0;; ++number) {
        const std::vector<double>& g = evaluation.gradient;
        if (number > 0) {
            // Beyond the minimum along the step, and further than we came from it: go back half.
            double here = 0.0;
            for (size_t t = 0; t < k; ++t) here += g[t] * step[t];
            for (int halvings = 0;
                 halvings < 30 && !(here <= 0.9 * std::abs(slope) && std::isfinite(evaluation.r2));
                 ++halvings) {
                taken *= 0.5;
                for (size_t t = 0; t < k; ++t) gamma[t] = from[t] + taken * step[t];
                evaluate(gamma, false);
                here = 0.0;
                for (size_t t = 0; t < k; ++t) here += g[t] * step[t];
            }
        }
        step = bounded_step(gamma, g, evaluation.information);
        slope = dot(g.data(), step.data(), k);
        best.decrement = -slope;
        best.gamma = gamma;
        best.gradient = g;
        best.information = evaluation.information;
        best.trace.push_back({number, best.evaluations, std::numeric_limits<double>::quiet_NaN(),
                              taken, -slope, gamma, g});
        if (control.on_iteration) control.on_iteration(best.trace.back());
        if (!(-slope > control.tolerance)) {
            out.monte_carlo = error_shares(evaluation, gamma);
            const double worst = *std::max_element(out.monte_carlo.begin(), out.monte_carlo.end());
            const size_t probes = evaluation.probes();
            if (!(worst > control.monte_carlo) || probes >= control.most_probes) {
                best.ending = worst > 1.1 * control.monte_carlo ? Ending::too_few_probes
                              : unit.out_of_reach(gamma)        ? Ending::out_of_reach
                                                                : Ending::converged;
                break;
            }
            const double ratio = worst / control.monte_carlo;
            const double wanted = 1.2 * ratio * ratio * static_cast<double>(probes);
            evaluation.add_probes(
                static_cast<size_t>(std::min(wanted, static_cast<double>(control.most_probes)) -
                                    static_cast<double>(probes) + 1.0));
            evaluate(gamma, false);
            step.assign(k, 0.0);
            slope = 0.0;
            continue;
        }
        if (unit.perfect_fit(gamma)) {
            best.ending = Ending::perfect_fit;
            break;
        }
        if (number >= control.most_iterations) break;
        from = gamma;
        taken = 1.0;
        for (size_t t = 0; t < k; ++t) gamma[t] = std::max(0.0, gamma[t] + step[t]);
        evaluate(gamma, false);
    }
    if (control.log_determinant) evaluate(best.gamma, true);
    return out;
}

}  // namespace mm
