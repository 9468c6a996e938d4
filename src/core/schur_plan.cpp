#include <algorithm>
#include <limits>
#include <numeric>

#include "ordering.hpp"
#include "schur.hpp"

namespace mm {
namespace {

// Below this dimension plain loops beat packing and panels.
constexpr size_t small_dimension = 40;
// Measured speeds, flops a second, and seconds a pair of cells.
constexpr double dense_speed = 7e10, sparse_speed = 5e10, pair_seconds = 4e-9;
constexpr double half_speed = 1200.0;  // the dimension that reaches half of it
// Unless asked for, a factor is not pursued beyond this: an evaluation would take longer than
// what does without a factor.
constexpr double most_seconds = 60.0, most_nonzeros = 4e8;
// Bytes of an entry: of the factor and of the inverse.
constexpr double entry_bytes = 16.0;

// Whether S is so well filled that its factor is as good as full: by the rows of a few columns.
bool well_filled(const CrossTabulation& N, size_t n) {
    constexpr size_t sample = 64;
    constexpr double much = 0.5;
    std::vector<Code> mark(n, -1);
    double filled = 0.0;
    for (size_t i = 0; i < sample; ++i) {
        const size_t c = i * n / sample;
        for (auto e = N.leading_t.start[c]; e < N.leading_t.start[c + 1]; ++e) {
            const Code j = N.leading_t.index[e];
            for (auto f = N.leading.start[j]; f < N.leading.start[j + 1]; ++f) {
                Code& m = mark[N.leading.index[f]];
                filled += m != static_cast<Code>(i);
                m = static_cast<Code>(i);
            }
        }
    }
    return filled > much * static_cast<double>(n) * static_cast<double>(sample);
}

}  // namespace

const char* name(SchurPlan::Method method) {
    switch (method) {
        case SchurPlan::Method::none:
            return "diagonal";
        case SchurPlan::Method::small:
        case SchurPlan::Method::dense:
            return "dense";
        case SchurPlan::Method::sparse:
            return "sparse";
    }
    return "";
}

SchurPlan plan_schur(const CrossTabulation& N, const std::string& wanted, double memory,
                     const Stop& stop) {
    using Method = SchurPlan::Method;
    SchurPlan plan;
    const size_t n = plan.dimension = N.q_trailing();
    plan.leading_cells = N.leading.nonzeros();
    if (n == 0 || wanted == "none") return plan;
    for (size_t j = 0; j < N.q_leading(); ++j) {
        const auto m = static_cast<double>(N.leading.start[j + 1] - N.leading.start[j]);
        plan.clique_work += m * m;
    }
    const auto d = static_cast<double>(n);
    const double full = d * (d + 1.0) / 2.0;
    const double dense_seconds = d * d * (d + half_speed) / dense_speed;
    // S is made, and quadratic forms in its inverse, pair of cells by pair of cells.
    const double pairs_seconds = plan.clique_work * pair_seconds;
    plan.dense_bytes = 16.0 * d * d;
    const auto choose_dense = [&] {
        plan.method = n <= small_dimension ? Method::small : Method::dense;
        plan.nonzeros = full;
        plan.flops = d * d * d + plan.clique_work;
        plan.bytes = plan.dense_bytes;
        plan.seconds = dense_seconds + pairs_seconds;
        plan.order.resize(n);
        std::iota(plan.order.begin(), plan.order.end(), 0);
        return plan;
    };
    if (wanted == "dense" || (wanted == "auto" && n <= small_dimension)) return choose_dense();

    // Sparse is sought where it may be quicker than dense, or is all that fits.
    const bool dense_fits = plan.dense_bytes < memory && dense_seconds < most_seconds;
    Limits limits{memory / entry_bytes, std::numeric_limits<double>::infinity()};
    if (wanted == "auto") {
        if (dense_fits && well_filled(N, n)) return choose_dense();
        // A factor that is half full is better dense.
        limits.nonzeros = std::min(dense_fits ? 0.5 * full + d : most_nonzeros, limits.nonzeros);
        limits.flops = (dense_fits ? dense_seconds : most_seconds) * sparse_speed;
    }
    const auto give_up = [&](double nonzeros, double flops) {
        plan.beyond = true;
        plan.sparse_nonzeros = nonzeros;
        plan.sparse_flops = flops + 2.0 * plan.clique_work;
        return choose_dense();
    };
    Ordering ordering = minimum_degree(N.leading, N.leading_t, limits, stop);
    if (ordering.beyond) return give_up(ordering.nonzeros, ordering.flops);
    Supernodes supernodes = analyse(N.leading, ordering.order, limits, stop);
    if (supernodes.beyond) return give_up(supernodes.nonzeros, supernodes.flops);
    if (wanted == "auto" && dense_fits && supernodes.seconds > dense_seconds) return choose_dense();
    plan.method = Method::sparse;
    plan.nonzeros = supernodes.nonzeros;
    plan.flops = supernodes.flops + 2.0 * plan.clique_work;
    plan.bytes =
        entry_bytes * supernodes.stored + 4.0 * static_cast<double>(supernodes.rows.size());
    plan.seconds = supernodes.seconds + pairs_seconds;
    plan.order = supernodes.order;
    plan.supernodes = std::move(supernodes);
    return plan;
}

}  // namespace mm
