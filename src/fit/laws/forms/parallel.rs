//! Parallel streams: P copies of the forward pass on transformed inputs are worth parameters by a logarithm (Chen et al.
//! 2025, arXiv 2505.10475, equation 5).

use super::Form;

/// E + (A / (N (k log P + 1)))^alpha.
pub const FORM: Form = Form {
    name: "parallel",
    formula: "loss = E + (A/(N*(k*log(parallel_size) + 1)))^alpha",
    columns: &["N", "parallel_size"],
    unknowns: &["E > 0", "A in 1..1e14", "k in 0..5", "alpha in 0.02..1"],
    source: "Chen et al. 2025, arXiv 2505.10475",
};

#[cfg(test)]
mod tests {
    use super::super::testing::{grid, law, recovers, score, shared};
    use super::*;

    #[test]
    fn its_numbers_come_back() {
        let (n, _) = grid(6, 4);
        let streams = (0..24).map(|i| 2_f64.powi(i % 4)).collect();
        recovers(&FORM, &[("N", n), ("parallel_size", streams)], None, &[1.29, 1.1e9, 0.39, 0.19], 1e-3);
    }

    #[test]
    fn the_largest_models_of_the_paper_are_predicted_for_both_data_sets() {
        let columns = [("N", "num_params"), ("parallel_size", "parallel_size")];
        let Some(train) = shared("scalebench/parallel_train.csv", &columns, "loss") else { return };
        let Some(test) = shared("scalebench/parallel_test.csv", &columns, "loss") else { return };
        // The two data sets have their own numbers.
        let text = "loss = E{group} + (A{group}/(N*(k{group}*log(parallel_size) + 1)))^alpha{group}";
        let unknowns = ["E > 0", "A in 1..1e14", "k in 0..5", "alpha in 0.02..1"];
        let law = law(text, &unknowns, &["N", "parallel_size"]);
        // All rows score .99 in arXiv 2604.22753.
        let score = score(&law, &train, &test, 0);
        assert!(score > 0.98, "{score}");
    }
}
