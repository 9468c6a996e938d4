// Gauss quadrature of a logarithm by the coefficients of conjugate gradients.
#pragma once

#include <vector>

namespace mm {

// The sum of tau_i^2 log(lambda_i) of the tridiagonal matrix that conjugate gradients have built:
// the Gauss quadrature of z' log(S) z / z'z (Golub & Meurant 1994; Ubaru, Chen & Saad 2017).
// Implicit QL of which only the first row of the eigenvectors is kept.
double log_quadrature(const std::vector<double>& alpha, const std::vector<double>& beta);

}  // namespace mm
