//! The size of the vocabulary: parameters of embeddings and of everything else scale apart, and data are counted in
//! characters, which no tokenizer changes (Tao et al. 2024, arXiv 2407.13623, equation 8). The loss is that beyond a
//! unigram model, so its constant may be below zero.

use super::Form;

/// E + `A_1`/`N_nv`^`alpha_1` + `A_2`/`N_v`^`alpha_2` + B/H^beta.
pub const FORM: Form = Form {
    name: "vocabulary",
    formula: "loss = E + A_1/params_non_vocabulary^alpha_1 + A_2/params_vocabulary^alpha_2 + B/characters^beta",
    columns: &["params_non_vocabulary", "params_vocabulary", "characters"],
    unknowns: &["A_1 > 0", "A_2 > 0", "B > 0", "alpha_1 in 0..2", "alpha_2 in 0..2", "beta in 0..2"],
    source: "Tao et al. 2024, arXiv 2407.13623",
};

#[cfg(test)]
mod tests {
    use super::super::testing::{grid, recovers};
    use super::*;

    #[test]
    fn its_numbers_come_back() {
        let (n, h) = grid(8, 24);
        let vocabulary = (0..192).map(|i| 1e5 * 3_f64.powi(i % 6)).collect();
        let columns = [("params_non_vocabulary", n), ("params_vocabulary", vocabulary), ("characters", h)];
        recovers(&FORM, &columns, None, &[5.53, 1.8, 0.15, 0.2, 0.25, 2000.0, 0.42], 3e-2);
    }
}
