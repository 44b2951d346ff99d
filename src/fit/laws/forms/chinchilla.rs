//! The surface of Hoffmann et al. 2022 (arXiv 2203.15556, equation 10), as one formula among others. Approaches 3 and
//! VPNLS fit it too, with its optimum.

use super::Form;

/// E + A/N^alpha + B/D^beta.
pub const FORM: Form = Form {
    name: "chinchilla",
    formula: "loss = E + A/N^alpha + B/D^beta",
    columns: &["N", "D"],
    unknowns: &["E > 0", "A > 0", "B > 0", "alpha in 0..2", "beta in 0..2"],
    source: "Hoffmann et al. 2022, arXiv 2203.15556",
};

#[cfg(test)]
mod tests {
    use super::super::testing::{grid, recovers};
    use super::*;

    #[test]
    fn its_numbers_come_back() {
        let (n, d) = grid(8, 8);
        recovers(&FORM, &[("N", n), ("D", d)], None, &[1.69, 406.4, 0.34, 410.7, 0.28], 1e-4);
    }
}
