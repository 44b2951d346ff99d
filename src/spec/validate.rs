//! What a spec may say: ranges of values, and which fields belong together. A file for each table.

mod data;
mod fit;
mod model;
mod own;
mod parts;
mod stop;
mod sweep;
mod training;

use super::Spec;
use super::check::{Checked, absent, require};
use super::launcher;
pub(super) use data::check as data;
pub(crate) use data::{MOST_TOKENS, SEPARATOR as SEPARATOR_REMEDY};
pub(super) use fit::check as question;
pub(super) use stop::{check as stopping, some_group};
pub(super) use sweep::tuning;
pub(crate) use sweep::{MIN_SIZES, MIN_STEPS};
pub(super) use sweep::{seeds, some_trunk};

/// Checks one point of a sweep, or a single run.
pub(super) fn spec(spec: &Spec) -> Checked {
    name(&spec.name)?;
    data::check(&spec.data)?;
    // Before the shapes and lengths, which depend on what the sweep decides.
    spec.sweep.as_ref().map_or(Ok(()), sweep::check)?;
    let ladder = spec.sweep.as_ref().is_some_and(|sweep| sweep.budgets.is_some() || sweep.params.is_some());
    if spec.has_own_models() {
        own::model(&spec.model)?;
    } else {
        model::check(&spec.model, ladder)?;
    }
    training::optimizer(&spec.optimizer)?;
    training::part(spec.data.train_tokens, &spec.optimizer.batch_tokens)?;
    training::schedule(&spec.schedule, spec.sweep.as_ref().is_some_and(|sweep| sweep.budgets.is_some()))?;
    training::eval(&spec.eval, spec)?;
    training::train(&spec.train, spec.sweep.is_some())?;
    own::check(spec)?;
    training::tasks(spec)?;
    absent("launcher", spec.launcher.is_some() && spec.sweep.is_none(), "a single run is trained on this machine")?;
    spec.launcher.as_ref().map_or(Ok(()), launcher::check)?;
    sweep::trunk(spec)?;
    sweep::seeds(spec)
}

fn name(name: &str) -> Checked {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    require(first && rest && name.len() <= 100 && !name.contains(".."), "name", || {
        let problem = format!("{name:?} cannot name a results folder");
        (problem, "write up to 100 of A-Z a-z 0-9 . _ - beginning with a letter or digit, such as \"isoflop-rfc\"")
    })
}
