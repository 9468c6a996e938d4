// Profiles of the criterion: its signed root zeta as a function of one parameter, the others where
// the criterion is least (Bates & Watts 1988, Nonlinear Regression Analysis, section 6.1).
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "held.hpp"

namespace mm {

struct ProfilePoint {
    double x = 0.0, zeta = 0.0, slope = 0.0;  // slope: d zeta / dx, unset at the estimate
    std::vector<double> sds, beta;
};

struct Profile {
    std::vector<ProfilePoint> points;  // ascending
    bool at_zero = false;              // zeta stays above the lowest target down to x = 0
    bool lower = true, upper = true;   // whether each side went as far as asked
};

// One |zeta| to reach on each side, to all digits or about.
struct Target {
    double zeta = 0.0;
    bool exact = true;
};

// Which parameter: terms, then the residual, then the kept columns of X.
class Profiler {
   public:
    Profiler(const CrossProducts& data, const SchurPlan& plan, bool reml, std::vector<double> gamma,
             std::vector<Target> targets, std::function<void(size_t, double)> on_point);

    Profile profile(size_t parameter);

    // Where a profile has met a criterion below that of the estimates: nothing else is then sure.
    std::optional<std::vector<double>> lower_at;

   private:
    struct Line;  // one parameter as its two sides are followed
    void follow(Line& line, int side);
    std::optional<ProfilePoint> at(Line& line, double x, int side);

    const CrossProducts& data_;
    const SchurPlan& plan_;
    bool reml_;
    std::vector<double> gamma_;
    std::vector<Target> targets_;
    std::function<void(size_t, double)> on_point_;
};

}  // namespace mm
