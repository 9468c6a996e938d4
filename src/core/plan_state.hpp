// A plan as a string of bytes, and back: for pickling.
#pragma once

#include <string>

#include "schur.hpp"

namespace mm {

std::string save(const SchurPlan& plan);
// Throws std::invalid_argument where the bytes are not those of a plan.
SchurPlan restore(const std::string& bytes);

}  // namespace mm
