//! Learning rate and batch size as parts of the loss, and not their optimum alone: a bowl around rules of both (the rules
//! of Li et al. 2025, arXiv 2503.04715, whose losses around them are convex in both logarithms) on the surface of size
//! and tokens.

use super::Form;

/// E + A/N^alpha + B/D^beta + h (log rate - its rule)^2 + k (log batch - its rule)^2.
pub const FORM: Form = Form {
    name: "rate-batch",
    formula: "loss = E + A/N^alpha + B/D^beta \
              + h*(log(learning_rate) - r - r_N*log(N/1e8) - r_D*log(D/1e9))^2 + k*(log(batch) - b - b_D*log(D/1e9))^2",
    columns: &["N", "D", "learning_rate", "batch"],
    unknowns: &[
        "E > 0",
        "A > 0",
        "B > 0",
        "alpha in 0.02..2",
        "beta in 0.02..2",
        "h > 0",
        "k > 0",
        "r in -12..0",
        "r_N in -1.5..0.5",
        "r_D in -0.5..1",
        "b in 0..20",
        "b_D in -0.5..1.5",
    ],
    source: "Li et al. 2025, arXiv 2503.04715",
};

#[cfg(test)]
mod tests {
    use super::super::testing::recovers;
    use super::*;

    #[test]
    fn the_rules_of_the_paper_come_back_from_the_bowls() {
        // Their rules at 1e8 parameters and 1e9 tokens: 1.79 N^-.713 D^.307 and .58 D^.571.
        let (r, b) =
            ((1.79_f64).ln() - 0.713 * 1e8_f64.ln() + 0.307 * 1e9_f64.ln(), 0.58_f64.ln() + 0.571 * 1e9_f64.ln());
        let planted = [1.69, 406.4, 0.34, 410.7, 0.28, 0.03, r, -0.713, 0.307, 0.02, b, 0.571];
        let mut columns = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for i in 0..400_i32 {
            let (n, d) = (5e7 * 2_f64.powi(i % 5), 1e9 * 3_f64.powi(i / 5 % 5));
            let rate = 1e-3 * 2_f64.powi(i / 25 % 4 - 2);
            let row = [n, d, rate, 1e5 * 4_f64.powi(i / 100)];
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        let [n, d, rate, batch] = columns;
        recovers(&FORM, &[("N", n), ("D", d), ("learning_rate", rate), ("batch", batch)], None, &planted, 2e-2);
    }
}
