//! Several recipes, optimizers, data sets or architectures on one surface: exponents are shared, and each group uses its
//! parameters and its tokens with an efficiency of its own, relative to the first group (arXiv 2602.07712).

use super::Form;

/// E + A/(`rho_N` N)^alpha + B/(`rho_D` D)^beta with one pair of efficiencies a group.
pub const FORM: Form = Form {
    name: "efficiencies",
    formula: "loss = E + A/(rho_N{group}*N)^alpha + B/(rho_D{group}*D)^beta",
    columns: &["N", "D"],
    unknowns: &[
        "E > 0",
        "A > 0",
        "B > 0",
        "alpha in 0..2",
        "beta in 0..2",
        "rho_N relative from 0.5,1,2",
        "rho_D relative from 0.5,1,2",
    ],
    source: "arXiv 2602.07712",
};

#[cfg(test)]
mod tests {
    use super::super::testing::{grid, recovers};
    use super::*;

    #[test]
    fn efficiencies_come_back_relative_to_the_first_group() {
        let (n, d) = grid(6, 12);
        let groups = (0..72).map(|i| if i % 12 < 6 { "adamw" } else { "muon" }).collect();
        let d = d.iter().enumerate().map(|(i, d)| if i % 12 < 6 { *d } else { d / 64.0 }).collect();
        let planted = [1.69, 406.4, 1.0, 1.1, 0.34, 410.7, 1.0, 1.4, 0.28];
        recovers(&FORM, &[("N", n), ("D", d)], Some(groups), &planted, 1e-3);
    }
}
