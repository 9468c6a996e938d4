// Values of the core as strings of bytes, and back: for pickling. What is read throws
// std::invalid_argument where the bytes are not those of such a value.
#pragma once

#include <string>

#include "cross_products.hpp"
#include "fit.hpp"
#include "schur.hpp"

namespace mm {

std::string save(const SchurPlan& plan);
SchurPlan restore_plan(const std::string& bytes);

std::string save(const Fit& fit);
Fit restore_fit(const std::string& bytes);

// With their structure, but without its rows.
std::string save(const CrossProducts& products);
CrossProducts restore_products(const std::string& bytes);

}  // namespace mm
