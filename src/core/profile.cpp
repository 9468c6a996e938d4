#include "profile.hpp"

#include <algorithm>
#include <cmath>

#include "fit.hpp"

namespace mm {
namespace {

// Of zeta: where it must be met (the tangent then takes it there, to the square of that), and as a
// part of the way from one target to the next.
constexpr double exactly = 1e-6, about = 0.15;
constexpr int most_trials = 60;
// Of a bracket, relative to where it is.
constexpr double no_width = 1e-11;
// A criterion must be lower by more than rounding to be another minimum's.
constexpr double another_minimum = 1e-6;
// A residual standard deviation this part of its estimate is none.
constexpr double nearly_zero = 1e-5;

// Where zeta would be `goal`, by the curve of the last two points, or by the tangent.
double extrapolated(const ProfilePoint& last, const ProfilePoint* before, double goal) {
    const double h = goal - last.zeta, tangent = h / last.slope;
    if (before == nullptr || !(before->slope > 0.0)) return last.x + tangent;
    const double bend = (1.0 / last.slope - 1.0 / before->slope) / (last.zeta - before->zeta);
    const double step = tangent + 0.5 * h * h * bend;
    return last.x + (step / tangent > 0.25 && step / tangent < 4.0 ? step : tangent);
}

}  // namespace

struct Profiler::Line {
    size_t parameter;
    Held& held;
    double estimate, minimum, first_slope;
    bool positive, zero_allowed;
    Profile profile;
};

Profiler::Profiler(const CrossProducts& data, const SchurPlan& plan, bool reml,
                   std::vector<double> gamma, std::vector<Target> targets,
                   std::function<void(size_t, double)> on_point)
    : data_(data),
      plan_(plan),
      reml_(reml),
      gamma_(std::move(gamma)),
      targets_(std::move(targets)),
      on_point_(std::move(on_point)) {}

Profile Profiler::profile(size_t parameter) {
    const size_t k = gamma_.size();
    Profile nothing;
    nothing.lower = nothing.upper = false;
    std::unique_ptr<Held> held;
    double estimate = 0.0, first_slope = 1.0;
    if (parameter <= k) {
        auto variance = std::make_unique<HeldVariance>(data_, plan_, reml_, parameter, gamma_);
        estimate = variance->estimate();
        if (!variance->minimise(estimate)) return nothing;
        const double a = variance->curvature();
        first_slope = std::sqrt(2.0 * a) * estimate;
        if (estimate == 0.0) {
            // d = g v + a v^2 / 2 at the boundary
            const double g = std::max(0.0, variance->gradient()), z = targets_[0].zeta;
            first_slope = z / std::sqrt((std::sqrt(g * g + 2.0 * a * z * z) - g) / a);
        }
        held = std::move(variance);
    } else {
        const size_t j = parameter - k - 1;
        Evaluation full(data_, plan_, false);
        full.objective(gamma_.data());
        const Matrix V = unscaled_covariance(full.RX, data_.structure->basis.R);
        estimate = original_beta(data_, full.beta)[j];
        first_slope = 1.0 / std::sqrt(V(j, j) * full.r2 / full.nu());
        held = std::make_unique<HeldCoefficient>(data_, plan_, j, gamma_);
    }
    if (!held->minimise(estimate)) return nothing;
    Line line{parameter,   *held,          estimate,      held->value,
              first_slope, parameter <= k, parameter < k, {}};
    const std::vector<double> sds = held->sds;
    line.profile.points.push_back({estimate, 0.0, first_slope, held->sds, held->beta});
    if (estimate > 0.0 || !line.positive) {
        follow(line, -1);
        std::reverse(line.profile.points.begin(), line.profile.points.end());
        held->restart();
    } else {
        line.profile.at_zero = true;
    }
    if (!lower_at) follow(line, 1);
    return std::move(line.profile);
}

std::optional<ProfilePoint> Profiler::at(Line& line, double x, int side) {
    Held& held = line.held;
    if (!held.minimise(x)) return std::nullopt;
    const double rise = held.value - line.minimum;
    if (rise < -another_minimum - 1e-13 * std::abs(line.minimum)) {
        lower_at = held.gamma;
        return std::nullopt;
    }
    ProfilePoint point{x, side * std::sqrt(std::max(0.0, rise)), 0.0, held.sds, held.beta};
    if (point.zeta != 0.0) point.slope = 0.5 * held.slope / point.zeta;
    if (on_point_) on_point_(line.parameter, point.zeta);
    return point;
}

void Profiler::follow(Line& line, int side) {
    std::vector<ProfilePoint>& points = line.profile.points;
    const size_t first = points.size() - 1;
    bool& complete = side < 0 ? line.profile.lower : line.profile.upper;
    std::optional<ProfilePoint> beyond;  // the nearest point known that is past the target
    for (size_t i = 0; i < targets_.size(); ++i) {
        const double goal = side * targets_[i].zeta;
        const double gap = std::abs(goal - points.back().zeta);
        const double tolerance = targets_[i].exact ? exactly : about * gap;
        if (beyond && std::abs(beyond->zeta) <= targets_[i].zeta) beyond.reset();
        ProfilePoint inner = points.back();
        double x = extrapolated(
            inner, points.size() > first + 1 ? &points[points.size() - 2] : nullptr, goal);
        // Where zeta is not monotone, no tangent tells the way.
        if (!((x - inner.x) * side > 0.0)) x = inner.x + side * gap / line.first_slope;
        if (beyond && !((x - beyond->x) * side < 0.0)) x = 0.5 * (inner.x + beyond->x);
        for (int trial = 0;; ++trial) {
            if (trial == most_trials) {
                complete = false;
                return;
            }
            const bool at_end = line.positive && x <= 0.0;
            if (at_end) x = line.zero_allowed ? 0.0 : 0.25 * inner.x;
            if (line.positive && !line.zero_allowed && x < nearly_zero * line.estimate) {
                line.profile.at_zero = true;
                return;
            }
            const std::optional<ProfilePoint> found = at(line, x, side);
            if (!found) {
                // Another start may be refused where this one is not: nearer to what is known.
                x = 0.5 * (x + inner.x);
                if (lower_at || trial > most_trials / 2) {
                    complete = false;
                    return;
                }
                continue;
            }
            const double miss = found->zeta - goal;
            // Zeta may jump, from one minimum of the others to another.
            const bool jumps = beyond && std::abs(beyond->x - inner.x) <= no_width * std::abs(x);
            const bool met = std::abs(miss) <= tolerance || jumps;
            if (at_end && x == 0.0 && (met || side * miss < 0.0)) {
                // Where zeta is not monotone, the interval is the longest.
                while (points.size() > first + 1 &&
                       side * (found->zeta - points.back().zeta) <= 0.0)
                    points.pop_back();
                points.push_back(*found);
                points.back().slope = 0.0;
                line.profile.at_zero = true;
                return;
            }
            if (met) {
                points.push_back(*found);
                if (jumps || targets_[i].exact) {
                    ProfilePoint& point = points.back();
                    if (!jumps && point.slope > 0.0) point.x -= miss / point.slope;
                    point.zeta = goal;
                    const size_t k = gamma_.size();
                    (line.parameter <= k ? point.sds[line.parameter]
                                         : point.beta[line.parameter - k - 1]) = point.x;
                }
                break;
            }
            (side * miss < 0.0 ? inner : beyond.emplace()) = *found;
            double next = found->slope > 0.0
                              ? x - miss / found->slope
                              : (beyond ? 0.5 * (inner.x + beyond->x) : 2.0 * x - inner.x);
            // Nor further beyond than twice what has been seen, nor outside of what is known.
            if (beyond) {
                const double low = std::min(inner.x, beyond->x),
                             high = std::max(inner.x, beyond->x);
                if (!(next > low && next < high) || trial > 12) next = 0.5 * (low + high);
            } else {
                const double most =
                    4.0 * gap / line.first_slope + 2.0 * std::abs(inner.x - line.estimate);
                if (!((next - inner.x) * side > 0.0))
                    next = inner.x + side * gap / line.first_slope;
                if (std::abs(next - inner.x) > most) next = inner.x + side * most;
            }
            x = next;
        }
    }
}

}  // namespace mm
