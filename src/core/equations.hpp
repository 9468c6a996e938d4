// Newton's method on the estimating equations d'(gamma) = 0 where the criterion itself is too dear:
// the same steps as newton.hpp, judged by the gradient along them.
#pragma once

#include "iterative.hpp"
#include "newton.hpp"

namespace mm {

struct EquationsControl {
    double tolerance = 1e-8;    // of g' A^-1 g
    double monte_carlo = 0.01;  // error of a component allowed, in its standard errors
    size_t most_probes = 512;
    int most_iterations = 60;
    bool log_determinant = true;  // at the end
    std::function<void(const Iteration&)> on_iteration;
};

struct Solution {
    Optimum optimum;
    std::vector<double> monte_carlo;  // error of each gamma, in its standard errors
};

// At return the evaluation stands at the solution.
Solution solve_equations(IterativeEvaluation& evaluation, const CrossProducts& data,
                         std::vector<double> start, const EquationsControl& control);

}  // namespace mm
