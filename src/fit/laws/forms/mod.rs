//! Laws of the literature as formulas, one file each. Whoever needs another one writes it with `--formula`.
//!
//! A form says its columns by the names of formulas: N, D and C, or a column as it is called in a table. The index `group`
//! is the column of `--by`.

pub mod chinchilla;
pub mod efficiencies;
pub mod experts;
pub mod farseer;
pub mod granularity;
pub mod joint_experts;
pub mod kaplan;
pub mod mixtures;
pub mod parallel;
pub mod rate_batch;
pub mod vocabulary;

#[cfg(test)]
mod testing;

/// A law of the literature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// How `--law` calls it.
    pub name: &'static str,
    /// Its formula.
    pub formula: &'static str,
    /// The names in it that must be columns.
    pub columns: &'static [&'static str],
    /// Bounds and starts of its unknowns, as `--unknown` takes them.
    pub unknowns: &'static [&'static str],
    /// Where it is from.
    pub source: &'static str,
}

impl Form {
    /// Its formula for a table whose losses and groups have these names.
    pub fn written(&self, target: &str, group: &str) -> String {
        self.formula.replacen("loss", target, 1).replace("{group}", &format!("{{{group}}}"))
    }

    /// Whether it tells groups apart.
    pub fn has_groups(&self) -> bool {
        self.formula.contains("{group}")
    }
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
