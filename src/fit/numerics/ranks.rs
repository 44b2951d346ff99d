//! Whether two lists put the same things in the same order.

/// Spearman's rank correlation: that of the ranks, equal values sharing theirs; nothing where one of the lists is all the same.
pub fn spearman(pairs: &[[f64; 2]]) -> Option<f64> {
    let ranks = [0, 1].map(|which| ranks(&pairs.iter().map(|pair| pair[which]).collect::<Vec<_>>()));
    let middle = (pairs.len() as f64 - 1.0) / 2.0;
    let product =
        |a: usize, b: usize| -> f64 { ranks[a].iter().zip(&ranks[b]).map(|(x, y)| (x - middle) * (y - middle)).sum() };
    let scale = (product(0, 0) * product(1, 1)).sqrt();
    (scale > 0.0).then(|| product(0, 1) / scale)
}

/// The rank of each value from 0 on.
fn ranks(values: &[f64]) -> Vec<f64> {
    let of = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let equal = values.iter().filter(|other| other.total_cmp(value).is_eq()).count();
        below as f64 + (equal as f64 - 1.0) / 2.0
    };
    values.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_that_agree_are_one_and_the_published_example_comes_back() {
        assert_eq!(spearman(&[[1.0, 10.0], [2.0, 100.0], [7.0, 1000.0]]), Some(1.0));
        assert_eq!(spearman(&[[1.0, 3.0], [2.0, 2.0], [7.0, 1.0]]), Some(-1.0));
        assert_eq!(spearman(&[[1.0, 3.0], [1.0, 2.0]]), None);
        // 1 - 6 (1 + 1 + 4) / (4 (16 - 1)) by the formula for ranks without ties.
        let found = spearman(&[[1.0, 2.0], [2.0, 1.0], [3.0, 3.0], [4.0, 4.0]]).unwrap();
        assert!((found - 0.8).abs() < 1e-12, "{found}");
        // Two that share a rank: half of it each.
        let tied = spearman(&[[1.0, 1.0], [1.0, 2.0], [2.0, 3.0]]).unwrap();
        assert!((tied - 0.75_f64.sqrt()).abs() < 1e-12, "{tied}");
    }

    #[test]
    fn equal_values_share_the_mean_of_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
        // By SciPy 1.16: spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) is 0.8207826816681233.
        let rho = spearman(&[[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 8.0], [5.0, 7.0]]).unwrap();
        assert!((rho - 0.820_782_681_668_123_3).abs() < 1e-12, "{rho}");
    }
}
