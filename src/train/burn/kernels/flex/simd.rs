//! What the kernels share: vector code chosen at run time, exp, and reductions in a fixed order.
//!
//! Plain loops over arrays of 16 lanes, compiled by [`pulp`] for AVX-512, AVX2 and the baseline, and chosen once a
//! call. Arm's vector unit is part of its baseline.

/// Runs `work` in the widest instructions of this machine. `work` and all that it calls must be `#[inline(always)]`:
/// a function that stays outside is compiled for the baseline, where each `mul_add` is a call.
///
/// `work` becomes a function of its own, which does not see how long the slices are that it is handed. Where it goes through
/// several by an index, it cuts them to one length first: otherwise each index is checked, and there is no vector code.
#[inline]
pub fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// Lanes that a reduction keeps apart: the same on every machine, so that sums are too.
pub const LANES: usize = 16;

/// e^x to 2 units in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2] (Cephes' coefficients). Below
/// -87, where f32 leaves its normal range, it stays at e^-87.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// Adding it leaves the nearest integer in the low bits: 1.5 x 2^23.
    const ROUND: f32 = 12_582_912.0;
    // Not `max`, which would turn a NaN into a number.
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, the first exact in few bits, so that the remainder keeps its digits.
    let r = (-n).mul_add(0.693_359_4, x);
    let r = (-n).mul_add(-2.121_944_4e-4, r);
    let p = 1.987_569_1e-4_f32;
    let p = p.mul_add(r, 1.398_199_9e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 0.166_666_65);
    let p = p.mul_add(r, 0.5);
    let e_r = p.mul_add(r * r, r) + 1.0;
    // Put n into the exponent.
    f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000)) * e_r
}

/// Sum of f(x).
#[inline(always)]
pub fn sum_of(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f(x);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&x| f(x)).sum::<f32>()
}

/// Sum of x y.
#[inline(always)]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest: f32 = xs.remainder().iter().zip(ys.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in xs.zip(ys) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
            *lane = x.mul_add(y, *lane);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// The largest element; negative infinity of nothing. A NaN is skipped here and shows up in what follows.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |max, &x| if x > max { x } else { max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_standard_library() {
        for i in -8700..=8700 {
            let x = i as f32 / 100.0;
            let (ours, exact) = (
                vectorized(
                    #[inline(always)]
                    || exp(x),
                ),
                f64::from(x).exp(),
            );
            assert!((f64::from(ours) / exact - 1.0).abs() < 3e-7, "exp({x}) = {ours}, not {exact}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn reductions_take_every_element_at_any_length() {
        for n in [0_usize, 1, 15, 16, 17, 100] {
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            assert_eq!(sum_of(&x, |x| x) as usize, n * n.saturating_sub(1) / 2);
            assert_eq!(dot(&x, &vec![2.0; n]) as usize, n * n.saturating_sub(1));
            assert_eq!(max(&x) as i64, i64::try_from(n).map_or(0, |n| if n == 0 { i64::MIN } else { n - 1 }));
        }
    }
}
