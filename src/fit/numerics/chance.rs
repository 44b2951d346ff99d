//! Student's t, Fisher's F and the binomial: how far chance alone goes.

/// The 97.5th percentile of the normal distribution.
const NORMAL: f64 = 1.959_964;

/// The 97.5th percentile of Student's t by degrees of freedom; NaN for none.
pub(in crate::fit) fn student(freedom: usize) -> f64 {
    const FIRST: [f64; 10] = [f64::NAN, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];
    // The first terms of its expansion at the normal quantile (Abramowitz and Stegun, 26.7.5), within 0.003 from here.
    let (z, n) = (NORMAL, freedom as f64);
    let expansion = z + (z.powi(3) + z) / (4.0 * n) + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n);
    FIRST.get(freedom).copied().unwrap_or(expansion)
}

/// By how much residuals of so many degrees of freedom are widened, so that their percentiles, which are normal ones, become
/// Student's.
pub(in crate::fit) fn widening(freedom: usize) -> f64 {
    student(freedom) / NORMAL
}

/// The chance that Student's t of so many degrees of freedom is further from zero than this, on either side; NaN for none.
pub(in crate::fit) fn beyond_t(t: f64, freedom: usize) -> f64 {
    beyond_f(t * t, 1, freedom)
}

/// The chance that a ratio of two estimates of one variance, of `above` and `below` degrees of freedom, is larger than this
/// (Fisher's F; Abramowitz and Stegun, 26.6.2); NaN where either has none.
pub(in crate::fit) fn beyond_f(ratio: f64, above: usize, below: usize) -> f64 {
    if above == 0 || below == 0 || ratio.is_nan() {
        return f64::NAN;
    }
    let (a, b) = (above as f64, below as f64);
    beta_share(b / (b + a * ratio.max(0.0)), b / 2.0, a / 2.0)
}

/// The chance that at most `held` of so many independent things happen, each of which does with the chance `each` (Abramowitz and
/// Stegun, 26.5.24).
pub fn at_most(held: usize, of: usize, each: f64) -> f64 {
    if held >= of {
        return 1.0;
    }
    beta_share(1.0 - each, (of - held) as f64, held as f64 + 1.0)
}

/// The share of the beta integral up to x, by its continued fraction (Numerical Recipes, 6.4), where that converges fast.
fn beta_share(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_share(1.0 - x, b, a);
    }
    let scale = (a * x.ln() + b * (-x).ln_1p() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)).exp() / a;
    let away = |x: f64| if x.abs() < 1e-300 { 1e-300 } else { x };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..300 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            fraction *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-13 {
            break;
        }
    }
    scale * fraction
}

/// The logarithm of the gamma function of whole and half numbers above zero.
fn ln_gamma(x: f64) -> f64 {
    let half = (x.fract() - 0.5).abs() < 0.25;
    let (mut from, mut sum) = if half { (0.5, std::f64::consts::PI.ln() / 2.0) } else { (1.0, 0.0) };
    while from + 0.25 < x {
        sum += f64::ln(from);
        from += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn students_quantile_is_that_of_the_tables() {
        for (freedom, quantile) in [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042)] {
            let got = student(freedom);
            assert!((got - quantile).abs() < 3e-3, "{freedom}: {got} and not {quantile}");
        }
        assert!((widening(100_000) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn the_chance_beyond_a_quantile_of_t_is_what_the_tables_say() {
        let quantiles = [
            (1, 12.706, 0.05),
            (2, 9.925, 0.01),
            (3, 3.182, 0.05),
            (4, 4.604, 0.01),
            (7, 2.365, 0.05),
            (30, 2.75, 0.01),
        ];
        for (freedom, t, chance) in quantiles {
            let got = beyond_t(-t, freedom);
            assert!((got - chance).abs() < 5e-5, "{freedom}: {got} and not {chance}");
        }
        assert!(beyond_t(1.0, 0).is_nan());
        assert!((beyond_t(0.0, 5) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_chance_beyond_a_quantile_of_f_is_what_the_tables_say() {
        for (ratio, above, below, chance) in [
            (161.448, 1, 1, 0.05),
            (4.9646, 1, 10, 0.05),
            (3.7083, 3, 10, 0.05),
            (7.0061, 4, 8, 0.01),
            (2.0772, 12, 30, 0.051_643),
            (1.0, 7, 7, 0.5),
        ] {
            let got = beyond_f(ratio, above, below);
            assert!(
                (got - chance).abs() < 1e-6 + 1e-5 * chance,
                "F({above}, {below}) of {ratio}: {got} and not {chance}"
            );
        }
        assert!(beyond_f(1.0, 0, 3).is_nan() && beyond_f(1.0, 3, 0).is_nan());
        assert!(beyond_f(f64::INFINITY, 3, 3) < 1e-12 && (beyond_f(0.0, 3, 3) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_chance_of_at_most_so_many_is_the_sum_of_the_binomial() {
        for (held, of, chance) in
            [(18, 20, 0.264_160_5), (0, 3, 1.25e-4), (270, 300, 2.817_940e-4), (1900, 2000, 0.514_325_5)]
        {
            let got = at_most(held, of, 0.95);
            assert!((got / chance - 1.0).abs() < 1e-6, "{held} of {of}: {got} and not {chance}");
        }
        assert!((at_most(300, 300, 0.95) - 1.0).abs() < 1e-12);
    }
}
