//! Mixtures of data: the loss on one domain falls exponentially in the shares of the training data (Ye et al. 2024, arXiv
//! 2403.16952, equation 8). Its columns are all that begin with `share_`, so its formula is written for a table.

/// How `--law` calls it.
pub const NAME: &str = "mixtures";
/// How columns of shares begin.
pub use crate::fit::table::SHARE;

/// c + k exp(sum of t times share) over the columns of a table; nothing where none is a share.
///
/// Shares add up to one, so that one of them tells nothing that the others and k do not: the last is left out.
pub fn formula(headers: &[String]) -> Option<String> {
    let shares: Vec<&String> = headers.iter().filter(|header| header.starts_with(SHARE)).collect();
    let told = if shares.len() > 1 { &shares[..shares.len() - 1] } else { &shares[..] };
    let terms: Vec<String> = told.iter().map(|share| format!("t_{}*{share}", &share[SHARE.len()..])).collect();
    (!terms.is_empty()).then(|| format!("loss = c + k*exp({})", terms.join(" + ")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{law, made};
    use super::*;
    use crate::fit::formula::{Measure, solve};

    #[test]
    fn what_each_domain_is_worth_comes_back() {
        let headers: Vec<String> = ["loss", "share_web", "share_code", "share_books"].map(str::to_owned).to_vec();
        let text = formula(&headers).unwrap();
        assert_eq!(text, "loss = c + k*exp(t_web*share_web + t_code*share_code)");
        let web: Vec<f64> = (0..36).map(|i| 0.1 + 0.15 * f64::from(i / 6)).collect();
        let code = (0..36).map(|i| (0.9 - 0.15 * f64::from(i / 6)) * f64::from(i % 6) / 6.0).collect();
        let columns = [("share_web", web), ("share_code", code)];
        let law = law(&text, &[], &["share_web", "share_code"]);
        let data = made(&law, &columns, None, &[1.5, 1.2, -0.8, -2.5]);
        let bound = law.bind(&data).unwrap();
        let found = solve(&bound, &data, Measure::default(), 32, 0).unwrap();
        for (value, planted) in found.values.iter().zip([1.5, 1.2, -0.8, -2.5]) {
            assert!((value / planted - 1.0).abs() < 1e-3, "{found:?}");
        }
    }
}
