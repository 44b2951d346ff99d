//! Stochastic gradient descent with momentum (Sutskever et al. 2013), as PyTorch has it: the momentum is a sum of
//! gradients, not their mean. Weight decay is decoupled, as in `SGDW` (Loshchilov and Hutter 2019, arXiv 1711.05101).

use super::number::Number;
use super::part::{Kept, Key, Numbers, Part, Update};
use crate::parameterization::{Role, Rule, Stride};

pub(super) const PART: Part = Part {
    name: "sgd",
    keys: &[Key::Momentum],
    keeps: &[Kept::Value, Kept::First],
    stride: Stride::Gradient,
    steps: &Role::ALL,
    update,
};

fn update(number: Numbers<'_>, _: &Rule, _: i32, plain: Update) -> Update {
    Update { beta1: number(Key::Momentum), ..plain }
}

/// Value and momentum after a step.
#[inline(always)]
pub fn step<N: Number>([value, momentum]: [N; 2], gradient: N, update: &Update) -> [N; 2] {
    let Update { beta1, rate, keep, .. } = *update;
    let momentum = momentum.times_plus(beta1, gradient);
    let value = value.times_plus(keep, momentum.clone().times(-rate));
    [value, momentum]
}
