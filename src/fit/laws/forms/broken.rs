//! Power laws of one variable with a smooth break (Caballero et al. 2022, arXiv 2210.14891, equation 1 with one break), as
//! formulas among others. `--law params`, `tokens` and `flops` fit them alone, with one break or two.

use super::form::Form;

const SOURCE: &str = "Caballero et al. 2022, arXiv 2210.14891";
const UNKNOWNS: &[&str] = &["E > 0", "A > 0", "c in 0..2", "d > 0", "f in 0.1..10", "k in -2..2"];

/// E + A N^-c (1 + (N/d)^(1/f))^(-k f).
pub const PARAMS: Form = Form {
    name: "broken-params",
    formula: "loss = E + A*N^(-c)*(1 + (N/d)^(1/f))^(-k*f)",
    columns: &["N"],
    unknowns: UNKNOWNS,
    source: SOURCE,
};

/// The same in tokens.
pub const TOKENS: Form =
    Form { name: "broken-tokens", formula: "loss = E + A*D^(-c)*(1 + (D/d)^(1/f))^(-k*f)", columns: &["D"], ..PARAMS };

/// The same in compute.
pub const FLOPS: Form =
    Form { name: "broken-flops", formula: "loss = E + A*C^(-c)*(1 + (C/d)^(1/f))^(-k*f)", columns: &["C"], ..PARAMS };

#[cfg(test)]
mod tests {
    use super::super::testing::recovers;
    use super::*;

    #[test]
    fn the_break_comes_back() {
        let x: Vec<f64> = (0..48).map(|i| 1e5 * 2_f64.powf(f64::from(i) / 2.0)).collect();
        let planted = [1.5, 20.0, 0.1, 1e8, 0.5, 0.3];
        for (form, column) in [(&PARAMS, "N"), (&TOKENS, "D"), (&FLOPS, "C")] {
            recovers(form, &[(column, x.clone())], None, &planted, 1e-2);
        }
    }
}
