//! Repeated data (Muennighoff et al. 2023, arXiv 2305.16264, equations 5 to 11), as one formula among others: tokens seen again and
//! parameters beyond what the unique tokens call for are worth less each time. `--law repetition` fits it alone.

use super::form::Form;

/// The law for a table that says with `$unique` how many of its tokens are different.
macro_rules! law {
    ($unique:literal) => {
        concat!(
            "loss = E + A/(",
            law!(size $unique),
            "*(1 + R_N*(1 - exp(-(N/",
            law!(size $unique),
            " - 1)/R_N))))^alpha + B/(",
            $unique,
            "*(1 + R_D*(1 - exp(-(D/",
            $unique,
            " - 1)/R_D))))^beta"
        )
    };
    // The parameters for which the unique tokens are compute-optimal, or those that there are.
    (size $unique:literal) => {
        concat!(
            "min(N, (",
            $unique,
            "*(alpha*A/(beta*B))^(1/(alpha + beta)))^(beta/alpha)*(alpha*A/(beta*B))^(1/(alpha + beta)))"
        )
    };
}

/// For tables with a column of unique tokens.
pub const FORM: Form = Form {
    name: "repetition",
    formula: law!("min(unique_tokens, D)"),
    columns: &["N", "D", "unique_tokens"],
    unknowns: &[
        "E > 0",
        "A > 0",
        "B > 0",
        "alpha in 0.05..1",
        "beta in 0.05..1",
        "R_N in 0.1..1000",
        "R_D in 0.1..1000",
    ],
    source: "Muennighoff et al. 2023, arXiv 2305.16264",
};

/// For tables with a column of epochs.
pub const BY_EPOCHS: Form =
    Form { name: "repetition-epochs", formula: law!("(D/max(epochs, 1))"), columns: &["N", "D", "epochs"], ..FORM };

#[cfg(test)]
mod tests {
    use super::super::testing::{grid, law, made, recovers};
    use super::*;
    use crate::fit::approaches::surface::Surface;
    use crate::fit::formula::untold;
    use crate::fit::laws::repetition::Repetition;

    /// In the order in which the formula names them: E, A, alpha, beta, B, `R_N`, `R_D`.
    const PLANTED: [f64; 7] = [1.9, 520.0, 0.35, 0.35, 1500.0, 5.3, 15.4];

    fn columns() -> [(&'static str, Vec<f64>); 4] {
        let (n, d) = grid(8, 8);
        let epochs: Vec<f64> = (0..64).map(|i| [0.5, 1.0, 3.0, 12.0, 40.0][i % 5]).collect();
        let unique = d.iter().zip(&epochs).map(|(d, epochs)| d / epochs.max(1.0)).collect();
        [("N", n), ("D", d), ("epochs", epochs), ("unique_tokens", unique)]
    }

    #[test]
    fn the_formula_is_the_law_that_is_fitted_alone() {
        let [n, d, epochs, unique] = columns();
        let [e, a, alpha, beta, b, r_n, r_d] = PLANTED;
        let alone = Repetition { surface: Surface { e, a, b, alpha, beta }, r_d, r_n };
        for (form, third) in [(&FORM, &unique), (&BY_EPOCHS, &epochs)] {
            let law = law(form.formula, form.unknowns, form.columns);
            let data = made(&law, &[n.clone(), d.clone(), third.clone()], None, &PLANTED);
            for (row, loss) in data.loss.iter().enumerate() {
                let expected = alone.loss(n.1[row], d.1[row], unique.1[row]);
                assert!((loss / expected - 1.0).abs() < 1e-12, "{loss} and not {expected}");
            }
        }
    }

    #[test]
    fn half_lives_come_back() {
        let [n, d, _, unique] = columns();
        recovers(&FORM, &[n, d, unique], None, &PLANTED, 1e-2);
    }

    #[test]
    fn where_nothing_is_repeated_no_row_tells_the_half_life_of_tokens() {
        let [n, d, ..] = columns();
        for (epochs, expected) in [(0.5, Some("R_D")), (2.0, None)] {
            let law = law(BY_EPOCHS.formula, BY_EPOCHS.unknowns, BY_EPOCHS.columns);
            let data = made(&law, &[n.clone(), d.clone(), ("epochs", vec![epochs; 64])], None, &PLANTED);
            let bound = law.bind(&data).unwrap();
            assert_eq!(untold(&bound, 0).first().map(|at| bound.numbers[*at].label.as_str()), expected);
        }
    }
}
