//! The law that a spec asks for by `[fit]`, fitted to the runs that have ended.

use anyhow::Context as _;

use crate::commands::fit::{self, Told};
use crate::commands::shared::sheet::Room;
use crate::report::{LawAnswer, Question};
use crate::spec::Fit;

/// The fits of a question, or why there are none.
pub(super) struct Asked {
    question: Fit,
    told: Vec<Told>,
    problem: Option<String>,
}

impl Asked {
    /// Fits the table of runs as `runner fit` does, so that both say the same. What the table cannot tell is the answer,
    /// and no reason to be without a report.
    pub(super) fn of(table: &[u8], asked: &Fit, resamples: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let path = folder.path().join("runs.csv");
        std::fs::write(&path, table).with_context(|| format!("cannot write {}", path.display()))?;
        let (told, problem) = match fit::ask(&path, asked, resamples) {
            Ok(told) => (told, None),
            Err(error) => {
                let place = format!("{}/", folder.path().display());
                (Vec::new(), Some(format!("{error:#}").replace(&place, "")))
            }
        };
        Ok(Self { question: asked.clone(), told, problem })
    }

    /// For the report.
    pub(super) fn question(&self) -> Question {
        let answer =
            |told: &Told| LawAnswer { name: told.name(), fitted: told.fitted.clone(), points: told.points.clone() };
        Question {
            law: self.question.law,
            columns: self.told.first().and_then(|told| told.columns.clone()),
            answers: self.told.iter().map(answer).collect(),
            problem: self.problem.clone(),
        }
    }

    /// As `runner fit --json` prints them.
    pub(super) fn json(&self) -> anyhow::Result<Vec<serde_json::Map<String, serde_json::Value>>> {
        self.told.iter().map(|told| told.json(self.question.law)).collect()
    }

    /// In words, as `runner fit` prints them.
    pub(super) fn text(&self, room: Room) -> String {
        let problem = self.problem.as_ref().map(|problem| format!("no fit: {problem}\n")).unwrap_or_default();
        fit::words(&self.told, room) + &problem
    }
}
