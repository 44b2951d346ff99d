//! Results read back from `runs.csv` and `curves.csv`, where these are all that was kept of a sweep, as git keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use super::tables::{DIVERGED_AT, STOPPED};
use super::{CurvePoint, Failure, FailureClass, LedgerError, Reason, RunResult, State, Stopped, files};
use crate::columns::{self, ERROR, PART_LOSS, TOLD};
use crate::goal::StopEarly;
use crate::plan::{Plan, RunId};
use crate::provenance::Build;
use crate::trainer::{DeviceInfo, Measured, Outcome, Told};

/// How the runs of a plan ended by the tables in a folder.
pub(super) fn read(dir: &Path, plan: &Plan) -> Result<BTreeMap<RunId, State>, LedgerError> {
    let mut curves = curves(&dir.join("curves.csv"))?;
    let path = dir.join("runs.csv");
    let (mut kept, planned) = (BTreeMap::new(), plan.runs.iter().map(|run| &run.id).collect::<BTreeSet<_>>());
    for row in rows(&path)? {
        let id = row.id()?;
        if !planned.contains(&id) {
            return Err(row.damaged("id", "it is not a run of plan.json"));
        }
        let state = match row.text("status") {
            "pending" => State::Pending,
            "failed" => State::Failed(Failure {
                class: FailureClass::Crash,
                message: "the tables do not keep why".to_owned(),
                device: None,
            }),
            "finished" | "diverged" => State::Ended(row.result(&id, curves.remove(&id).unwrap_or_default())?),
            "stopped" => State::Stopped(row.stopped(&id, curves.remove(&id).unwrap_or_default())?),
            _ => return Err(row.damaged("status", "write finished, diverged, stopped, failed or pending")),
        };
        kept.insert(id, state);
    }
    Ok(kept)
}

/// A row of a table, its cells by the names of their columns.
struct Row<'a> {
    path: &'a Path,
    line: u64,
    cells: BTreeMap<String, String>,
}

fn rows(path: &Path) -> Result<Vec<Row<'_>>, LedgerError> {
    let Some(text) = files::read(path)? else { return Ok(Vec::new()) };
    let damaged = |error: csv::Error| LedgerError::Damaged { path: path.to_owned(), reason: error.to_string() };
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let header = reader.headers().map_err(damaged)?.clone();
    let row = |record: csv::Result<csv::StringRecord>| {
        let record = record.map_err(damaged)?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells = header.iter().zip(&record).map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect();
        Ok(Row { path, line, cells })
    };
    reader.records().map(row).collect()
}

impl Row<'_> {
    /// A cell; empty where there is no such column, as in tables of earlier versions.
    fn text(&self, name: &str) -> &str {
        self.cells.get(name).map_or("", String::as_str)
    }

    fn damaged(&self, name: &str, why: &str) -> LedgerError {
        let reason = format!("line {}, column {name}: {:?}: {why}", self.line, self.text(name));
        LedgerError::Damaged { path: self.path.to_owned(), reason }
    }

    fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, LedgerError> {
        let text = self.text(name);
        let value = (!text.is_empty()).then(|| text.parse()).transpose();
        value.map_err(|_| self.damaged(name, "it is not a number"))
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<T, LedgerError> {
        self.optional(name)?.ok_or_else(|| self.damaged(name, "a number is missing"))
    }

    /// What else was measured: each with the columns of its error and of chance.
    fn evaluations(&self) -> Result<Vec<Measured>, LedgerError> {
        let names = self.cells.keys().filter_map(|column| columns::measure(column));
        let mut evaluations = Vec::new();
        for name in names {
            let [value, error, chance] = columns::evaluated(name);
            if let (Some(value), Some(standard_error)) = (self.optional(&value)?, self.optional(&error)?) {
                let chance = self.optional(&chance)?;
                evaluations.push(Measured { name: name.to_owned(), value, standard_error, chance });
            }
        }
        for name in self.cells.keys().filter(|column| column.starts_with(PART_LOSS)) {
            let error = format!("{name}{ERROR}");
            if let (true, Some(value), Some(standard_error)) =
                (self.cells.contains_key(&error), self.optional(name)?, self.optional(&error)?)
            {
                evaluations.push(Measured { name: name.clone(), value, standard_error, chance: None });
            }
        }
        Ok(evaluations)
    }

    /// What else a program told.
    fn told(&self) -> BTreeMap<String, Told> {
        let told = self.cells.iter().filter(|(_, cell)| !cell.is_empty());
        told.filter_map(|(column, cell)| Some((column.strip_prefix(TOLD)?.to_owned(), Told::of(cell)))).collect()
    }

    fn id(&self) -> Result<RunId, LedgerError> {
        RunId::try_from(self.text("id").to_owned()).map_err(|_| self.damaged("id", "it is not the id of a run"))
    }

    fn result(&self, id: &RunId, curve: Vec<CurvePoint>) -> Result<RunResult, LedgerError> {
        let seconds = self.number("seconds")?;
        let outcome = match (self.text("status"), self.optional(DIVERGED_AT)?) {
            ("diverged", None) => return Err(self.damaged(DIVERGED_AT, "the step is missing")),
            (_, Some(step)) => Outcome::Diverged { step, train_loss: self.optional("train_loss")?, seconds },
            (_, None) => Outcome::Finished {
                val_loss: self.number("val_loss")?,
                val_loss_se: self.number("val_loss_se")?,
                train_loss: self.optional("train_loss")?,
                tokens_per_second: self.number("tokens_per_second")?,
                seconds,
                evaluations: self.evaluations()?,
                shared_steps: self.optional("shared_steps")?.unwrap_or(0),
                told: self.told(),
            },
        };
        Ok(RunResult {
            id: id.clone(),
            attempt: 1,
            outcome,
            device: self.device()?,
            slot: None,
            version: self.text("version").to_owned(),
            build: self.build(),
            micro_batches: self.optional("micro_batches")?.unwrap_or(1),
            curve,
        })
    }

    fn stopped(&self, id: &RunId, curve: Vec<CurvePoint>) -> Result<Stopped, LedgerError> {
        let [step, tokens, against, behind, allowed, margin, after] = STOPPED;
        let other = RunId::try_from(self.text(against).to_owned());
        Ok(Stopped {
            id: id.clone(),
            attempt: 1,
            step: self.number(step)?,
            tokens: self.number(tokens)?,
            train_loss: self.optional("train_loss")?,
            seconds: self.number("seconds")?,
            reason: Reason {
                rule: StopEarly { margin: self.number(margin)?, after: self.number(after)? },
                against: other.map_err(|_| self.damaged(against, "it is not the id of a run"))?,
                behind: self.number(behind)?,
                allowed: self.number(allowed)?,
            },
            device: self.device()?,
            version: self.text("version").to_owned(),
            build: self.build(),
            micro_batches: self.optional("micro_batches")?.unwrap_or(1),
            curve,
        })
    }

    fn build(&self) -> Option<Box<Build>> {
        Build::short(self.text("build")).map(Box::new)
    }

    fn device(&self) -> Result<DeviceInfo, LedgerError> {
        let text = |name: &str| self.text(name).to_owned();
        Ok(DeviceInfo {
            kind: text(columns::DEVICE),
            name: text(columns::DEVICE_NAME),
            driver: text("driver"),
            threads: self.optional("threads")?.unwrap_or(1),
            precision: text("precision"),
        })
    }
}

fn curves(path: &Path) -> Result<BTreeMap<RunId, Vec<CurvePoint>>, LedgerError> {
    let mut curves: BTreeMap<RunId, Vec<CurvePoint>> = BTreeMap::new();
    for row in rows(path)? {
        let point = CurvePoint {
            step: row.number("step")?,
            tokens: row.number("tokens")?,
            train_loss: row.optional("train_loss")?,
            learning_rate: row.optional("learning_rate")?,
        };
        curves.entry(row.id()?).or_default().push(point);
    }
    Ok(curves)
}
