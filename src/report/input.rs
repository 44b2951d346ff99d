//! Everything that a report tells.

use super::choices::ChoiceStep;
use super::curves::LossCurve;
use super::evaluated::Evaluated;
use super::law::Question;
use crate::fit::approaches::approach2::Approach2;
use crate::fit::approaches::complete::HeldOut;
use crate::fit::approaches::summary::Summary;
use crate::fit::transfer::frontier::Comparison;
use crate::fit::transfer::rates::Group;
use crate::goal::Goal;
use crate::observation::{Counting, Observation};

/// Everything that a report tells. All text in it is treated as hostile and escaped.
#[derive(Clone, Copy, Debug)]
pub struct ReportInput<'a> {
    /// Name of the sweep.
    pub name: &'a str,
    /// The resolved spec, TOML text.
    pub spec: &'a str,
    /// Finished runs.
    pub observations: &'a [Observation],
    /// The fits, one for each counting convention.
    pub approach2: &'a [Approach2],
    /// Every approach under every convention, also those of `approach2`.
    pub approaches: &'a [Summary],
    /// Surfaces fitted without the largest budget.
    pub held_out: &'a [HeldOut],
    /// Training losses on the way.
    pub curves: &'a [LossCurve],
    /// Sweeps of learning rate and width, one for each parameterization.
    pub transfer: &'a [Group],
    /// What parameterizations save against the standard one.
    pub savings: &'a [Comparison],
    /// IsoFLOP curves by group, where the sweep varies more than size and budget; `approach2` is empty then.
    pub isoflop_groups: &'a [IsoflopGroup],
    /// The goal of a sweep that chose its runs, and its choices.
    pub choices: Option<(Goal, &'a [ChoiceStep])>,
    /// What the spec asks by `[fit]`; the fits above are empty then.
    pub question: Option<&'a Question>,
    /// Known entropy of the built-in language and its standard error, in nats per token.
    pub entropy: Option<(f64, f64)>,
    /// The table of runs, as in `runs.csv`.
    pub runs: &'a RunTable,
    /// Points of the grid that were not planned, and why.
    pub left_out: &'a [(String, String)],
    /// Runs without a final loss, diverged ones too, and why.
    pub failed: &'a [(String, String)],
    /// Device, versions and the like: name and value.
    pub provenance: &'a [(String, String)],
    /// How a sweep stands that is still running; the page then looks for a newer one of itself.
    pub progress: Option<&'a str>,
    /// What was measured of trained models beside their loss.
    pub evaluated: &'a [Evaluated],
    /// What runs that share a stable phase saved, in words.
    pub shared: Option<&'a str>,
    /// What stopping runs early saved and may have cost, in words.
    pub stopped: Option<&'a str>,
}

impl ReportInput<'_> {
    /// The convention that figures draw: blocks and unembedding, unless the data do not tell it.
    pub(super) fn counting(&self) -> Counting {
        let known = |counting| self.observations.iter().any(|o| o.params_by(counting).is_some());
        let preferred = Counting::BlocksAndUnembedding;
        if self.observations.is_empty() || known(preferred) { preferred } else { Counting::All }
    }

    /// The fit under the convention that figures draw.
    pub(super) fn drawn(&self) -> Option<&Approach2> {
        let counting = self.counting();
        self.approach2.iter().find(|fit| fit.counting == counting)
    }
}

/// A table of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunTable {
    /// Names of the columns.
    pub header: Vec<String>,
    /// One cell a column.
    pub rows: Vec<Vec<String>>,
}

/// The IsoFLOP curves of the runs that agree in what else a sweep varies, such as the parameterization.
#[derive(Clone, Debug)]
pub struct IsoflopGroup {
    /// What they agree in.
    pub name: String,
    /// Finished runs; where something is tuned at each size, the best of it.
    pub observations: Vec<Observation>,
    /// Approach 2 under every convention of counting.
    pub fits: Vec<Approach2>,
}

impl IsoflopGroup {
    /// The fit under one convention of counting.
    pub fn fit_by(&self, counting: Counting) -> Option<&Approach2> {
        self.fits.iter().find(|fit| fit.counting == counting)
    }
}
