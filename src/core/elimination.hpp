// Symbolic analysis of a sparse Cholesky factor: elimination tree, column counts, supernodes.
//
// A supernode is a run of columns that share the rows below them; its part of the factor is stored
// as a dense panel. Small ones are merged with their parents, which stores some zeros, and wide
// ones are cut into panels that fit the caches.
#pragma once

#include <vector>

#include "cross_products.hpp"
#include "ordering.hpp"

namespace mm {

struct Supernodes {
    std::vector<Code> order;              // position -> vertex
    std::vector<Code> count;              // by position: nonzeros of the column, with its diagonal
    std::vector<Code> first;              // panel p has columns first[p]..first[p+1]
    std::vector<std::int64_t> row_start;  // and rows row_start[p]..row_start[p+1] below them
    std::vector<Code> rows;               // positions, ascending in a panel
    size_t supernodes = 0, front = 0;     // before wide ones are cut; the largest order
    bool beyond = false;                  // the limits: no panels were made
    double nonzeros = 0.0;                // without the zeros that are stored
    double flops = 0.0;                   // of factor and inverse, those on zeros included
    double stored = 0.0;                  // entries of the panels
    double seconds = 0.0;                 // predicted, on the machine that was measured

    size_t panels() const { return first.empty() ? 0 : first.size() - 1; }
    size_t width(size_t p) const { return static_cast<size_t>(first[p + 1] - first[p]); }
    size_t below(size_t p) const { return static_cast<size_t>(row_start[p + 1] - row_start[p]); }
};

// The graph is a union of cliques, one a row of `cliques`, eliminated in the order given; the
// order of the result is an equivalent one in which every supernode is a run.
Supernodes analyse(const SparseRows& cliques, const std::vector<Code>& order, Limits limits,
                   const Stop& stop);

// The rows of every column, the diagonal first, then ascending, by position: what is not a zero
// that is stored for the panels' sake.
void column_pattern(const SparseRows& cliques, const SparseRows& transposed,
                    const std::vector<Code>& order, std::vector<std::int64_t>& start,
                    std::vector<Code>& index);

}  // namespace mm
