// The inverse on the pattern of a supernodal factor, by blocks from the last to the first
// (Takahashi, Fagan & Chin 1973; Erisman & Tinney 1975, Comm. ACM 18:177).
#pragma once

#include "panels.hpp"

namespace mm {

// Diagonal blocks are full squares.
void selected_inverse(const Panels& panels, const Values& factor, Values& inverse);

}  // namespace mm
