// A fill-reducing order by minimum degree on the quotient graph
// (Amestoy, Davis & Duff 1996, SIAM J. Matrix Anal. Appl. 17:886, for the approximate degree).
#pragma once

#include <exception>
#include <functional>
#include <vector>

#include "cross_products.hpp"

namespace mm {

// Asked now and then in long computations; they end with Interrupted where it returns true.
using Stop = std::function<bool()>;
struct Interrupted final : std::exception {
    const char* what() const noexcept override { return "interrupted"; }
};

// What a factor may have before it is given up.
struct Limits {
    double nonzeros, flops;  // flops of factor and selected inverse
};

struct Ordering {
    std::vector<Code> order;  // vertices in order of elimination; empty if beyond the limits
    bool beyond = false;
    double nonzeros = 0.0, flops = 0.0;  // if beyond: what was found, and what must still come
};

// The graph is a union of cliques, one a row of `cliques`, `transposed` its transpose: for a Schur
// complement, what eliminating the leading levels connects.
Ordering minimum_degree(const SparseRows& cliques, const SparseRows& transposed, Limits limits,
                        const Stop& stop);

}  // namespace mm
