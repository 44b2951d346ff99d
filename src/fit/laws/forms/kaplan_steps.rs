//! L(N, S) of Kaplan et al. 2020 (arXiv 2001.08361, equation 1.6), as one formula among others: steps are taken as they are.
//! `--law kaplan-steps` fits it alone.

use super::form::Form;

/// (`N_c`/N)^`alpha_N` + (`S_c`/S)^`alpha_S`.
pub const FORM: Form = Form {
    name: "kaplan-in-steps",
    formula: "loss = (N_c/N)^alpha_N + (S_c/steps)^alpha_S",
    columns: &["N", "steps"],
    unknowns: &["alpha_N in 0.01..1", "alpha_S in 0.01..1"],
    source: "Kaplan et al. 2020, arXiv 2001.08361",
};

#[cfg(test)]
mod tests {
    use super::super::testing::{grid, recovers};
    use super::*;

    #[test]
    fn the_constants_of_the_paper_come_back() {
        let (n, s) = grid(8, 8);
        let s = s.iter().map(|s| s / 1e6).collect();
        recovers(&FORM, &[("N", n), ("steps", s)], None, &[6.5e13, 0.077, 2.1e3, 0.76], 1e-3);
    }
}
