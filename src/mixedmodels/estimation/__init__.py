"""From cross-products to the optimum: plan, evaluation, Newton."""
