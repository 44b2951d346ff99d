//! AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101): each number goes by its first moment over the root of its second.

use super::number::{Number, rest};
use super::part::{Kept, Key, Numbers, Part, Update};
use crate::parameterization::{Role, Rule, Stride};

pub(super) const PART: Part = Part {
    name: "adamw",
    keys: &[Key::Beta1, Key::Beta2, Key::Epsilon],
    keeps: &[Kept::Value, Kept::First, Kept::Second],
    stride: Stride::Unit,
    steps: &Role::ALL,
    update,
};

/// The moments begin at zero; the corrections undo their bias towards it.
fn update(number: Numbers<'_>, rule: &Rule, step: i32, plain: Update) -> Update {
    let [beta1, beta2, epsilon] = [Key::Beta1, Key::Beta2, Key::Epsilon].map(number);
    Update {
        beta1,
        beta2,
        epsilon: epsilon * rule.epsilon,
        rate: plain.rate / (1.0 - beta1.powi(step)),
        second_correction: (1.0 - beta2.powi(step)).recip(),
        ..plain
    }
}

/// Value, first and second moment after a step.
#[inline(always)]
pub fn step<N: Number>([value, first, second]: [N; 3], gradient: N, update: &Update) -> [N; 3] {
    let Update { beta1, beta2, epsilon, rate, second_correction, keep } = *update;
    let first = first.times_plus(beta1, gradient.clone().times(rest(beta1)));
    let second = second.times_plus(beta2, gradient.clone().times(rest(beta2)) * gradient);
    let root = second.clone().times(second_correction).root().plus(epsilon);
    let value = value.times_plus(keep, first.clone().times(-rate) / root);
    [value, first, second]
}
