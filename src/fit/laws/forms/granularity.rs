//! Fine-grained mixtures of experts (Krajewski et al. 2024, arXiv 2402.07871, equation 6): granularity is how many times
//! smaller an expert is than a dense layer.

use super::Form;

/// c + (g/G^gamma + a)/N^alpha + b/D^beta.
pub const FORM: Form = Form {
    name: "granularity",
    formula: "loss = c + (g/granularity^gamma + a)/N^alpha + b/D^beta",
    columns: &["N", "D", "granularity"],
    unknowns: &["c > 0", "g > 0", "a > 0", "b > 0", "gamma in 0.05..3", "alpha in 0..2", "beta in 0..2"],
    source: "Krajewski et al. 2024, arXiv 2402.07871",
};

#[cfg(test)]
mod tests {
    use super::super::testing::{grid, recovers};
    use super::*;

    #[test]
    fn the_constants_of_the_paper_come_back() {
        let (n, d) = grid(8, 20);
        let granularity = (0..160).map(|i| 2_f64.powi(i % 5)).collect();
        let columns = [("N", n), ("D", d), ("granularity", granularity)];
        recovers(&FORM, &columns, None, &[0.47, 2.1, 0.58, 18.1, 0.115, 30.8, 0.147], 2e-2);
    }
}
