// A fill-reducing order by minimum degree on the quotient graph
// (Amestoy, Davis & Duff 1996, SIAM J. Matrix Anal. Appl. 17:886, for the approximate degree).
#pragma once

#include <vector>

#include "cross_products.hpp"

namespace mm {

// The graph is a union of cliques, one a row of `cliques`: for a Schur complement, what eliminating
// the leading levels connects. Returns the vertices in order of elimination, or nothing as soon as
// the factor is found to have more nonzeros than `most_nonzeros`.
std::vector<Code> minimum_degree(const SparseRows& cliques, size_t vertices, double most_nonzeros);

}  // namespace mm
