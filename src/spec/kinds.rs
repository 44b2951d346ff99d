//! Keys that belong to one kind of a thing: where an axis varies the kind, they are taken away at the points to which they
//! do not belong. Without such an axis, or where no point has the kind, they are mistakes, which `validate` tells.

use super::{Cooldown, KeepBy, ScheduleKind, Spec};
use crate::optimizer::Key;

/// A key that belongs to one kind.
struct Belonging {
    /// The field with the kind.
    kind: &'static str,
    /// Whether the key belongs to what a spec has there.
    belongs: fn(&Spec) -> bool,
    /// Takes the key away.
    forget: fn(&mut Spec),
}

/// Every key that belongs to a kind; a line each.
const BELONGINGS: &[Belonging] = &[
    of("schedule.kind", |spec| spec.schedule.kind == ScheduleKind::Wsd, |spec| spec.schedule.decay_fraction = None),
    of(
        "schedule.kind",
        |spec| spec.schedule.kind == ScheduleKind::Wsd,
        |spec| {
            spec.schedule.cooldown = Cooldown::default();
        },
    ),
    of("schedule.kind", |spec| spec.schedule.kind == ScheduleKind::Cosine, |spec| spec.schedule.decay_tokens = None),
    of("data.keep_by", |spec| spec.data.keep_by != Some(KeepBy::Random), |spec| spec.data.keep_scores = None),
    of("data.keep_by", |spec| spec.data.keep_by == Some(KeepBy::File), |spec| spec.data.keep_file = None),
    of("optimizer.kind", |spec| reads(spec, Key::Beta1), |spec| spec.optimizer.beta1 = None),
    of("optimizer.kind", |spec| reads(spec, Key::Beta2), |spec| spec.optimizer.beta2 = None),
    of("optimizer.kind", |spec| reads(spec, Key::Epsilon), |spec| spec.optimizer.epsilon = None),
    of("optimizer.kind", |spec| reads(spec, Key::Momentum), |spec| spec.optimizer.momentum = None),
];

const fn of(kind: &'static str, belongs: fn(&Spec) -> bool, forget: fn(&mut Spec)) -> Belonging {
    Belonging { kind, belongs, forget }
}

fn reads(spec: &Spec, key: Key) -> bool {
    spec.optimizer.kind.part().keys.contains(&key)
}

/// Takes away what belongs to another kind, of the points of a sweep that varies some fields.
pub(super) fn forget_foreign(points: &mut [Spec], is_varied: impl Fn(&str) -> bool) {
    for Belonging { kind, belongs, forget } in BELONGINGS {
        if is_varied(kind) && points.iter().any(belongs) {
            points.iter_mut().filter(|spec| !belongs(spec)).for_each(forget);
        }
    }
}
