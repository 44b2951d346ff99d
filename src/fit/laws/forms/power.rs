//! Power laws of one variable above an irreducible loss (Kaplan et al. 2020, arXiv 2001.08361, equations 1.1 to 1.3; with the
//! offset Henighan et al. 2020, arXiv 2010.14701), as formulas among others. `--law params`, `tokens` and `flops` fit them alone.

use super::form::Form;

const SOURCE: &str = "Henighan et al. 2020, arXiv 2010.14701";
const UNKNOWNS: &[&str] = &["E > 0", "A > 0", "alpha in 0..2"];

/// E + A/N^alpha.
pub const PARAMS: Form =
    Form { name: "power-params", formula: "loss = E + A/N^alpha", columns: &["N"], unknowns: UNKNOWNS, source: SOURCE };

/// E + A/D^alpha.
pub const TOKENS: Form = Form { name: "power-tokens", formula: "loss = E + A/D^alpha", columns: &["D"], ..PARAMS };

/// E + A/C^alpha.
pub const FLOPS: Form = Form { name: "power-flops", formula: "loss = E + A/C^alpha", columns: &["C"], ..PARAMS };

#[cfg(test)]
mod tests {
    use super::super::testing::recovers;
    use super::*;

    #[test]
    fn offset_and_exponent_come_back() {
        let x: Vec<f64> = (0..24).map(|i| 1e6 * 2_f64.powi(i)).collect();
        for (form, column) in [(&PARAMS, "N"), (&TOKENS, "D"), (&FLOPS, "C")] {
            recovers(form, &[(column, x.clone())], None, &[1.7, 300.0, 0.31], 1e-3);
        }
    }
}
