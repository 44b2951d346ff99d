//! Laws of the literature as formulas, one file each. Whoever needs another one writes it with `--formula`.
//!
//! A form says its columns by the names of formulas: N, D and C, or a column as it is called in a table. The index `group`
//! is the column of `--by`.

pub mod broken;
pub mod chinchilla;
pub mod efficiencies;
pub mod experts;
pub mod farseer;
mod form;
pub mod granularity;
pub mod joint_experts;
pub mod kaplan;
pub mod kaplan_steps;
pub mod mixtures;
pub mod parallel;
pub mod power;
pub mod rate_batch;
pub mod repetition;
pub mod vocabulary;

#[cfg(test)]
mod testing;

pub use form::Form;

/// The form that is called so.
pub fn named(name: &str) -> Option<&'static Form> {
    ALL.into_iter().find(|form| form.name == name)
}

/// Every form, those of fewer columns first.
pub const ALL: [&Form; 10] = [
    &chinchilla::FORM,
    &kaplan::FORM,
    &farseer::FORM,
    &efficiencies::FORM,
    &experts::FORM,
    &joint_experts::FORM,
    &granularity::FORM,
    &parallel::FORM,
    &vocabulary::FORM,
    &rate_batch::FORM,
];

/// Laws that have a fit of their own beside these, as formulas: where every law is asked for they are ranked with the others.
pub const FURTHER: [&Form; 9] = [
    &power::PARAMS,
    &power::TOKENS,
    &power::FLOPS,
    &broken::PARAMS,
    &broken::TOKENS,
    &broken::FLOPS,
    &kaplan_steps::FORM,
    &repetition::FORM,
    &repetition::BY_EPOCHS,
];
