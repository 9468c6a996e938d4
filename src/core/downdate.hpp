// The cross-products of the rows that are left when some are taken away, by subtraction.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "cross_products.hpp"

namespace mm {

// `rows`: those taken away, ascending. `residual`: y - Q beta0 of all rows. `sizes`: rows of each
// of the q levels. A level that loses all its rows stays, with a count of zero, so that the pattern
// of Z'WZ, and with it the plan, are those of all rows.
//
// Nothing is returned where a subtraction would lose too many digits: where the rows taken away
// hold nearly all that is known of a column of X, or nearly all that is left of y.
std::optional<CrossProducts> without(const CrossProducts& all, std::span<const std::int64_t> rows,
                                     const double* residual, std::span<const std::int64_t> sizes);

}  // namespace mm
