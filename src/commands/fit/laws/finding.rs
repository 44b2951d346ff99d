//! What any law says when it is fitted, and what the tables of all laws share.

use std::any::Any;
use std::fmt::Debug;

use serde::Serialize;

use crate::commands::fit::print::cell;
use crate::commands::shared::sheet::{Room, Sheet, Worth};
use crate::fit::Status;
use crate::fit::laws::law::LawFit;
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
pub(in crate::commands::fit) const IN_LOGARITHM: &str = "residuals in the logarithm";
pub(in crate::commands::fit) const PLAIN: &str = "residuals";

impl Finding for LawFit {
    fn status(&self) -> Status {
        self.status
    }

    fn conclusion(&self) -> &str {
        &self.conclusion
    }

    fn text(&self, room: Room) -> String {
        law(self, room)
    }
}

/// A law with its numbers, one a line.
pub(in crate::commands::fit) fn law(fit: &LawFit, room: Room) -> String {
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
