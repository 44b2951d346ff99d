//! The joint law of Kaplan et al. 2020 (arXiv 2001.08361, equation 1.5), as one formula among others.

use super::Form;

/// ((`N_c`/N)^(`alpha_N`/`alpha_D`) + `D_c`/D)^`alpha_D`.
pub const FORM: Form = Form {
    name: "kaplan-joint",
    formula: "loss = ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D",
    columns: &["N", "D"],
    unknowns: &["alpha_N in 0.01..1", "alpha_D in 0.01..1"],
    source: "Kaplan et al. 2020, arXiv 2001.08361",
};

#[cfg(test)]
mod tests {
    use super::super::testing::{grid, recovers};
    use super::*;

    #[test]
    fn the_constants_of_the_paper_come_back() {
        let (n, d) = grid(8, 8);
        recovers(&FORM, &[("N", n), ("D", d)], None, &[6.4e13, 0.076, 0.103, 1.8e13], 1e-3);
    }
}
