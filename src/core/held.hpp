// The criterion with one parameter held: a standard deviation, or a coefficient of the fixed
// effects. Everything else is where the criterion is least.
#pragma once

#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "evaluation.hpp"
#include "newton.hpp"

namespace mm {

class Held {
   public:
    virtual ~Held() = default;
    // Minimises with the parameter at x, from where the last minimum was. Returns false where that
    // fails, with what follows unset.
    virtual bool minimise(double x) = 0;
    // Goes back to where the criterion of all parameters is least.
    virtual void restart() = 0;

    double value = 0.0, slope = 0.0;       // of the criterion, and its derivative by the parameter
    std::vector<double> gamma, sds, beta;  // sds: of the terms and the residual; beta: as X's

   protected:
    Held() = default;
    Held(const Held&) = default;
};

// sigma_t = sqrt(v_t) or sigma = sqrt(s) in
//
//     d(v, s) = log|M| [+ log|R_X|^2] + nu log(2 pi s) + r^2 / s,   M and r^2 at gamma = v / s,
//
// by Newton's method in the others of (v, s), of which V is a linear function: the average
// information of i and j is y'P V_i P V_j P y. All of it follows from an evaluation at gamma.
class HeldVariance : public Held {
   public:
    // `which`: a term, or the number of terms for the residual.
    HeldVariance(const CrossProducts& data, const SchurPlan& plan, bool reml, size_t which,
                 const std::vector<double>& gamma);
    bool minimise(double x) override;
    void restart() override { point_ = start_; }

    double estimate() const { return std::sqrt(start_[which_]); }
    // After minimise(): the second derivative by the held variance, the others following, and the
    // first.
    double curvature() const;
    double gradient() const { return g_[which_]; }

   private:
    double criterion(const std::vector<double>& point);
    void differentiate();
    // Entries of the parameters that are not held.
    std::vector<double> others(const std::vector<double>& all) const;
    std::vector<double> others_of_matrix(const std::vector<double>& all) const;

    const CrossProducts& data_;
    Evaluation evaluation_;
    Scale scale_;
    size_t k_, which_;
    bool reml_;
    std::vector<double> start_, point_, g_, A_;
};

// A coefficient of the fixed effects, by maximum likelihood: the fit, without the column, of the
// response less its share. No row is needed for that: the column is turned to be the last of the
// basis, whose sums with the response are then moved.
class HeldCoefficient : public Held {
   public:
    // `which`: among the kept columns.
    HeldCoefficient(const CrossProducts& data, const SchurPlan& plan, size_t which,
                    const std::vector<double>& gamma);
    bool minimise(double x) override;
    void restart() override { gamma = start_; }

   private:
    size_t which_;
    std::vector<double> start_;
    double beta0_ = 0.0, unit_ = 1.0;  // of the response and the column on the last basis
    std::vector<double> column_, column_within_;  // Z'q, and q with the basis about leading means
    std::vector<double> share_;                   // of the column on the basis before the last
    std::shared_ptr<const Structure> structure_;
    CrossProducts rest_, held_;  // the response on the others, and less the share
    std::optional<Evaluation> evaluation_;
};

}  // namespace mm
