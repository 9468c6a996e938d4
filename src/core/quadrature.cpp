#include "quadrature.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace mm {

using std::size_t;

double log_quadrature(const std::vector<double>& alpha, const std::vector<double>& beta) {
    const size_t m = alpha.size();
    if (m == 0) return 0.0;
    std::vector<double> d(m), e(m, 0.0), z(m, 0.0);
    z[0] = 1.0;
    for (size_t i = 0; i < m; ++i) {
        d[i] = 1.0 / alpha[i] + (i > 0 ? beta[i - 1] / alpha[i - 1] : 0.0);
        if (i + 1 < m) e[i] = std::sqrt(std::max(0.0, beta[i])) / alpha[i];
    }
    for (size_t l = 0; l < m; ++l)
        for (int sweep = 0; sweep < 60; ++sweep) {
            size_t split = l;
            for (; split + 1 < m; ++split)
                if (std::abs(e[split]) <= 1e-16 * (std::abs(d[split]) + std::abs(d[split + 1])))
                    break;
            if (split == l) break;
            double g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            double r = std::hypot(g, 1.0);
            g = d[split] - d[l] + e[l] / (g + std::copysign(r, g));
            double s = 1.0, c = 1.0, p = 0.0;
            for (size_t i = split; i-- > l;) {
                const double f = s * e[i], b = c * e[i];
                r = std::hypot(f, g);
                e[i + 1] = r;
                if (r == 0.0) {
                    d[i + 1] -= p;
                    e[split] = 0.0;
                    break;
                }
                s = f / r;
                c = g / r;
                g = d[i + 1] - p;
                r = (d[i] - g) * s + 2.0 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
                const double zi = z[i + 1];
                z[i + 1] = s * z[i] + c * zi;
                z[i] = c * z[i] - s * zi;
            }
            if (r == 0.0) continue;
            d[l] -= p;
            e[l] = g;
            e[split] = 0.0;
        }
    double total = 0.0;
    for (size_t i = 0; i < m; ++i) total += z[i] * z[i] * std::log(std::max(d[i], 1e-300));
    return total;
}

}  // namespace mm
