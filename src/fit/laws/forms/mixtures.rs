//! Mixtures of data: the loss on one domain falls exponentially in the shares of the training data (Ye et al. 2024, arXiv
//! 2403.16952, equation 8). Its columns are all that begin with `share_`, so its formula is written for a table.

use crate::columns::SHARE;

/// How `--law` calls it.
pub const NAME: &str = "mixtures";

/// The columns of a table that are shares.
pub fn shares(headers: &[String]) -> Vec<String> {
    headers.iter().filter(|header| header.starts_with(SHARE)).cloned().collect()
}

/// Sums of shares that agree within this share of themselves differ by rounding.
const ROUNDED: f64 = 0.01;

/// What the shares of every row, a list for each column, add up to; nothing where that differs from row to row.
pub fn total(shares: &[Vec<f64>]) -> Option<f64> {
    let rows = shares.first().map_or(0, Vec::len);
    let sums: Vec<f64> = (0..rows).map(|row| shares.iter().map(|share| share[row]).sum()).collect();
    let mean = sums.iter().sum::<f64>() / sums.len() as f64;
    sums.iter().all(|sum| (sum - mean).abs() <= ROUNDED * mean.abs()).then_some(mean)
}

/// c + k exp(sum of t times share) over the columns of a table; nothing where none is a share.
///
/// Where shares add up to the same in every row, one of them tells nothing that the others and k do not: the last is left out.
/// Where they do not, all count.
pub fn formula(headers: &[String], add_up: bool) -> Option<String> {
    let shares = shares(headers);
    let told = if add_up && shares.len() > 1 { &shares[..shares.len() - 1] } else { &shares[..] };
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
        let text = formula(&headers, true).unwrap();
        assert_eq!(text, "loss = c + k*exp(t_web*share_web + t_code*share_code)");
        let web: Vec<f64> = (0..36).map(|i| 0.1 + 0.15 * f64::from(i / 6)).collect();
        let code = (0..36).map(|i| (0.9 - 0.15 * f64::from(i / 6)) * f64::from(i % 6) / 6.0).collect();
        let columns = [("share_web", web), ("share_code", code)];
        let law = law(&text, &[], &["share_web", "share_code"]);
        let data = made(&law, &columns, None, &[1.5, 1.2, -0.8, -2.5]);
        let bound = law.bind(&data).unwrap();
        let found = solve(&bound, Measure::default(), 32, 0).unwrap();
        for (value, planted) in found.values.iter().zip([1.5, 1.2, -0.8, -2.5]) {
            assert!((value / planted - 1.0).abs() < 1e-3, "{found:?}");
        }
    }

    #[test]
    fn every_share_counts_where_shares_do_not_add_up() {
        let headers: Vec<String> = ["loss", "share_web", "share_code"].map(str::to_owned).to_vec();
        let web: Vec<f64> = (0..30).map(|i| 0.05 + 0.09 * f64::from(i / 6)).collect();
        let code: Vec<f64> = (0..30).map(|i| 0.05 + 0.08 * f64::from(i % 6)).collect();
        let shares = vec![web.clone(), code.clone()];
        assert_eq!(total(&shares), None);
        let rest = shares[0].iter().zip(&shares[1]).map(|(a, b)| 1.0 - a - b).collect();
        assert!((total(&[web.clone(), code.clone(), rest]).unwrap() - 1.0).abs() < 1e-12);
        let text = formula(&headers, total(&shares).is_some()).unwrap();
        assert_eq!(text, "loss = c + k*exp(t_web*share_web + t_code*share_code)");
        let law = law(&text, &[], &["share_web", "share_code"]);
        let data = made(&law, &[("share_web", web), ("share_code", code)], None, &[1.5, 1.2, -0.8, -0.5]);
        let bound = law.bind(&data).unwrap();
        let found = solve(&bound, Measure::default(), 32, 0).unwrap();
        for (value, planted) in found.values.iter().zip([1.5, 1.2, -0.8, -0.5]) {
            assert!((value / planted - 1.0).abs() < 1e-2, "{found:?}");
        }
    }
}
