// Newton's method with the average information, on gamma >= 0 with an active set at zero.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "evaluation.hpp"

namespace mm {

// One line of the trace.
struct Iteration {
    int number = 0, evaluations = 0;
    double objective = 0.0, step = 0.0, decrement = 0.0;
    std::vector<double> gamma, gradient;
};

enum class Ending {
    converged,
    no_progress,
    too_many_iterations,
    perfect_fit,
    too_few_probes,  // the Monte Carlo error asked for is not reached
    out_of_reach     // of conjugate gradients: a ratio too large for their digits
};

struct Optimum {
    Ending ending = Ending::too_many_iterations;
    double objective = 0.0, decrement = 0.0;
    std::vector<double> gamma, gradient, information;  // of the criterion, in gamma
    std::vector<Iteration> trace;
    int evaluations = 0;
};

struct NewtonControl {
    double tolerance = 1e-12;  // of g' A^-1 g, twice the decrease still to be had
    double last_step = 0.0;    // a step that promises less is taken without looking at its end
    int most_iterations = 100;
    bool cheap = false;  // an evaluation costs nothing: go all the way, look elsewhere too
    std::function<void(const Iteration&)> on_iteration;
};

// The scale of each variance ratio, 1 / mean count of its levels, and what is told by it.
class Scale {
   public:
    explicit Scale(const Structure& structure);
    double operator[](size_t t) const { return unit_[t]; }
    // A start that is very far away, taken nearer.
    std::vector<double> nearer(std::vector<double> gamma) const;
    // At gamma = 0 the traces are 0/0: they are taken a little inside.
    std::vector<double> inside(std::vector<double> gamma) const;
    // Whether a ratio is so large that nothing is left for the residual.
    bool perfect_fit(const std::vector<double>& gamma) const;
    // Whether one is so large that conjugate gradients lose their digits.
    bool out_of_reach(const std::vector<double>& gamma) const;

   private:
    std::vector<double> unit_;
};

// The average information is the mean of the Hessian and its expectation; what it lacks of the
// Hessian is learnt from the change of the gradient over the last steps (symmetric rank one).
class Correction {
   public:
    explicit Correction(size_t k);
    void learn(const std::vector<double>& A, const std::vector<double>& step,
               const std::vector<double>& gradient_change);
    // A + C, or A alone where the sum is not positive definite or far from A.
    std::vector<double> corrected(const std::vector<double>& A);

   private:
    size_t k_;
    std::vector<double> C_;
};

// The step that minimises g's + s'As/2 over gamma + s >= 0, by an active set.
std::vector<double> bounded_step(const std::vector<double>& gamma, const std::vector<double>& g,
                                 const std::vector<double>& A);

// Henderson-type moments: group sums of the least-squares residuals against their expectations.
std::vector<double> moment_start(const CrossProducts& data);

// `start`: gamma, k values. At return the evaluation stands at the optimum.
Optimum newton(Evaluation& evaluation, std::vector<double> start, const NewtonControl& control);

}  // namespace mm
