//! Rotary angles (Su et al. 2021, arXiv 2104.09864), as numbers: the same on every device.

use crate::model::{Positions, Shape};
use crate::plan::ROTARY_BASE;

/// Cosines and sines `[context, head_dim / 2]` of the angle by which each position turns each channel: none where positions
/// are not rotary.
pub fn tables(shape: &Shape) -> [Vec<f32>; 2] {
    let half = shape.head_dim() / 2;
    let turns = if shape.parts.positions == Positions::Rotary { 1.0 } else { 0.0 };
    let angle = |i: usize| turns * (i / half) as f64 * ROTARY_BASE.powf(-((i % half) as f64) / half as f64);
    let table = |f: fn(f64) -> f64| (0..shape.context * half).map(|i| f(angle(i)) as f32).collect();
    [table(f64::cos), table(f64::sin)]
}
