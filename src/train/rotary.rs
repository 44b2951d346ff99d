//! Rotary angles (Su et al. 2021, arXiv 2104.09864), as numbers: the same on every device.

use crate::plan::ROTARY_BASE;

/// Cosines and sines `[context, head_dim / 2]` of the angle of each position and channel.
pub fn tables(context: usize, head_dim: usize) -> [Vec<f32>; 2] {
    let half = head_dim / 2;
    let table = |f: fn(f64) -> f64| {
        let value = |i: usize| f((i / half) as f64 * ROTARY_BASE.powf(-((i % half) as f64) / half as f64)) as f32;
        (0..context * half).map(value).collect()
    };
    [table(f64::cos), table(f64::sin)]
}
