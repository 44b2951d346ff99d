//! The law that a spec asks for by `[fit]`: whether its runs will be able to answer, and the fit when they have ended.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::columns::TOLD;
use crate::commands::fit::{self, Refused};
use crate::commands::shared::sheet::Room;
use crate::execute::rehearsal::{self, Rehearsal};
use crate::fit::named::Law;
use crate::ledger;
use crate::plan::{Plan, PlannedRun};
use crate::report::{LawAnswer, Question};
use crate::spec::{self, Fit, Spec};
use crate::trainer::{Outcome, Told, Trainer as _};

/// A table in a file of its own, as fits read it.
struct AsFile {
    folder: TempDir,
    path: PathBuf,
}

impl AsFile {
    fn of(table: &[u8]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let path = folder.path().join("runs.csv");
        std::fs::write(&path, table).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { folder, path })
    }

    /// A sentence in which the file has its name alone.
    fn without_folder(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

/// Refuses a question that the runs of a plan cannot answer, before any of them is trained: it is read into the table that they
/// would give. `file` and `set` are where the spec is from.
pub fn foresee(spec: &Spec, plan: &Plan, (file, set): (&Path, &[String])) -> anyhow::Result<()> {
    let Some(asked) = spec.fit.as_ref().filter(|_| !plan.runs.is_empty()) else { return Ok(()) };
    let by_program = !spec.train.command.is_empty();
    let end = |run: &PlannedRun| {
        let mut end = rehearsal::end(run);
        if let Outcome::Finished { told, val_loss, .. } = &mut end {
            told.extend(by_program.then(|| told_of(asked)).into_iter().flatten());
            // A size that a program does not tell has no loss in a rehearsal.
            *val_loss = if val_loss.is_finite() { *val_loss } else { 1.0 };
        }
        end
    };
    let table = AsFile::of(&ledger::foreseen(plan, end, &Rehearsal.device()))?;
    match fit::foresee(&table.path, asked)? {
        Ok(()) => Ok(()),
        Err(Refused { key, problem }) => {
            let remedy = "the columns are those of runs.csv, which `runner plan --csv` has but for what is measured";
            Err(spec::wrong(file, set, key, table.without_folder(&problem), remedy).into())
        }
    }
}

/// What a formula takes from what a program tells, which nobody knows before it does: any number stands for it.
fn told_of(asked: &Fit) -> Vec<(String, Told)> {
    let parts = asked
        .formula
        .iter()
        .chain(&asked.cost)
        .flat_map(|text| text.split(|c: char| !(c.is_alphanumeric() || "._".contains(c))));
    parts.filter_map(|name| Some((name.strip_prefix(TOLD)?.to_owned(), Told::Number(1.5)))).collect()
}

/// The fits of a question, or why there are none.
pub(super) struct Asked {
    question: Fit,
    told: Vec<fit::FitOfRows>,
    problem: Option<String>,
}

impl Asked {
    /// Fits the table of runs as `runner fit` does, so that both say the same. What the table cannot tell is the answer,
    /// and no reason to be without a report.
    pub(super) fn of(table: &[u8], asked: &Fit, resamples: usize) -> anyhow::Result<Self> {
        let file = AsFile::of(table)?;
        let (told, problem) = match fit::ask(&file.path, asked, resamples) {
            Ok(told) => (told, None),
            Err(error) => (Vec::new(), Some(fit::in_words_of_a_spec(&file.without_folder(&format!("{error:#}"))))),
        };
        Ok(Self { question: asked.clone(), told, problem })
    }

    /// For the report.
    pub(super) fn question(&self) -> Question {
        let answer = |told: &fit::FitOfRows| LawAnswer {
            name: told.name(),
            status: told.finding.status(),
            conclusion: told.finding.conclusion().to_owned(),
        };
        Question {
            law: self.question.law.map_or("formula", Law::name),
            answers: self.told.iter().map(answer).collect(),
            figures: fit::figures(self.question.law, &self.told),
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
