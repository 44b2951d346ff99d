//! Mixtures of experts, joint in the size of the dense model and the number of experts (Clark et al. 2022, arXiv
//! 2202.01169, equations 5 and 6): bilinear in the logarithms, with experts that saturate.

use super::Form;

/// log L = a log N + b log F + c log N log F + d, where F goes from 1 for few experts towards `E_max`.
pub const FORM: Form = Form {
    name: "experts",
    formula: "loss = exp(a*log(N/1e8) + (b + c*log(N/1e8))*log(1/(1/(experts - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max)) + d)",
    columns: &["N", "experts"],
    unknowns: &[
        "a in -1..0",
        "b in -1..0.1",
        "c in -0.1..0.2",
        "d in -3..3",
        "E_start in 0.5..8",
        "E_max in 16..100000",
    ],
    source: "Clark et al. 2022, arXiv 2202.01169",
};

#[cfg(test)]
mod tests {
    use super::super::testing::{grid, recovers};
    use super::*;

    #[test]
    fn its_numbers_come_back() {
        let (n, _) = grid(6, 10);
        let experts = (0..60).map(|i| 2_f64.powi(i % 10)).collect();
        recovers(&FORM, &[("N", n), ("experts", experts)], None, &[-0.082, -0.108, 0.009, 1.88, 314.0, 1.09], 2e-2);
    }
}
