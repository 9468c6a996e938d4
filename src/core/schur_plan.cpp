#include <algorithm>
#include <numeric>

#include "ordering.hpp"
#include "schur.hpp"

namespace mm {
namespace {

// Below this dimension plain loops beat packing and panels.
constexpr size_t small_dimension = 40;
// Measured speeds, flops a second: blocks of a dense matrix against our loops on a sparse one.
constexpr double dense_speed = 3e10, sparse_speed = 8e8;
// More pairs of cells than this and the pattern of S is as good as full.
constexpr double most_clique_work = 4e8;
// A dense matrix larger than this, with its inverse, is only taken where sparse is out of reach.
constexpr double large_dense_bytes = 4e9;
// A sparse factor of more entries takes minutes in our loops: unless asked for, it is not pursued.
constexpr double most_nonzeros = 1e7;
// Bytes of an entry of the sparse factor: its index, its value and that of the inverse.
constexpr double sparse_entry = 20.0;

// The pattern of the factor: a column is its own entries in S and those of its children. Two
// trailing levels that share a row share its leading level too: N_22 adds nothing to the pattern.
bool symbolic(const CrossTabulation& N, SchurPlan& plan, double most_nonzeros) {
    const size_t n = plan.dimension;
    std::vector<Code> position(n);
    for (size_t k = 0; k < n; ++k) position[plan.order[k]] = static_cast<Code>(k);
    std::vector<std::vector<Code>> children(n);
    std::vector<Code> mark(n, -1);
    plan.start.assign(1, 0);
    for (size_t k = 0; k < n; ++k) {
        const Code c = plan.order[k];
        const auto first = plan.index.size();
        mark[k] = static_cast<Code>(k);
        const auto take = [&](Code p) {
            if (p > static_cast<Code>(k) && mark[p] != static_cast<Code>(k)) {
                mark[p] = static_cast<Code>(k);
                plan.index.push_back(p);
            }
        };
        for (auto e = N.leading_t.start[c]; e < N.leading_t.start[c + 1]; ++e) {
            const Code j = N.leading_t.index[e];
            for (auto f = N.leading.start[j]; f < N.leading.start[j + 1]; ++f)
                take(position[N.leading.index[f]]);
        }
        for (Code child : children[k])
            for (auto e = plan.start[child]; e < plan.start[child + 1]; ++e) take(plan.index[e]);
        std::sort(plan.index.begin() + static_cast<std::ptrdiff_t>(first), plan.index.end());
        if (plan.index.size() > first) children[plan.index[first]].push_back(static_cast<Code>(k));
        std::vector<Code>().swap(children[k]);
        plan.start.push_back(static_cast<std::int64_t>(plan.index.size()));
        if (static_cast<double>(plan.index.size()) > most_nonzeros) return false;
    }
    return true;
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

SchurPlan plan_schur(const CrossTabulation& N, const std::string& wanted, double memory) {
    using Method = SchurPlan::Method;
    SchurPlan plan;
    const size_t n = plan.dimension = N.q_trailing();
    if (n == 0 || wanted == "none") return plan;
    for (size_t j = 0; j < N.q_leading(); ++j) {
        const auto m = static_cast<double>(N.leading.start[j + 1] - N.leading.start[j]);
        plan.clique_work += m * m;
    }
    const auto d = static_cast<double>(n);
    const double dense_flops = d * d * d;
    plan.dense_bytes = 16.0 * d * d;
    const auto choose_dense = [&] {
        plan.method = n <= small_dimension ? Method::small : Method::dense;
        plan.nonzeros = d * (d + 1.0) / 2.0;
        plan.flops = dense_flops + plan.clique_work;
        plan.bytes = plan.dense_bytes;
        plan.order.resize(n);
        std::iota(plan.order.begin(), plan.order.end(), 0);
        plan.start.clear();
        plan.index.clear();
        return plan;
    };
    if (wanted == "dense" || (wanted == "auto" && n <= small_dimension)) return choose_dense();
    // Cliques scattered over the matrix fill 1 - exp(-work / d^2) of it, and the factor fills more.
    if (wanted == "auto" &&
        (plan.clique_work > most_clique_work || plan.clique_work > 0.3 * d * d) &&
        plan.dense_bytes < large_dense_bytes)
        return choose_dense();

    // A factor that is half full is better dense, unless dense is out of reach.
    const bool dense_fits = plan.dense_bytes < std::min(large_dense_bytes, memory);
    const double most = wanted != "auto" ? memory / sparse_entry
                        : dense_fits     ? 0.25 * d * d + d
                                         : std::min(most_nonzeros, memory / sparse_entry);
    plan.order = minimum_degree(N.leading, n, most);
    if (plan.order.empty() || !symbolic(N, plan, most)) {
        choose_dense();
        // Out of reach both ways: dense needs its bytes, sparse more than there are.
        if (!dense_fits && plan.dense_bytes > memory)
            plan.bytes = std::min(plan.dense_bytes, 1.01 * memory);
        return plan;
    }
    double flops = 0.0;
    for (size_t k = 0; k < n; ++k) {
        const auto m = static_cast<double>(plan.start[k + 1] - plan.start[k]) + 1.0;
        flops += 3.0 * m * m;
    }
    if (wanted == "auto" && flops / sparse_speed > dense_flops / dense_speed &&
        plan.dense_bytes < large_dense_bytes)
        return choose_dense();
    plan.method = Method::sparse;
    plan.nonzeros = static_cast<double>(plan.index.size()) + d;
    plan.flops = flops + 2.0 * plan.clique_work;
    plan.bytes = sparse_entry * plan.nonzeros;
    return plan;
}

}  // namespace mm
