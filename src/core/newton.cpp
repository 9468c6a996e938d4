#include "newton.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mm {
namespace {

constexpr double sufficient_decrease = 1e-4;
constexpr int most_halvings = 40;
// Another minimum must be lower by more than rounding to be preferred.
constexpr double least_improvement = 1e-8;
// Below this, a decrement that no longer falls is made of rounding errors.
constexpr double rounding = 1e-9;
// Close to the optimum the decrement should fall by far more than this an iteration; where it does
// not, the average information is a poor Hessian and is corrected.
constexpr double near_decrement = 0.1, slow_rate = 0.01;
// A step that promises less than this, and leads to a minimum that is known, will get there.
constexpr double returning_decrement = 0.5;

// Solves the symmetric positive definite k x k system restricted to `free`; the rest of x is kept.
void solve_free(const std::vector<double>& A, size_t k, const std::vector<char>& free,
                const std::vector<double>& rhs, std::vector<double>& x) {
    std::vector<size_t> index;
    for (size_t t = 0; t < k; ++t)
        if (free[t]) index.push_back(t);
    const size_t m = index.size();
    if (m == 0) return;
    // Scaled to a unit diagonal, so that the ridge for a singular A has a meaning.
    std::vector<double> scale(m);
    for (size_t i = 0; i < m; ++i) {
        const double a = A[index[i] * k + index[i]];
        scale[i] = a > 0.0 ? 1.0 / std::sqrt(a) : 1.0;
    }
    for (double ridge = 0.0;; ridge = ridge == 0.0 ? 1e-10 : 100.0 * ridge) {
        std::vector<double> B(m * m), b(m);
        for (size_t j = 0; j < m; ++j) {
            for (size_t i = j; i < m; ++i)
                B[j * m + i] = A[index[i] * k + index[j]] * scale[i] * scale[j];
            B[j * m + j] += ridge;
            double v = rhs[index[j]];
            for (size_t t = 0; t < k; ++t)
                if (!free[t]) v -= A[index[j] * k + t] * x[t];
            b[j] = v * scale[j];
        }
        if (!cholesky(B.data(), m, m)) {
            if (ridge > 1e10) return;
            continue;
        }
        forward_solve(B.data(), m, m, b.data(), m, 1);
        backward_solve(B.data(), m, m, b.data(), m, 1);
        for (size_t i = 0; i < m; ++i) x[index[i]] = b[i] * scale[i];
        return;
    }
}

}  // namespace

Correction::Correction(size_t k) : k_(k), C_(k * k, 0.0) {}

void Correction::learn(const std::vector<double>& A, const std::vector<double>& step,
                       const std::vector<double>& gradient_change) {
    std::vector<double> v = gradient_change;
    for (size_t i = 0; i < k_; ++i)
        for (size_t j = 0; j < k_; ++j) v[i] -= (A[i * k_ + j] + C_[i * k_ + j]) * step[j];
    // Terms that do not move, at the boundary, are left as they are.
    for (size_t i = 0; i < k_; ++i)
        if (step[i] == 0.0) v[i] = 0.0;
    const double vs = dot(v.data(), step.data(), k_);
    const double vv = dot(v.data(), v.data(), k_), ss = dot(step.data(), step.data(), k_);
    if (!(std::abs(vs) > 1e-8 * std::sqrt(vv * ss))) return;
    for (size_t i = 0; i < k_; ++i)
        for (size_t j = 0; j < k_; ++j) C_[i * k_ + j] += v[i] * v[j] / vs;
}

std::vector<double> Correction::corrected(const std::vector<double>& A) {
    constexpr double least_share = 0.1;
    std::vector<double> B(A), scaled(A);
    for (size_t i = 0; i < k_ * k_; ++i) B[i] += C_[i];
    for (size_t i = 0; i < k_; ++i)
        for (size_t j = 0; j < k_; ++j)
            scaled[i * k_ + j] = B[i * k_ + j] - least_share * A[i * k_ + j];
    if (cholesky(scaled.data(), k_, k_)) return B;
    std::fill(C_.begin(), C_.end(), 0.0);
    return A;
}

std::vector<double> bounded_step(const std::vector<double>& gamma, const std::vector<double>& g,
                                 const std::vector<double>& A) {
    const size_t k = gamma.size();
    std::vector<double> step(k, 0.0), minus_g(k);
    std::vector<char> free(k);
    for (size_t t = 0; t < k; ++t) {
        minus_g[t] = -g[t];
        free[t] = gamma[t] > 0.0 || g[t] < 0.0;
    }
    for (size_t round = 0; round < 4 * k + 4; ++round) {
        for (size_t t = 0; t < k; ++t)
            if (!free[t]) step[t] = -gamma[t];
        solve_free(A, k, free, minus_g, step);
        bool changed = false;
        for (size_t t = 0; t < k; ++t)
            if (free[t] && gamma[t] + step[t] < 0.0) {
                free[t] = 0;
                changed = true;
            }
        if (changed) continue;
        // Release the bound with the most negative multiplier, if there is one.
        size_t worst = k;
        double least = 0.0;
        for (size_t t = 0; t < k; ++t) {
            if (free[t]) continue;
            double multiplier = g[t];
            for (size_t s = 0; s < k; ++s) multiplier += A[t * k + s] * step[s];
            if (multiplier < least) {
                least = multiplier;
                worst = t;
            }
        }
        if (worst == k) break;
        free[worst] = 1;
    }
    for (size_t t = 0; t < k; ++t)
        if (gamma[t] + step[t] < 0.0) step[t] = -gamma[t];
    return step;
}

Scale::Scale(const Structure& structure) {
    for (const size_t levels : structure.N.levels)
        unit_.push_back(static_cast<double>(levels) / structure.sum_weights);
}

std::vector<double> Scale::nearer(std::vector<double> gamma) const {
    for (size_t t = 0; t < gamma.size(); ++t) gamma[t] = std::min(gamma[t], 1e8 * unit_[t]);
    return gamma;
}

std::vector<double> Scale::inside(std::vector<double> gamma) const {
    for (size_t t = 0; t < gamma.size(); ++t) gamma[t] = std::max(gamma[t], 1e-10 * unit_[t]);
    return gamma;
}

bool Scale::perfect_fit(const std::vector<double>& gamma) const {
    for (size_t t = 0; t < gamma.size(); ++t)
        if (gamma[t] > 1e14 * unit_[t]) return true;
    return false;
}

bool Scale::out_of_reach(const std::vector<double>& gamma) const {
    for (size_t t = 0; t < gamma.size(); ++t)
        if (gamma[t] > 1e8 * unit_[t]) return true;
    return false;
}

std::vector<double> moment_start(const CrossProducts& data) {
    const Structure& s = *data.structure;
    const CrossTabulation& N = s.N;
    const size_t k = N.terms(), m = k + 1;
    // Normal equations of an unsymmetric system keep it small and safe to factor.
    std::vector<double> K(m * m, 0.0), r(m, 0.0);
    for (size_t t = 0; t < k; ++t) {
        for (size_t l = N.offset[t]; l < N.offset[t + 1]; ++l)
            r[t] += data.Zty[l] * data.Zty[l] / N.count[l];
        for (size_t u = 0; u < k; ++u) K[t * m + u] = N.squares[t * k + u];
        K[t * m + k] = static_cast<double>(N.levels[t]);
        K[k * m + t] = s.sum_weights;
    }
    K[k * m + k] = static_cast<double>(s.n);
    r[k] = data.yty;
    for (size_t i = 0; i < m; ++i) {
        const double scale = 1.0 / K[i * m + k];
        for (size_t j = 0; j < m; ++j) K[i * m + j] *= scale;
        r[i] *= scale;
    }
    std::vector<double> A(m * m), b(m, 0.0), x(m, 0.0);
    for (size_t i = 0; i < m; ++i)
        for (size_t j = 0; j < m; ++j) {
            for (size_t l = 0; l < m; ++l) A[i * m + j] += K[l * m + i] * K[l * m + j];
        }
    for (size_t i = 0; i < m; ++i)
        for (size_t l = 0; l < m; ++l) b[i] += K[l * m + i] * r[l];
    solve_free(A, m, std::vector<char>(m, 1), b, x);

    std::vector<double> gamma(k, 1.0);
    if (!(x[k] > 0.0)) return gamma;
    for (size_t t = 0; t < k; ++t) {
        const double mean_count = s.sum_weights / static_cast<double>(N.levels[t]);
        gamma[t] = std::clamp(x[t] / x[k], 0.05 / mean_count, 1e4);
    }
    return gamma;
}

namespace {

// `known`: a minimum found before, or nothing.
Optimum descend(Evaluation& evaluation, std::vector<double> start, const NewtonControl& control,
                const std::vector<double>& known) {
    const size_t k = evaluation.terms();
    const Structure& structure = evaluation.structure();
    const Scale unit(structure);
    Optimum best;
    const auto evaluate = [&](const std::vector<double>& gamma) {
        ++best.evaluations;
        return evaluation.objective(unit.inside(gamma).data());
    };

    std::vector<double> gamma = unit.nearer(std::move(start));
    double value = evaluate(gamma);
    for (int tries = 0; !std::isfinite(value) && tries < 60; ++tries) {
        for (double& g : gamma) g *= 0.1;
        value = evaluate(gamma);
    }
    double taken = 0.0;
    Correction correction(k);
    std::vector<double> moved;
    for (int number = 0;; ++number) {
        evaluation.derivatives();
        const std::vector<double>& g = evaluation.gradient;
        const std::vector<double>& A = evaluation.information;
        std::vector<double> step = bounded_step(gamma, g, A);
        double slope = dot(g.data(), step.data(), k);
        if (!moved.empty() && best.decrement < near_decrement &&
            -slope > slow_rate * best.decrement && -slope > control.tolerance) {
            std::vector<double> change(g);
            for (size_t t = 0; t < k; ++t) change[t] -= best.gradient[t];
            correction.learn(A, moved, change);
            step = bounded_step(gamma, g, correction.corrected(A));
            slope = dot(g.data(), step.data(), k);
        }

        const bool stalled = number > 0 && -slope < rounding && -slope > 0.5 * best.decrement;
        best.objective = value;
        best.decrement = -slope;
        best.gamma = gamma;
        best.gradient = g;
        best.information = evaluation.information;
        best.trace.push_back({number, best.evaluations, value, taken, -slope, gamma, g});
        if (control.on_iteration) control.on_iteration(best.trace.back());

        // Steps too short for the criterion to tell are taken as they are.
        const double noise = std::max(4e-15 * (std::abs(value) + evaluation.nu()),
                                      -slope < rounding ? rounding : 0.0);
        if (!known.empty() && -slope < returning_decrement) {
            // A descent that is about to come back to the minimum that is known has nothing more to
            // tell.
            bool same = true;
            for (size_t t = 0; t < k; ++t)
                same = same && std::abs(gamma[t] + step[t] - known[t]) <=
                                   0.02 * std::max(known[t], unit[t]);
            if (same) {
                best.ending = Ending::no_progress;
                break;
            }
        }
        if (!std::isfinite(slope) ||
            !std::all_of(A.begin(), A.end(), [](double a) { return std::isfinite(a); })) {
            best.decrement = std::numeric_limits<double>::quiet_NaN();
            best.ending = Ending::no_progress;
            break;
        }
        if (!(-slope > control.tolerance) || stalled) {
            best.ending = Ending::converged;
            break;
        }
        if (-slope < control.last_step) {
            for (size_t t = 0; t < k; ++t) best.gamma[t] = std::max(0.0, gamma[t] + step[t]);
            best.objective = evaluate(best.gamma);
            best.ending = Ending::converged;
            break;
        }
        if (unit.perfect_fit(gamma)) {
            best.ending = Ending::perfect_fit;
            break;
        }
        if (number >= control.most_iterations) break;

        std::vector<double> trial(k);
        double next = std::numeric_limits<double>::infinity();
        taken = 1.0;
        int halvings = 0;
        for (; halvings < most_halvings; ++halvings, taken *= 0.5) {
            for (size_t t = 0; t < k; ++t)
                trial[t] = taken == 1.0 && step[t] == -gamma[t] ? 0.0 : gamma[t] + taken * step[t];
            next = evaluate(trial);
            if (next <= value + sufficient_decrease * taken * slope + noise) break;
        }
        if (halvings == most_halvings) {
            best.ending = Ending::no_progress;
            break;
        }
        moved.resize(k);
        for (size_t t = 0; t < k; ++t) moved[t] = trial[t] - gamma[t];
        gamma = trial;
        value = next;
    }

    return best;
}

}  // namespace

Optimum newton(Evaluation& evaluation, std::vector<double> start, const NewtonControl& control) {
    Optimum best = descend(evaluation, std::move(start), control, {});
    const size_t k = evaluation.terms();
    // The criterion may have several minima. Where another descent costs next to nothing, more are
    // made: from all ratios one, from all ten, and from the best so far with a single ratio
    // moved, to one or to nearly nothing; until none of these finds a lower minimum.
    if (control.cheap && best.ending != Ending::perfect_fit) {
        NewtonControl silent = control;
        silent.on_iteration = nullptr;
        const auto improves = [&](std::vector<double> from) {
            Optimum other = descend(evaluation, std::move(from), silent, best.gamma);
            best.evaluations += other.evaluations;
            if (other.ending != Ending::converged ||
                !(other.objective < best.objective - least_improvement))
                return false;
            other.evaluations = best.evaluations;
            best = std::move(other);
            if (control.on_iteration)
                for (const Iteration& it : best.trace) control.on_iteration(it);
            return true;
        };
        for (const double ratio : {1.0, 10.0}) improves(std::vector<double>(k, ratio));
        for (bool improved = true; improved;) {
            improved = false;
            for (size_t t = 0; t < k && !improved; ++t)
                for (const double ratio : {1.0, 1e-2}) {
                    std::vector<double> moved = best.gamma;
                    if (ratio < 1.0 ? moved[t] <= ratio : k == 1) continue;
                    moved[t] = ratio;
                    improved = improved || improves(std::move(moved));
                }
        }
    }
    // Traces stand just inside the boundary, and restarts elsewhere; the answer stands here.
    if (evaluation.gamma() != best.gamma) best.objective = evaluation.objective(best.gamma.data());
    evaluation.solve();
    return best;
}

}  // namespace mm
