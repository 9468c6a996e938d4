// The sparse Schur complement by supernodes: its Cholesky factor, left-looking, and the inverse on
// the factor's pattern by blocks (Takahashi, Fagan & Chin 1973; Erisman & Tinney 1975,
// Comm. ACM 18:177). Both are dense products of panels.
#pragma once

#include <memory>

#include "schur.hpp"

namespace mm {

std::unique_ptr<Schur> make_supernodal(const CrossTabulation& N, const Supernodes& supernodes);

}  // namespace mm
