//! Event files of `TensorBoard`, which exports write and imports read: their messages and their records.
//!
//! An event file is a list of records (length, its checksum, data, its checksum; TensorFlow's
//! `core/lib/io/record_writer.h`), each a Protocol Buffers message (`event.proto`, and for the hyper-parameters
//! `plugins/hparams/plugin_data.proto` and `api.proto` of the tensorboard project). Of the messages only those fields are here that
//! are written or read.

use std::collections::BTreeMap;

pub use prost::Message;

/// What the first event of a file says of itself.
pub const VERSION: &str = "brain.Event:2";

/// One record of an event file.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// Seconds.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// Step of training.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// [`VERSION`], in the first event.
    #[prost(string, optional, tag = "3")]
    pub file_version: Option<String>,
    /// What was measured, in all others.
    #[prost(message, optional, tag = "5")]
    pub summary: Option<Summary>,
}

/// What was measured at a step.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    /// Each by its name.
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

/// One value: a number, or a tensor of one number, as newer writers have it.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    /// Its name.
    #[prost(string, tag = "1")]
    pub tag: String,
    /// A number.
    #[prost(float, optional, tag = "2")]
    pub simple_value: Option<f32>,
    /// A tensor.
    #[prost(message, optional, tag = "8")]
    pub tensor: Option<Tensor>,
    /// Which part of the program it is for.
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<Metadata>,
}

/// A tensor; of its kinds of numbers those in which losses are written.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// 1: 32-bit floats, 2: 64-bit floats, 3: 32-bit integers, 9: 64-bit integers.
    #[prost(int32, tag = "1")]
    pub dtype: i32,
    /// Its extents.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
    /// Its numbers as bytes, little-endian, or one of the following.
    #[prost(bytes = "vec", tag = "4")]
    pub content: Vec<u8>,
    /// 32-bit floats.
    #[prost(float, repeated, tag = "5")]
    pub floats: Vec<f32>,
    /// 64-bit floats.
    #[prost(double, repeated, tag = "6")]
    pub doubles: Vec<f64>,
    /// 32-bit integers.
    #[prost(int32, repeated, tag = "7")]
    pub integers: Vec<i32>,
    /// Texts.
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub texts: Vec<Vec<u8>>,
    /// 64-bit integers.
    #[prost(int64, repeated, tag = "10")]
    pub long_integers: Vec<i64>,
}

impl Tensor {
    /// The first text of a tensor of texts.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.texts.first()?).ok()
    }

    /// The only number of a tensor that has one.
    pub fn number(&self) -> Option<f64> {
        let numbers: Vec<f64> = match self.dtype {
            1 => self.content.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect(),
            2 => self.content.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
            3 => self.content.as_chunks().0.iter().map(|bytes| f64::from(i32::from_le_bytes(*bytes))).collect(),
            9 => self.content.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f64).collect(),
            _ => Vec::new(),
        };
        let floats = self.floats.iter().map(|&value| f64::from(value)).chain(self.doubles.iter().copied());
        let integers = self.integers.iter().map(|&value| f64::from(value));
        let long_integers = self.long_integers.iter().map(|&value| value as f64);
        let mut all = numbers.into_iter().chain(floats).chain(integers).chain(long_integers);
        all.next().filter(|_| all.next().is_none())
    }
}

/// The extents of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    /// One each.
    #[prost(message, repeated, tag = "2")]
    pub dim: Vec<Dim>,
}

/// An extent.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Dim {
    /// The extent.
    #[prost(int64, tag = "1")]
    pub size: i64,
}

/// Which part of the program a value is for.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Metadata {
    /// The part.
    #[prost(message, optional, tag = "1")]
    pub plugin_data: Option<Plugin>,
}

/// A part of the program.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Plugin {
    /// `scalars`, or [`HPARAMS`].
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its data: an [`Hparams`] for hyper-parameters.
    #[prost(bytes = "vec", tag = "2")]
    pub content: Vec<u8>,
}

/// The part of the program for hyper-parameters.
pub const HPARAMS: &str = "hparams";

/// What a file tells of hyper-parameters.
#[derive(Clone, PartialEq, Message)]
pub struct Hparams {
    /// Which there are, in all runs.
    #[prost(message, optional, tag = "2")]
    pub experiment: Option<Experiment>,
    /// Those of this run.
    #[prost(message, optional, tag = "3")]
    pub start: Option<SessionStart>,
    /// How it ended.
    #[prost(message, optional, tag = "4")]
    pub end: Option<SessionEnd>,
}

/// Which hyper-parameters and results the runs have.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Experiment {
    /// What it is about.
    #[prost(string, tag = "1")]
    pub description: String,
    /// Its name.
    #[prost(string, tag = "6")]
    pub name: String,
    /// Hyper-parameters.
    #[prost(message, repeated, tag = "4")]
    pub settings: Vec<SettingInfo>,
    /// Results.
    #[prost(message, repeated, tag = "5")]
    pub metrics: Vec<MetricInfo>,
}

/// A hyper-parameter.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SettingInfo {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// 1: text, 2: yes or no, 3: number.
    #[prost(int32, tag = "4")]
    pub kind: i32,
}

/// A result.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct MetricInfo {
    /// Its name.
    #[prost(message, optional, tag = "1")]
    pub name: Option<MetricName>,
}

/// The name of a result.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct MetricName {
    /// Its tag.
    #[prost(string, tag = "2")]
    pub tag: String,
}

/// The hyper-parameters of a run.
#[derive(Clone, PartialEq, Message)]
pub struct SessionStart {
    /// By name.
    #[prost(btree_map = "string, message", tag = "1")]
    pub settings: BTreeMap<String, Setting>,
    /// The name of the run.
    #[prost(string, tag = "4")]
    pub group: String,
}

/// The value of a hyper-parameter (`google.protobuf.Value`).
#[derive(Clone, PartialEq, Message)]
pub struct Setting {
    /// One of three kinds.
    #[prost(oneof = "Kind", tags = "2, 3, 4")]
    pub kind: Option<Kind>,
}

/// The kinds of values.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    /// A number.
    #[prost(double, tag = "2")]
    Number(f64),
    /// A text.
    #[prost(string, tag = "3")]
    Text(String),
    /// Yes or no.
    #[prost(bool, tag = "4")]
    Truth(bool),
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct SessionEnd {
    /// [`SUCCESS`], [`FAILURE`], 3 where it runs, 0 where nobody knows.
    #[prost(int32, tag = "1")]
    pub status: i32,
    /// Seconds.
    #[prost(double, tag = "2")]
    pub end_time: f64,
}

/// The status of a run that ended well.
pub const SUCCESS: i32 = 1;
/// The status of a run that failed.
pub const FAILURE: i32 = 2;

/// Appends a record with its checksums.
pub fn write_record(file: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked_crc(&length).to_le_bytes());
    file.extend(data);
    file.extend(masked_crc(data).to_le_bytes());
}

/// Takes a record off the front: nothing at the end of a file, and where it ends in the middle of a record or a checksum is wrong.
pub fn read_record<'a>(file: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let (check, rest) = rest.split_first_chunk::<4>()?;
    let (data, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let (data_check, rest) = rest.split_first_chunk::<4>()?;
    let holds = masked_crc(length) == u32::from_le_bytes(*check) && masked_crc(data) == u32::from_le_bytes(*data_check);
    if holds {
        *file = rest;
    }
    holds.then_some(data)
}

/// The checksum of a record: CRC-32C, turned and shifted, since data that hold their own checksum would be weak.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_until_one_is_cut_or_spoiled() {
        let mut file = Vec::new();
        for data in [&b"one"[..], b"", b"three"] {
            write_record(&mut file, data);
        }
        let all = |file: &[u8]| {
            let mut rest = file;
            std::iter::from_fn(|| read_record(&mut rest)).map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        assert_eq!(all(&file), [&b"one"[..], b"", b"three"]);
        assert_eq!(all(&file[..file.len() - 1]), [&b"one"[..], b""]);
        let mut spoiled = file.clone();
        spoiled[12] ^= 1;
        assert!(all(&spoiled).is_empty());
        // A length that no file has.
        let mut long = file;
        long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(all(&long).is_empty());
    }

    #[test]
    fn a_tensor_of_one_number_is_that_number() {
        let tensor = |dtype, content: &[u8]| Tensor { dtype, content: content.to_vec(), ..Tensor::default() }.number();
        assert_eq!(tensor(1, &2.5_f32.to_le_bytes()), Some(2.5));
        assert_eq!(tensor(2, &2.1_f64.to_le_bytes()), Some(2.1));
        assert_eq!(tensor(9, &(-7_i64).to_le_bytes()), Some(-7.0));
        assert_eq!(tensor(1, &[0; 8]), None, "two numbers are no scalar");
        assert_eq!(tensor(7, b"text"), None);
        assert_eq!(Tensor { dtype: 1, floats: vec![3.5], ..Tensor::default() }.number(), Some(3.5));
    }
}
