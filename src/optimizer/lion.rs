//! Lion (Chen et al. 2023, arXiv 2302.06675): each number goes by the learning rate, in the direction of the sign of a mean
//! of momentum and gradient.

use super::number::{Number, rest};
use super::part::{Kept, Key, Numbers, Part, Update};
use crate::parameterization::{Role, Rule, Stride};

pub(super) const PART: Part = Part {
    name: "lion",
    keys: &[Key::Beta1, Key::Beta2],
    keeps: &[Kept::Value, Kept::First],
    stride: Stride::Unit,
    steps: &Role::ALL,
    update,
};

fn update(number: Numbers<'_>, _: &Rule, _: i32, plain: Update) -> Update {
    Update { beta1: number(Key::Beta1), beta2: number(Key::Beta2), ..plain }
}

/// Value and momentum after a step.
#[inline(always)]
pub fn step<N: Number>([value, momentum]: [N; 2], gradient: N, update: &Update) -> [N; 2] {
    let Update { beta1, beta2, rate, keep, .. } = *update;
    let direction = momentum.clone().times_plus(beta1, gradient.clone().times(rest(beta1))).sign();
    let value = value.times_plus(keep, direction.times(-rate));
    let momentum = momentum.times_plus(beta2, gradient.times(rest(beta2)));
    [value, momentum]
}
