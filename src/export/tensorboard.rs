//! Event files of `TensorBoard`: curves and results as scalars, settings as hyper-parameters.
//!
//! Times are seconds since the start of each run, so that the same results give the same bytes.

use std::path::Path;

use super::ExportError;
use super::error::{create_dir, write};
use super::runs::{Experiment, Run, Setting};
use crate::tensorboard::{self as events, Event, Hparams, Message as _, Value};

/// Name of every event file: readers take what contains `tfevents`, in the order of the number.
const FILE: &str = "events.out.tfevents.0000000000.runner";

/// The step of the results: that of the last point, or 0 where there is no curve.
fn last_step(run: &Run) -> i64 {
    run.curve.last().map_or(0, |point| point.step)
}

/// Writes the folder of logs: a folder for each run, and what all of them have in common beside them.
pub fn export(of: &Experiment, runs: &[Run], out: &Path) -> Result<(), ExportError> {
    create_dir(out)?;
    let mut file = EventFile::new();
    let experiment = Some(experiment(of, runs));
    file.hparams("_hparams_/experiment", 0.0, &Hparams { experiment, ..Hparams::default() });
    write(&out.join(FILE), &file.0)?;
    for run in runs {
        let folder = out.join(&run.name);
        create_dir(&folder)?;
        write(&folder.join(FILE), &file_of(run))?;
    }
    Ok(())
}

/// Everything of one run.
fn file_of(run: &Run) -> Vec<u8> {
    let seconds = run.results.iter().find(|(name, _)| name == "seconds").map_or(0.0, |(_, seconds)| *seconds);
    let last = last_step(run);
    let time = |step: i64| if last == 0 { 0.0 } else { seconds * step as f64 / last as f64 };
    let mut file = EventFile::new();
    let start = Some(session_start(run));
    file.hparams("_hparams_/session_start_info", 0.0, &Hparams { start, ..Hparams::default() });
    for point in &run.curve {
        for (name, value) in &point.values {
            file.scalar(name, point.step, time(point.step), *value);
        }
    }
    // The curve ends with a training loss of its own.
    let on_curve = |name: &str| run.curve.iter().any(|point| point.values.iter().any(|(other, _)| other == name));
    for (name, value) in run.results.iter().filter(|(name, _)| !on_curve(name)) {
        file.scalar(name, last, seconds, *value);
    }
    let status = match run.status.as_deref() {
        Some("finished") => events::SUCCESS,
        Some("diverged" | "failed") => events::FAILURE,
        _ => 0,
    };
    let end = Some(events::SessionEnd { status, end_time: seconds });
    file.hparams("_hparams_/session_end_info", seconds, &Hparams { end, ..Hparams::default() });
    file.0
}

/// Which hyper-parameters and results there are.
fn experiment(of: &Experiment, runs: &[Run]) -> events::Experiment {
    let settings = distinct(runs.iter().flat_map(|run| run.settings.iter())).into_iter().map(|(name, setting)| {
        let kind = if matches!(setting, Setting::Text(_)) { 1 } else { 3 };
        events::SettingInfo { name: name.clone(), kind }
    });
    let metrics = distinct(runs.iter().flat_map(|run| run.results.iter()))
        .into_iter()
        .map(|(tag, _)| events::MetricInfo { name: Some(events::MetricName { tag: tag.clone() }) });
    events::Experiment {
        name: of.name.clone(),
        description: of.headline.clone().unwrap_or_default(),
        settings: settings.collect(),
        metrics: metrics.collect(),
    }
}

/// The first of each name, in the order in which they come.
fn distinct<'a, T: 'a>(named: impl Iterator<Item = &'a (String, T)>) -> Vec<&'a (String, T)> {
    let mut seen = std::collections::BTreeSet::new();
    named.filter(|(name, _)| seen.insert(name.as_str())).collect()
}

/// The hyper-parameters of a run.
fn session_start(run: &Run) -> events::SessionStart {
    let value = |setting: &Setting| events::Setting {
        kind: Some(match setting {
            Setting::Text(text) => events::Kind::Text(text.clone()),
            Setting::Integer(value) => events::Kind::Number(*value as f64),
            Setting::Number(value) => events::Kind::Number(*value),
        }),
    };
    let settings = run.settings.iter().map(|(name, setting)| (name.clone(), value(setting)));
    events::SessionStart { settings: settings.collect(), group: run.name.clone() }
}

/// An event file being written.
struct EventFile(Vec<u8>);

impl EventFile {
    fn new() -> Self {
        let mut file = Self(Vec::new());
        file.record(&Event { file_version: Some(events::VERSION.to_owned()), ..Event::default() });
        file
    }

    /// An event with one value.
    fn event(&mut self, step: i64, wall_time: f64, value: Value) {
        let summary = Some(events::Summary { value: vec![value] });
        self.record(&Event { wall_time, step, summary, ..Event::default() });
    }

    fn scalar(&mut self, tag: &str, step: i64, time: f64, value: f64) {
        self.event(step, time, Value { tag: tag.to_owned(), simple_value: Some(value as f32), ..Value::default() });
    }

    /// An event for the plugin of hyper-parameters: its data, and an empty tensor without which it is not looked at.
    fn hparams(&mut self, tag: &str, time: f64, data: &Hparams) {
        let plugin = events::Plugin { name: events::HPARAMS.to_owned(), content: data.encode_to_vec() };
        let shape = Some(events::Shape { dim: vec![events::Dim { size: 0 }] });
        let value = Value {
            tag: tag.to_owned(),
            simple_value: None,
            tensor: Some(events::Tensor { dtype: 1, shape, ..events::Tensor::default() }),
            metadata: Some(events::Metadata { plugin_data: Some(plugin) }),
        };
        self.event(0, time, value);
    }

    fn record(&mut self, event: &Event) {
        events::write_record(&mut self.0, &event.encode_to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_a_record_for_each_value() {
        let run = Run {
            name: "a".to_owned(),
            status: Some("finished".to_owned()),
            settings: vec![("width".to_owned(), Setting::Integer(64))],
            results: vec![("val_loss".to_owned(), 3.5)],
            curve: vec![super::super::runs::Point { step: 10, values: vec![("train_loss".to_owned(), 4.0)] }],
        };
        let bytes = file_of(&run);
        let mut rest = &bytes[..];
        let records = std::iter::from_fn(|| events::read_record(&mut rest)).count();
        assert!(rest.is_empty());
        assert_eq!(records, 5, "version, start, one point, one result, end");
    }
}
