//! What any law says when it is fitted, and what the tables of all laws share.

use std::any::Any;
use std::fmt::Debug;

use serde::Serialize;

use crate::commands::fit::print::cell;
use crate::commands::shared::sheet::{Room, Sheet, Worth};
use crate::fit::Status;
use crate::fit::laws::law::LawFit;
use crate::fit::laws::written::ranking::Ranking;
use crate::fit::numerics::residuals::Residuals;

/// A fit of any law: its numbers, its status and its sentence.
pub(in crate::commands) trait Finding: Any + Debug + Json {
    /// Whether its numbers may be used.
    fn status(&self) -> Status;
    /// What may be concluded, in a sentence.
    fn conclusion(&self) -> &str;
    /// Its numbers as tables, and what stands below them.
    fn text(&self, room: Room) -> String;
}

impl dyn Finding {
    /// It as what it is.
    pub(super) fn is<T: 'static>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}

/// Makes a fit a finding whose fields `status` and `conclusion` say these, by the function that tells it as text.
macro_rules! finding {
    ($fit:ty, $text:path) => {
        impl $crate::commands::fit::finding::Finding for $fit {
            fn status(&self) -> $crate::fit::Status {
                self.status
            }

            fn conclusion(&self) -> &str {
                &self.conclusion
            }

            fn text(&self, room: $crate::commands::shared::sheet::Room) -> String {
                $text(self, room)
            }
        }
    };
}
pub(super) use finding;

/// What can be an object of JSON.
pub(in crate::commands) trait Json {
    /// The object.
    fn json(&self) -> serde_json::Result<serde_json::Value>;
}

impl<T: Serialize> Json for T {
    fn json(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(self)
    }
}

/// What residuals are of, and what they are called where they are differences of losses.
pub(super) const IN_LOGARITHM: &str = "residuals in the logarithm";
pub(super) const PLAIN: &str = "residuals";

finding!(LawFit, law);

/// A law with its numbers, one a line.
pub(super) fn law(fit: &LawFit, room: Room) -> String {
    let mut text = format!("{}\n", fit.formula);
    if !fit.parameters.is_empty() {
        let mut table =
            Sheet::new([("", Worth::Must), ("value (95% interval)", Worth::Must), ("what it is", Worth::Must)])
                .with_prose();
        for parameter in &fit.parameters {
            table.add_row([parameter.name.clone(), cell(Some(parameter.estimate), number), parameter.meaning.clone()]);
        }
        text += &table.text(room);
    }
    text + &foot(fit.status, fit.points, fit.residuals, &fit.resampled, &fit.conclusion)
}

/// What stands below every law.
pub(super) fn foot(
    status: Status,
    points: usize,
    residuals: Option<Residuals>,
    resampled: &str,
    conclusion: &str,
) -> String {
    let residuals = residuals.map_or_else(String::new, |residuals| {
        format!(", {IN_LOGARITHM} {:.5} (rms), {:.5} (largest)", residuals.rms, residuals.largest)
    });
    format!(
        "status {}, {points} points{residuals}; intervals: 95% percentiles, resampling {resampled}\n{conclusion}\n\n",
        status.name()
    )
}

/// Four digits, with an exponent where the number is large or small.
pub(super) fn number(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 {
        "0".to_owned()
    } else if (1e-3..10.0).contains(&size) {
        format!("{x:.4}")
    } else if (10.0..1e4).contains(&size) {
        format!("{x:.1}")
    } else {
        format!("{x:.3e}")
    }
}

impl Finding for Ranking {
    // That one law predicts better than others says nothing of its numbers, which have a status of their own.
    fn status(&self) -> Status {
        if self.laws.first().is_none_or(|law| law.failure.is_some()) { Status::TooFewPoints } else { Status::Converged }
    }

    fn conclusion(&self) -> &str {
        &self.conclusion
    }

    fn text(&self, room: Room) -> String {
        ranking(self, room)
    }
}

/// Several laws, the best first.
pub(super) fn ranking(ranking: &Ranking, room: Room) -> String {
    let mut table = Sheet::new([
        ("law", Worth::Must),
        ("unknowns", Worth::More(3)),
        ("rms", Worth::More(2)),
        ("AICc", Worth::More(2)),
        ("error held out", Worth::Must),
        ("mean", Worth::More(4)),
        ("one step before", Worth::More(1)),
        ("at rest", Worth::More(1)),
    ]);
    let number = |x: Option<f64>, digits: usize| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.digits$}"));
    for law in &ranking.laws {
        table.add_row([
            law.name.clone(),
            law.unknowns.to_string(),
            number(law.rms, 5),
            number(law.aicc, 1),
            number(law.held_out.map(|held_out| held_out.rms), 5),
            number(law.held_out.map(|held_out| held_out.mean), 5),
            number(law.inner, 5),
            if law.at_rest { "yes" } else { "no" }.to_owned(),
        ]);
    }
    let failures: String = ranking
        .laws
        .iter()
        .filter_map(|law| Some(format!("{} could not be fitted: {}\n", law.name, law.failure.as_ref()?)))
        .collect();
    let title = "Laws and their errors on the most expensive rows, fitted to the others";
    format!("{title}\n{}{failures}{}\n\n", table.text(room), ranking.conclusion)
}
