//! Muon (Jordan et al. 2024): the momentum of a hidden matrix, made orthogonal. All singular values of a step are about
//! equal, so no direction is left behind. AdamW steps all other weights.
//!
//! Steps are as long as those of AdamW by their root mean square, about 0.2 of the learning rate (Liu et al. 2025, arXiv
//! 2502.16982), so that one learning rate and one weight decay serve both.

use super::number::{Matrix, rest};
use super::part::{Kept, Key, Numbers, Part, Update};
use crate::parameterization::{Role, Rule, Stride};

pub(super) const PART: Part = Part {
    name: "muon",
    keys: &[Key::Momentum, Key::Beta1, Key::Beta2, Key::Epsilon],
    keeps: &[Kept::Value, Kept::First],
    stride: Stride::Orthogonal,
    steps: &[Role::Hidden, Role::Residual],
    update,
};

/// Root mean square of AdamW's steps in units of the learning rate, which Muon's are scaled to.
const ROOT_MEAN_SQUARE: f64 = 0.2;

/// The polynomial x -> a x + b x^3 + c x^5 of Jordan et al., which brings singular values from 0 to 1 near 1 in a few
/// iterations: between 0.7 and 1.2 after so many.
pub const POLYNOMIAL: [f64; 3] = [3.4445, -4.775, 2.0315];
/// How often.
pub const ITERATIONS: usize = 5;

fn update(number: Numbers<'_>, _: &Rule, _: i32, plain: Update) -> Update {
    Update { beta1: number(Key::Momentum), ..plain }
}

/// Value and momentum after a step of a whole matrix.
pub fn step<M: Matrix>([value, momentum]: [M; 2], gradient: M, update: &Update) -> [M; 2] {
    let Update { beta1, rate, keep, .. } = *update;
    let gradient = gradient.times(rest(beta1));
    let momentum = momentum.times_plus(beta1, gradient.clone());
    // Nesterov's: the momentum as it will be after the same gradient once more.
    let ahead = momentum.clone().times_plus(beta1, gradient);
    let scale = scale(value.shape());
    let value = value.times_plus(keep, orthogonal(ahead).times(-rate * scale));
    [value, momentum]
}

/// By what an orthogonal matrix of this shape is multiplied, so that its root mean square is that of AdamW's steps.
pub fn scale([rows, columns]: [usize; 2]) -> f64 {
    ROOT_MEAN_SQUARE * (rows.max(columns) as f64).sqrt()
}

/// The nearest orthogonal matrix, nearly: singular vectors stay, singular values come near 1 (Newton and Schulz). All
/// products are as small as the shorter side allows.
fn orthogonal<M: Matrix>(x: M) -> M {
    let [rows, columns] = x.shape();
    let tall = rows > columns;
    let [a, b, c] = POLYNOMIAL;
    let mut x = x.normalized();
    for _ in 0..ITERATIONS {
        let transposed = x.clone().transposed();
        let square = if tall { transposed.product(x.clone()) } else { x.clone().product(transposed) };
        let higher = square.clone().product(square.clone()).times(c);
        let factor = square.times_plus(b, higher);
        let rest = if tall { x.clone().product(factor) } else { factor.product(x.clone()) };
        x = x.times_plus(a, rest);
    }
    x
}
