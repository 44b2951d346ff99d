//! Checkpoints: the whole state of a run under way, as a safetensors file (the format's description:
//! <https://huggingface.co/docs/safetensors>), so that nothing in it can ever be executed.
//!
//! Weights, what the optimizer keeps of each, the sum of losses since the last point of the curve, and, as plain JSON, what
//! else it takes to go on to the same bits. The sampler and the schedule are functions of the step, so the step is their
//! position. The last tensor is a BLAKE3 checksum of every byte before it. The layout follows from the run alone: a file
//! that announces anything else is refused before memory is taken for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{Shape, Weight, is_default};
use crate::optimizer::{Kept, OptimizerKind};
use crate::plan::{PlannedRun, RunId};

/// Version of what is described above.
const FORMAT: &str = "runner-checkpoint-1";

/// Name of the checksum's tensor.
const CHECKSUM: &str = "blake3";

/// No header of a checkpoint is longer; a longer one is damage.
const LONGEST_HEADER: u64 = 64 << 20;

/// What a checkpoint holds beside its tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Steps done.
    pub step: usize,
    /// Steps since the last point of the curve.
    pub losses: usize,
    /// Wall-clock seconds of all attempts up to here.
    pub seconds: f64,
    /// The curve up to here.
    pub points: Vec<Point>,
    /// Steps that another run had trained, with which this one shares its stable phase.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shared: usize,
    /// In a stable phase that runs share, the bits of the loss of every step up to here: each has points of its curve of its
    /// own. Bits, since JSON has no word for what is not a number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<u32>,
    /// Parts into which batches were cut, at the end of a stable phase that runs share.
    #[serde(default, skip_serializing_if = "is_default")]
    pub micro_batches: usize,
}

/// A point of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Steps done.
    pub step: usize,
    /// Mean training loss since the point before, in nats per token.
    pub train_loss: f64,
}

/// Name and shape of a tensor of f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Name, as in `first.blocks.2.qkv`.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
}

impl Entry {
    /// Numbers in it.
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Layout of the file of a model that is kept: its weights alone.
pub fn model_layout(shape: &Shape) -> Vec<Entry> {
    let entry = |Weight { name, shape, .. }| Entry { name: format!("model.{name}"), shape: shape.to_vec() };
    shape.weights().into_iter().map(entry).collect()
}

/// What is kept of each weight, by its place in the order of weights, in the order of a checkpoint.
pub fn kept(shape: &Shape, optimizer: OptimizerKind) -> Vec<(usize, Kept)> {
    let of = |(at, weight): (usize, Weight)| {
        optimizer.of(weight.role).part().keeps.iter().map(move |kept| (at, *kept)).collect::<Vec<_>>()
    };
    shape.weights().into_iter().enumerate().flat_map(of).collect()
}

/// Layout of a checkpoint: each weight with what its optimizer keeps of it, then the sum of losses.
pub fn layout(shape: &Shape, optimizer: OptimizerKind) -> Vec<Entry> {
    let weights = shape.weights();
    let entry = |(at, kept): (usize, Kept)| {
        let Weight { name, shape, .. } = &weights[at];
        Entry { name: format!("{}.{name}", kept.name()), shape: shape.to_vec() }
    };
    let mut entries: Vec<Entry> = kept(shape, optimizer).into_iter().map(entry).collect();
    entries.push(Entry { name: "loss_sum".to_owned(), shape: vec![1] });
    entries
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorInfo {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// The metadata of the format: texts only.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    format: String,
    run: RunId,
    place: String,
}

#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: Metadata,
    #[serde(flatten)]
    tensors: BTreeMap<String, TensorInfo>,
}

/// Writes a checkpoint; `tensor` gives the numbers of each entry in turn.
pub fn write(
    out: &mut dyn Write,
    run: &RunId,
    place: &Place,
    layout: &[Entry],
    tensor: &mut dyn FnMut(usize) -> io::Result<Vec<f32>>,
) -> io::Result<()> {
    let metadata = Metadata { format: FORMAT.to_owned(), run: run.clone(), place: serde_json::to_string(place)? };
    let mut header = serde_json::to_vec(&Header { metadata, tensors: infos(layout) })?;
    // As the format recommends, numbers begin at multiples of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut out = Hashing { out, hasher: blake3::Hasher::new() };
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for (at, entry) in layout.iter().enumerate() {
        let values = tensor(at)?;
        assert_eq!(values.len(), entry.len(), "{} has another shape", entry.name);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        out.write_all(&bytes)?;
    }
    let checksum = out.hasher.finalize();
    out.out.write_all(checksum.as_bytes())
}

/// Reads a checkpoint of `run`: its place and the numbers of each entry. The error is why it cannot be used.
pub fn read(file: &mut File, run: &RunId, layout: &[Entry]) -> Result<(Place, Vec<Vec<f32>>), String> {
    let said = |error: io::Error| error.to_string();
    let length = file.metadata().map_err(said)?.len();
    let header_length = read_length(file, length)?;
    let mut header = vec![0; header_length as usize];
    file.read_exact(&mut header).map_err(said)?;
    let header: Header = serde_json::from_slice(&header).map_err(|error| format!("its header: {error}"))?;
    let Metadata { format, run: its_run, place } = header.metadata;
    if format != FORMAT {
        return Err(format!("its format is {format:?} and not {FORMAT:?}, the one of this version"));
    }
    if its_run != *run {
        return Err(format!("it belongs to run {its_run}"));
    }
    let expected = infos(layout);
    if header.tensors != expected {
        let other = layout.iter().find(|entry| header.tensors.get(&entry.name) != expected.get(&entry.name));
        let name = other.map_or("one more", |entry| &entry.name);
        return Err(format!("its tensors differ from those of this run (first difference: {name})"));
    }
    let data = expected.values().map(|info| info.data_offsets[1]).max().unwrap_or(0);
    if length != 8 + header_length + data {
        return Err(format!("it has {length} bytes instead of {}", 8 + header_length + data));
    }
    verify(file, length)?;
    let place: Place = serde_json::from_str(&place).map_err(|error| format!("its place: {error}"))?;
    file.seek(SeekFrom::Start(8 + header_length)).map_err(said)?;
    let tensors = layout.iter().map(|entry| numbers(file, entry.len())).collect::<io::Result<_>>().map_err(said)?;
    Ok((place, tensors))
}

/// A file without the weights that are looked for in it.
#[derive(Debug, thiserror::Error)]
#[error("{}: no weights of run {run}: {why}; train it again with --keep-models into another folder", path.display())]
pub struct NoWeights {
    path: PathBuf,
    run: RunId,
    why: String,
}

/// The weights of a run in the order of its model, from a kept model or from a checkpoint of any step.
pub fn weights(planned: &PlannedRun, path: &Path) -> Result<Vec<Vec<f32>>, NoWeights> {
    let (shape, optimizer) = (&planned.run.shape, planned.run.optimizer.kind);
    let open = || File::open(path).map_err(|error| error.to_string());
    let model = || read(&mut open()?, &planned.id, &model_layout(shape));
    // Moments lie between the weights, the sum of losses after the last of them.
    let whole = || {
        let (_, tensors) = read(&mut open()?, &planned.id, &layout(shape, optimizer))?;
        let pairs = tensors.into_iter().zip(kept(shape, optimizer)).filter(|(_, (_, kept))| *kept == Kept::Value);
        Ok::<_, String>(pairs.map(|(tensor, _)| tensor).collect())
    };
    let found = model().map(|(_, tensors)| tensors).or_else(|why| whole().map_err(|_| why));
    found.map_err(|why| NoWeights { path: path.to_owned(), run: planned.id.clone(), why })
}

/// Length of the header, checked against that of the file.
fn read_length(file: &mut File, length: u64) -> Result<u64, String> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes).map_err(|_| format!("it has only {length} bytes"))?;
    let header = u64::from_le_bytes(bytes);
    if header > LONGEST_HEADER || header > length.saturating_sub(8) {
        return Err(format!("its header says {header} bytes, but the file has {length}"));
    }
    Ok(header)
}

/// Compares the checksum at the end with everything before it.
fn verify(file: &mut File, length: u64) -> Result<(), String> {
    let said = |error: io::Error| error.to_string();
    file.seek(SeekFrom::Start(0)).map_err(said)?;
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut Read::by_ref(file).take(length - blake3::OUT_LEN as u64), &mut hasher).map_err(said)?;
    let mut checksum = [0; blake3::OUT_LEN];
    file.read_exact(&mut checksum).map_err(said)?;
    if hasher.finalize() == checksum { Ok(()) } else { Err("its checksum does not match".to_owned()) }
}

fn numbers(file: &mut File, count: usize) -> io::Result<Vec<f32>> {
    let mut bytes = vec![0; 4 * count];
    file.read_exact(&mut bytes)?;
    Ok(bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))).collect())
}

/// Where each tensor lies: in the order of the layout, then the checksum.
fn infos(layout: &[Entry]) -> BTreeMap<String, TensorInfo> {
    let mut end = 0;
    let mut info = |dtype: &str, shape: Vec<usize>, bytes: usize| {
        let begin = end;
        end += bytes as u64;
        TensorInfo { dtype: dtype.to_owned(), shape, data_offsets: [begin, end] }
    };
    let mut tensors: BTreeMap<_, _> =
        layout.iter().map(|entry| (entry.name.clone(), info("F32", entry.shape.clone(), 4 * entry.len()))).collect();
    tensors.insert(CHECKSUM.to_owned(), info("U8", vec![blake3::OUT_LEN], blake3::OUT_LEN));
    tensors
}

/// Hashes what it hands on.
struct Hashing<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RunId {
        RunId::try_from(text.repeat(16)).unwrap()
    }

    fn layout() -> Vec<Entry> {
        let entry = |name: &str, shape: &[usize]| Entry { name: name.to_owned(), shape: shape.to_vec() };
        vec![entry("model.b", &[2, 3]), entry("model.a", &[100, 7]), entry("loss_sum", &[1])]
    }

    #[test]
    fn the_bytes_of_a_state_are_those_of_the_layout_but_for_the_sum_of_losses() {
        for kind in OptimizerKind::ALL {
            let mut run = crate::plan::testing::planned(3, 0).run;
            run.optimizer.kind = kind;
            let numbers: usize = super::layout(&run.shape, kind).iter().map(Entry::len).sum();
            assert_eq!(run.state_bytes(), 4 * (numbers as u64 - 1), "{kind:?}");
        }
    }

    fn values(at: usize) -> Vec<f32> {
        (0..layout()[at].len()).map(|i| (i as f32 + 0.1).sqrt() * if i % 2 == 0 { 1.0 } else { f32::NAN }).collect()
    }

    fn place() -> Place {
        let points = vec![Point { step: 5, train_loss: 0.1 + 0.2 }, Point { step: 10, train_loss: 1.0 / 3.0 }];
        Place { step: 12, losses: 2, seconds: 0.7, points, ..Place::default() }
    }

    fn whole() -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, &id("a"), &place(), &layout(), &mut |at| Ok(values(at))).unwrap();
        bytes
    }

    fn read_back(bytes: &[u8], run: &RunId, layout: &[Entry]) -> Result<(Place, Vec<Vec<f32>>), String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        read(&mut file, run, layout)
    }

    #[test]
    fn what_is_written_comes_back_to_the_bit() {
        let (there, tensors) = read_back(&whole(), &id("a"), &layout()).unwrap();
        assert_eq!(there, place());
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        for (at, tensor) in tensors.iter().enumerate() {
            assert_eq!(bits(tensor), bits(&values(at)));
        }
    }

    #[test]
    fn another_run_and_another_shape_are_refused() {
        let error = read_back(&whole(), &id("b"), &layout()).unwrap_err();
        assert!(error.contains("belongs to run aaaa"), "{error}");
        let mut wider = layout();
        wider[1].shape = vec![1_000_000_000, 1_000_000_000];
        assert!(read_back(&whole(), &id("a"), &wider).unwrap_err().contains("differ from those of this run"));
        assert!(read_back(&whole(), &id("a"), &layout()[1..]).unwrap_err().contains("differ from those of this run"));
    }

    #[test]
    fn a_file_cut_anywhere_or_with_any_bit_flipped_is_refused() {
        let whole = whole();
        for end in 0..whole.len() {
            assert!(read_back(&whole[..end], &id("a"), &layout()).is_err(), "cut at {end} of {}", whole.len());
        }
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1 << (at % 8);
            assert!(read_back(&altered, &id("a"), &layout()).is_err(), "byte {at} altered");
        }
        assert!(read_back(&[whole.as_slice(), b"more"].concat(), &id("a"), &layout()).is_err());
    }

    #[test]
    fn a_header_that_claims_a_lot_of_memory_is_refused_before_it_is_taken() {
        let mut bytes = u64::MAX.to_le_bytes().to_vec();
        bytes.extend([0; 100]);
        assert!(read_back(&bytes, &id("a"), &layout()).unwrap_err().contains("its header says"));
    }
}
