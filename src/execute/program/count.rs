//! A model counted by the program that makes it: `train.count.command`, asked once for each model.

use std::io::Write as _;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use super::lines::{Heard, Line, Stream};
use super::{LOOK_EVERY, Running};
use crate::plan::Program;
use crate::spec::Config;

/// What a program says of a model; other keys are left alone.
#[derive(Debug, Deserialize)]
struct Counts {
    params_non_embedding: Option<f64>,
    params_blocks_and_unembedding: Option<f64>,
    params: Option<f64>,
    flops_per_token: Option<f64>,
}

/// Asks a program for the counts of a model, in the order of [`crate::spec::COUNTS`].
pub fn count(program: &Program, config: &Config, told: &Value) -> Result<[Option<f64>; 4], String> {
    let cannot = |error: std::io::Error| format!("cannot write what it is to count: {error}");
    let mut file = tempfile::Builder::new().suffix(".json").tempfile().map_err(cannot)?;
    let mut model = told.clone();
    model["config"] = serde_json::to_value(config).map_err(|error| error.to_string())?;
    file.write_all(model.to_string().as_bytes()).map_err(cannot)?;
    let mut running = Running::start(program, file.path(), 1).map_err(|error| error.to_string())?;
    let patience = Duration::from_secs_f64(program.patience_seconds);
    let (mut counts, mut last, mut heard) = (None, String::new(), Instant::now());
    let mut hear = |line: &Line| {
        let said = serde_json::from_str::<Counts>(&line.text).ok().filter(|_| line.stream == Stream::Out);
        if let Some(said) = said.filter(|said| said.params.is_some()) {
            counts = Some(said);
        } else if !line.text.trim().is_empty() {
            last = line.text.chars().take(200).collect();
        }
    };
    loop {
        match running.lines.recv_timeout(LOOK_EVERY) {
            Ok(said) => {
                heard = Instant::now();
                if let Heard::Line(line) = said {
                    hear(&line);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if matches!(running.child.try_wait(), Ok(Some(_)) | Err(_)) => break,
            Err(RecvTimeoutError::Timeout) if heard.elapsed() > patience => {
                let _ = running.end(true, None);
                return Err(format!("it printed nothing for {} s and was stopped", program.patience_seconds));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    // What lies in its pipes when it has ended counts.
    let status = running.end(false, Some(&mut hear)).map_err(|error| format!("cannot wait for it: {error}"))?;
    let words = if last.is_empty() { String::new() } else { format!("; its last line: {last}") };
    if !status.success() {
        return Err(format!("it ended with {status}{words}"));
    }
    let said = counts.ok_or_else(|| {
        format!("it printed no line such as {{\"params\": 1.2e6, \"flops_per_token\": 7.5e6}}{words}")
    })?;
    Ok([said.params_non_embedding, said.params_blocks_and_unembedding, said.params, said.flops_per_token])
}
