//! Event files of `TensorBoard`: curves and results as scalars, settings as hyper-parameters.
//!
//! An event file is a list of records (length, its checksum, data, its checksum; TensorFlow's
//! `core/lib/io/record_writer.h`), each a Protocol Buffers message (`event.proto`, and for the hyper-parameters
//! `plugins/hparams/plugin_data.proto` and `api.proto` of the tensorboard project).
//!
//! Times are seconds since the start of each run, so that the same results give the same bytes.

use std::path::Path;

use super::ExportError;
use super::error::{create_dir, write};
use super::protobuf::Message;
use super::runs::{Experiment, Run, Setting};

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
    file.hparams("_hparams_/experiment", 0.0, Message::new().message(2, &experiment(of, runs)));
    write(&out.join(FILE), &file.0)?;
    for run in runs {
        let folder = out.join(&run.name);
        create_dir(&folder)?;
        write(&folder.join(FILE), &events(run))?;
    }
    Ok(())
}

/// Everything of one run.
fn events(run: &Run) -> Vec<u8> {
    let seconds = run.results.iter().find(|(name, _)| name == "seconds").map_or(0.0, |(_, seconds)| *seconds);
    let last = last_step(run);
    let time = |step: i64| if last == 0 { 0.0 } else { seconds * step as f64 / last as f64 };
    let mut file = EventFile::new();
    file.hparams("_hparams_/session_start_info", 0.0, Message::new().message(3, &session_start(run)));
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
        Some("finished") => 1,
        Some("diverged" | "failed") => 2,
        _ => 0,
    };
    let end = Message::new().integer(1, status).double(2, seconds);
    file.hparams("_hparams_/session_end_info", seconds, Message::new().message(4, &end));
    file.0
}

/// `Experiment`: which hyper-parameters and results there are.
fn experiment(of: &Experiment, runs: &[Run]) -> Message {
    let mut message = Message::new().text(6, of.name.as_bytes());
    if let Some(headline) = &of.headline {
        message = message.text(1, headline.as_bytes());
    }
    for (name, setting) in distinct(runs.iter().flat_map(|run| run.settings.iter())) {
        let kind = if matches!(setting, Setting::Text(_)) { 1 } else { 3 };
        message = message.message(4, &Message::new().text(1, name.as_bytes()).integer(4, kind));
    }
    for (name, _) in distinct(runs.iter().flat_map(|run| run.results.iter())) {
        let metric = Message::new().text(1, b"").text(2, name.as_bytes());
        message = message.message(5, &Message::new().message(1, &metric));
    }
    message
}

/// The first of each name, in the order in which they come.
fn distinct<'a, T: 'a>(named: impl Iterator<Item = &'a (String, T)>) -> Vec<&'a (String, T)> {
    let mut seen = std::collections::BTreeSet::new();
    named.filter(|(name, _)| seen.insert(name.as_str())).collect()
}

/// `SessionStartInfo`: the hyper-parameters of a run.
fn session_start(run: &Run) -> Message {
    let mut message = Message::new();
    for (name, setting) in &run.settings {
        let value = match setting {
            Setting::Text(text) => Message::new().text(3, text.as_bytes()),
            Setting::Integer(value) => Message::new().double(2, *value as f64),
            Setting::Number(value) => Message::new().double(2, *value),
        };
        message = message.message(1, &Message::new().text(1, name.as_bytes()).message(2, &value));
    }
    message.text(4, run.name.as_bytes()).double(5, 0.0)
}

/// An event file being written.
struct EventFile(Vec<u8>);

impl EventFile {
    fn new() -> Self {
        let mut file = Self(Vec::new());
        file.record(&Message::new().double(1, 0.0).text(3, b"brain.Event:2").bytes());
        file
    }

    /// An event with one value.
    fn event(&mut self, step: i64, time: f64, value: &Message) {
        let summary = Message::new().message(1, value);
        self.record(&Message::new().double(1, time).integer(2, step).message(5, &summary).bytes());
    }

    fn scalar(&mut self, tag: &str, step: i64, time: f64, value: f64) {
        self.event(step, time, &Message::new().text(1, tag.as_bytes()).float(2, value as f32));
    }

    /// An event for the plugin of hyper-parameters: its data, and an empty tensor without which it is not looked at.
    fn hparams(&mut self, tag: &str, time: f64, data: Message) {
        let data = data.integer(1, 0);
        let plugin = Message::new().text(1, b"hparams").text(2, &data.bytes());
        let metadata = Message::new().message(1, &plugin);
        let empty = Message::new().integer(1, 1).message(2, &Message::new().message(2, &Message::new().integer(1, 0)));
        self.event(0, time, &Message::new().text(1, tag.as_bytes()).message(9, &metadata).message(8, &empty));
    }

    fn record(&mut self, data: &[u8]) {
        let length = (data.len() as u64).to_le_bytes();
        self.0.extend(length);
        self.0.extend(masked_crc(&length).to_le_bytes());
        self.0.extend(data);
        self.0.extend(masked_crc(data).to_le_bytes());
    }
}

/// The checksum of a record: CRC-32C, turned and shifted, since data that hold their own checksum would be weak.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: event files are small.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // The check value of CRC-32C, and 32 bytes of zeros (RFC 3720, appendix B.4).
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn records_are_framed_by_their_lengths() {
        let run = Run {
            name: "a".to_owned(),
            status: Some("finished".to_owned()),
            settings: vec![("width".to_owned(), Setting::Integer(64))],
            results: vec![("val_loss".to_owned(), 3.5)],
            curve: vec![super::super::runs::Point { step: 10, values: vec![("train_loss".to_owned(), 4.0)] }],
        };
        let bytes = events(&run);
        let (mut rest, mut records) = (&bytes[..], 0);
        while let Some((length, tail)) = rest.split_first_chunk::<8>() {
            let (crc, tail) = tail.split_first_chunk::<4>().unwrap();
            assert_eq!(u32::from_le_bytes(*crc), masked_crc(length));
            let (data, tail) = tail.split_at(u64::from_le_bytes(*length) as usize);
            assert_eq!(tail[..4], masked_crc(data).to_le_bytes());
            rest = &tail[4..];
            records += 1;
        }
        assert_eq!(records, 5, "version, start, one point, one result, end");
    }
}
