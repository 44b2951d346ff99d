//! Corpora from files to batches, on small files made here.

mod batches;
mod cache;
mod documents;
pub mod formats;
mod keys;
mod mixture;
mod near;
mod prune;
mod questions;
mod table;
mod text;
mod tokens;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use runner::data::{Corpus, DataError};
use runner::spec::{Data, Part, Source};

use crate::common::Place;

const CONTEXT: usize = 16;

fn data(source: Source) -> Data {
    Data {
        source,
        path: None,
        column: None,
        separator: None,
        deduplicate: false,
        skip_bad: false,
        dtype: None,
        validation_path: None,
        tokenizer: None,
        vocab: Some(256),
        history: None,
        validation_fraction: None,
        train_tokens: None,
        keep: None,
        keep_by: None,
        keep_scores: None,
        keep_file: None,
        max_epochs: 1.0,
        seed: 7,
        weights: BTreeMap::new(),
        parts: Vec::new(),
    }
}

impl Place {
    fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    fn prepare(&self, data: &Data) -> Result<Corpus, DataError> {
        Corpus::prepare(data, CONTEXT, &self.cache(), &mut |_| ())
    }

    fn error(&self, data: &Data) -> String {
        self.prepare(data).err().expect("this must not be accepted").to_string()
    }

    /// A text of `documents` documents, as `[data]` with a fifth held out.
    fn text(&self, documents: usize) -> Data {
        let path = self.write("text.txt", words(documents));
        Data { path: Some(path), validation_fraction: Some(0.2), ..data(Source::Text) }
    }

    fn tokens(&self, fingerprint: &str, name: &str) -> Vec<u16> {
        let bytes = fs::read(self.cache().join(fingerprint).join(name)).unwrap();
        bytes.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    /// Training and validation tokens of a corpus.
    fn split(&self, data: &Data) -> [Vec<u16>; 2] {
        let fingerprint = self.prepare(data).unwrap().facts().fingerprint;
        ["train.u16", "validation.u16"].map(|name| self.tokens(&fingerprint, name))
    }
}

/// Documents of pseudo-words, each with words of its own.
pub fn words(documents: usize) -> String {
    let mut state = 1_u64;
    let mut draw = move |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let syllables = ["ka", "lo", "mi", "tur", "sen", "é", "vo", "pra", "ish", "un"];
    let mut word = || (0..=draw(3)).map(|_| syllables[draw(10) as usize]).collect::<String>();
    (0..documents).map(|_| (0..40).map(|_| word() + " ").collect::<String>() + "\n\n").collect()
}

/// The documents of a text.
pub fn documents_of_words(count: usize) -> Vec<String> {
    words(count).split("\n\n").filter(|document| !document.trim().is_empty()).map(str::to_owned).collect()
}

fn jsonl(documents: &[String]) -> String {
    documents.iter().map(|text| serde_json::json!({"id": 1, "body": text}).to_string() + "\n").collect()
}

fn of(source: Source, path: PathBuf) -> Data {
    let column = (source != Source::Text).then(|| "body".to_owned());
    Data { path: Some(path), column, validation_fraction: Some(0.2), ..data(source) }
}

fn part(source: Source, path: PathBuf, weight: Option<f64>) -> Part {
    let column = (source != Source::Text).then(|| "body".to_owned());
    Part { name: None, source, path, column, separator: None, weight }
}

fn mixture(parts: Vec<Part>) -> Data {
    Data { validation_fraction: Some(0.2), parts, ..data(Source::Mixture) }
}

/// Tokens as bytes, without a header.
fn bytes(ids: &[u16]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

/// A token file in llm.c's layout.
fn llm_c(ids: &[u16]) -> Vec<u8> {
    let mut header = [0_u32; 256];
    header[..3].copy_from_slice(&[20_240_520, 1, ids.len() as u32]);
    header.iter().flat_map(|word| word.to_le_bytes()).chain(bytes(ids)).collect()
}

fn train_rows(corpus: &Corpus, seed: u64, batch: usize, rows: usize) -> Vec<Vec<u16>> {
    let mut out = Vec::new();
    let mut all = Vec::new();
    for step in 0..rows.div_ceil(batch) {
        corpus.train_batch(seed, batch, step, &mut out);
        assert_eq!(out.len(), batch * (CONTEXT + 1));
        all.extend(out.chunks(CONTEXT + 1).map(<[u16]>::to_vec));
    }
    all.truncate(rows);
    all
}
