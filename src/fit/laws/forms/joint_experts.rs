//! Mixtures of experts with an irreducible loss (Ludziejewski et al. 2025, arXiv 2502.05172, equation 4, on one number of
//! tokens): the exponent of size depends on the number of experts.

use super::Form;

/// c + a `E^delta` N^(alpha + gamma log E).
pub const FORM: Form = Form {
    name: "joint-experts",
    formula: "loss = c + a*experts^delta*(N/1e8)^(alpha + gamma*log(experts))",
    columns: &["N", "experts"],
    unknowns: &["c in 0..10", "a > 0", "delta in -1..0.5", "alpha in -1..0", "gamma in -0.2..0.2"],
    source: "Ludziejewski et al. 2025, arXiv 2502.05172",
};

#[cfg(test)]
mod tests {
    use super::super::testing::{grid, law, recovers, score, shared};
    use super::*;

    #[test]
    fn its_numbers_come_back() {
        let (n, _) = grid(6, 10);
        let experts = (0..60).map(|i| 2_f64.powi(i % 10)).collect();
        recovers(&FORM, &[("N", n), ("experts", experts)], None, &[1.4, 1.3, -0.06, -0.17, 0.004], 1e-2);
    }

    #[test]
    fn the_largest_models_of_the_benchmark_are_predicted() {
        let columns = [("N", "dense_parameter_count"), ("experts", "num_experts")];
        let Some(train) = shared("scalebench/moe_train.csv", &columns, "loss_validation") else { return };
        let Some(test) = shared("scalebench/moe_test.csv", &columns, "loss_validation") else { return };
        // All rows score .81, the mean of ten laws, in arXiv 2604.22753.
        let score = score(&law(FORM.formula, FORM.unknowns, &["N", "experts"]), &train, &test, 0);
        assert!(score > 0.88, "{score}");
    }
}
