//! Means, medians and quantiles.

/// The quantile of ascending values, interpolated between neighbours; NaN where there are none.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = share * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    let weight = position - below as f64;
    // Not a weighted sum where both are equal: infinite neighbours would give NaN.
    if sorted[below].total_cmp(&sorted[above]).is_eq() {
        return sorted[below];
    }
    sorted[below] * (1.0 - weight) + sorted[above] * weight
}

/// The mean of at least one value.
pub(in crate::fit) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The root of the mean square of at least one value.
pub(in crate::fit) fn root_mean_square(values: &[f64]) -> f64 {
    (values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64).sqrt()
}

/// The value in the middle, of two the larger; NaN where there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_between_neighbours() {
        let values = [1.0, 2.0, 3.0, 5.0];
        for (share, expected) in [(0.0, 1.0), (0.5, 2.5), (1.0, 5.0)] {
            assert!((quantile(&values, share) - expected).abs() < 1e-12);
        }
        assert!(quantile(&[], 0.5).is_nan());
        assert!((quantile(&[7.0], 0.975) - 7.0).abs() < 1e-12);
    }
}
