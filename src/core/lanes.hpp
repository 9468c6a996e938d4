// Eight numbers that go side by side: the same entry of eight vectors.
#pragma once

#include <cstddef>

namespace mm {

constexpr std::size_t lanes = 8;
constexpr std::size_t stretch = 4096;  // levels of a partial sum
constexpr std::size_t shares =
    4;  // of the leading levels: fixed, so that sums are the same anywhere

using Lanes [[gnu::vector_size(lanes * sizeof(double))]] = double;

[[gnu::always_inline]] inline Lanes load(const double* p) {
    Lanes v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
[[gnu::always_inline]] inline void store(double* p, Lanes v) { __builtin_memcpy(p, &v, sizeof v); }

}  // namespace mm
