//! Corpora from files to batches, on small files made here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use assert_cmd::Command;
use proptest::prelude::*;
use runner::data::{Corpus, DataError};
use runner::spec::{Data, Source};
use tempfile::TempDir;

pub const CONTEXT: usize = 16;

pub fn data(source: Source) -> Data {
    Data {
        source,
        path: None,
        column: None,
        validation_path: None,
        tokenizer: None,
        vocab: Some(256),
        validation_fraction: None,
        max_epochs: 1.0,
        seed: 7,
        parts: Vec::new(),
    }
}

/// A folder with files in it and a cache.
pub struct Place(pub TempDir);

impl Place {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn cache(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub fn prepare(&self, data: &Data) -> Result<Corpus, DataError> {
        Corpus::prepare(data, CONTEXT, &self.cache(), &mut |_| ())
    }

    pub fn error(&self, data: &Data) -> String {
        self.prepare(data).err().expect("this must not be accepted").to_string()
    }

    /// A text of `documents` documents, as `[data]` with a fifth held out.
    pub fn text(&self, documents: usize) -> Data {
        let path = self.file("text.txt", text(documents));
        Data { path: Some(path), validation_fraction: Some(0.2), ..data(Source::Text) }
    }

    pub fn tokens(&self, fingerprint: &str, name: &str) -> Vec<u16> {
        let bytes = fs::read(self.cache().join(fingerprint).join(name)).unwrap();
        bytes.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
    }
}

/// Documents of pseudo-words, each with words of its own.
pub fn text(documents: usize) -> String {
    let mut state = 1_u64;
    let mut draw = move |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let syllables = ["ka", "lo", "mi", "tur", "sen", "é", "vo", "pra", "ish", "un"];
    let mut word = || (0..=draw(3)).map(|_| syllables[draw(10) as usize]).collect::<String>();
    (0..documents).map(|_| (0..40).map(|_| word() + " ").collect::<String>() + "\n\n").collect()
}

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

#[test]
fn text_is_prepared_once_and_opened_without_its_file() {
    let place = Place::new();
    let data = Data { vocab: Some(300), ..place.text(200) };
    let mut said = 0;
    let first = Corpus::prepare(&data, CONTEXT, &place.cache(), &mut |_| said += 1).unwrap();
    assert!(said > 0, "long work is announced");
    Corpus::prepare(&data, CONTEXT, &place.cache(), &mut |line| panic!("prepared twice: {line}")).unwrap();
    let facts = first.facts();
    fs::remove_file(data.path.as_ref().unwrap()).unwrap();
    let again = Corpus::open(&data, &facts.fingerprint, CONTEXT, &place.cache()).unwrap();
    assert_eq!(again.facts(), facts);
    assert_eq!(train_rows(&again, 1, 4, 8), train_rows(&first, 1, 4, 8));
    assert_eq!(facts.vocab, 300);
    let text = first.manifest().text.as_ref().unwrap();
    assert_eq!(text.documents, 200);
    assert!((20..60).contains(&text.validation_documents), "{text:?}");
    assert!(text.bytes_per_token > 1.2, "merges were learned and used: {text:?}");
}

#[test]
fn documents_end_with_a_nul_and_the_split_does_not_depend_on_their_order() {
    let place = Place::new();
    let data = place.text(200);
    let documents = |name| -> BTreeSet<Vec<u16>> {
        let fingerprint = place.prepare(&data).unwrap().facts().fingerprint;
        let tokens = place.tokens(&fingerprint, name);
        assert_eq!(tokens.last(), Some(&0));
        tokens[..tokens.len() - 1].split(|id| *id == 0).map(<[u16]>::to_vec).collect()
    };
    let (train, validation) = (documents("train.u16"), documents("validation.u16"));
    assert_eq!(train.len() + validation.len(), 200);
    assert!(train.is_disjoint(&validation));
    // With 256 tokens the ids are the bytes of the text.
    let original = text(200);
    for document in train.union(&validation) {
        let text: Vec<u8> = document.iter().map(|id| u8::try_from(*id).unwrap()).collect();
        assert!(original.contains(std::str::from_utf8(&text).unwrap()));
    }
    let mut reversed: Vec<&str> = original.split("\n\n").collect();
    reversed.reverse();
    place.file("text.txt", reversed.join("\n\n\n\n"));
    assert_eq!(documents("validation.u16"), validation);
}

#[test]
fn a_corpus_is_the_same_whatever_the_number_of_threads_and_in_every_process() {
    let place = Place::new();
    let path = place.file("text.txt", text(3000));
    let spec = place.file(
        "spec.toml",
        spec(&format!("source = \"text\"\npath = {path:?}\nvalidation_fraction = 0.1\nvocab = 600")),
    );
    let mut seen: Vec<Vec<Vec<u8>>> = Vec::new();
    for threads in ["1", "2", "5"] {
        let cache = place.0.path().join(threads);
        let command = Command::cargo_bin("runner")
            .unwrap()
            .args(["data", "prepare"])
            .arg(&spec)
            .arg("--cache")
            .arg(&cache)
            .env("RAYON_NUM_THREADS", threads)
            .assert()
            .success();
        let folder = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
        let files = ["manifest.json", "tokenizer.json", "train.u16", "validation.u16"];
        let mut outputs: Vec<Vec<u8>> = files.iter().map(|name| fs::read(folder.join(name)).unwrap()).collect();
        outputs.push(command.get_output().stdout.clone());
        seen.push(outputs);
    }
    assert!(seen.iter().all(|outputs| *outputs == seen[0]));
    let table = String::from_utf8(seen[0][4].clone()).unwrap();
    for line in ["vocabulary", "training tokens", "bytes per token", "near-duplicates", "fingerprint"] {
        assert!(table.contains(line), "{table}");
    }
}

fn spec(data: &str) -> String {
    format!(
        r#"
name = "test"
[data]
{data}
max_epochs = 1.0
seed = 1
[model]
parameterization = "standard"
context = 32
head_dim = 16
width = 32
depth = 1
[optimizer]
kind = "adamw"
learning_rate = {{ value = 0.01, at_params = 1e5, exponent = 0.0 }}
batch_tokens = {{ value = 1024.0, at_params = 1e5, exponent = 0.0 }}
beta1 = 0.9
beta2 = 0.95
epsilon = 1e-8
weight_decay = 0.0
clip_norm = 1.0
[schedule]
kind = "constant"
floor = 0.1
warmup_tokens_per_param = 1.0
warmup_max_fraction = 0.2
tokens = 1e6
[eval]
tokens = 1000
curve_points = 10
"#
    )
}

#[test]
fn an_epoch_has_every_window_once_and_the_next_one_has_other_windows() {
    let place = Place::new();
    // Ids that tell the place: each window begins with its own.
    let ids: Vec<u16> = (0..2000).collect();
    let path = place.file("train.bin", bytes(&ids));
    let data = Data { path: Some(path), vocab: Some(2000), validation_fraction: Some(0.1), ..data(Source::Bin) };
    let corpus = place.prepare(&data).unwrap();
    let epoch = corpus.facts().train_tokens.unwrap() as usize / CONTEXT;
    assert!((1800 / CONTEXT - 1..=1800 / CONTEXT).contains(&epoch));
    let rows = train_rows(&corpus, 3, 4, 2 * epoch);
    for half in [&rows[..epoch], &rows[epoch..]] {
        let starts: BTreeSet<u16> = half.iter().map(|row| row[0]).collect();
        assert_eq!(starts.len(), epoch);
        assert!(starts.iter().all(|start| start % CONTEXT as u16 == starts.first().unwrap() % CONTEXT as u16));
        assert!(half.iter().all(|row| row.windows(2).all(|pair| pair[1] == pair[0] + 1) && row[CONTEXT] < 1800));
    }
    assert_ne!(rows[..epoch], rows[epoch..]);
    assert_ne!(rows, train_rows(&corpus, 4, 4, 2 * epoch), "the seed of the run orders the data");
}

#[test]
fn validation_sequences_are_spread_evenly_and_do_not_depend_on_the_batch() {
    let place = Place::new();
    let train = place.file("train.bin", bytes(&[1; 100]));
    let ids: Vec<u16> = (0..1601).collect();
    let path = place.file("validation.bin", llm_c(&ids));
    let data = Data { path: Some(train), validation_path: Some(path), vocab: Some(2000), ..data(Source::Bin) };
    let corpus = place.prepare(&data).unwrap();
    assert_eq!(corpus.facts().validation_tokens, Some(1600));
    assert_eq!(corpus.validation_sequences(1_000_000), 100, "no more than there are");
    assert_eq!(corpus.validation_sequences(1), 1);
    assert_eq!(corpus.validation_sequences(20 * CONTEXT as u64), 20);
    let (mut all, mut part, mut joined) = (Vec::new(), Vec::new(), Vec::new());
    corpus.validation_batch(320, 0, 20, &mut all);
    for first in (0..20).step_by(3) {
        corpus.validation_batch(320, first, 3, &mut part);
        joined.extend_from_slice(&part);
    }
    assert_eq!(all, joined);
    let starts: Vec<u16> = all.chunks(CONTEXT + 1).map(|row| row[0]).collect();
    assert_eq!(starts, (0..20).map(|i| i * 5 * CONTEXT as u16).collect::<Vec<_>>());
}

/// Both kinds of corpus, prepared once for all cases.
static CORPORA: LazyLock<[Corpus; 2]> = LazyLock::new(|| {
    let place = Place::new();
    [&data(Source::Synthetic), &place.text(50)].map(|data| place.prepare(data).unwrap())
});

proptest! {
    #[test]
    fn the_stream_of_sequences_does_not_depend_on_the_batch_size(a in 1_usize..9, b in 1_usize..9, seed: u64) {
        for corpus in &*CORPORA {
            prop_assert_eq!(train_rows(corpus, seed, a, 40), train_rows(corpus, seed, b, 40));
        }
    }
}

#[test]
fn the_built_in_language_is_unlimited_and_knows_its_entropy() {
    let place = Place::new();
    let data = Data { vocab: Some(512), ..data(Source::Synthetic) };
    let corpus = place.prepare(&data).unwrap();
    let facts = corpus.facts();
    assert_eq!((facts.vocab, facts.train_tokens, facts.validation_tokens), (512, None, None));
    let entropy = corpus.entropy().unwrap();
    assert!((2.5..4.0).contains(&entropy.nats_per_token) && entropy.standard_error < 5e-4, "{entropy:?}");
    let again = Corpus::open(&data, &facts.fingerprint, CONTEXT, &place.cache()).unwrap();
    assert_eq!(again.entropy(), corpus.entropy());
    assert_eq!(train_rows(&again, 1, 4, 12), train_rows(&corpus, 1, 4, 12));
    assert_eq!(corpus.validation_sequences(1000), 1000_usize.div_ceil(CONTEXT));
    let mut validation = Vec::new();
    corpus.validation_batch(1000, 0, 12, &mut validation);
    assert_ne!(validation, train_rows(&corpus, 1, 4, 12).concat());
    let mistaken = Data { seed: 8, ..data };
    assert!(Corpus::open(&mistaken, &facts.fingerprint, CONTEXT, &place.cache()).is_err());
    let other = place.prepare(&mistaken).unwrap();
    assert_ne!(other.facts().fingerprint, facts.fingerprint);
}

#[test]
fn a_tokenizer_json_is_used_as_it_is_with_its_own_end_of_text() {
    let place = Place::new();
    let trained = Data { vocab: Some(300), ..place.text(200) };
    let fingerprint = place.prepare(&trained).unwrap().facts().fingerprint;
    let json = fs::read_to_string(place.cache().join(&fingerprint).join("tokenizer.json")).unwrap();
    let with =
        |json: &str| Data { tokenizer: Some(place.file("tokenizer.json", json)), vocab: None, ..trained.clone() };

    let loaded = place.prepare(&with(&json)).unwrap().facts();
    assert_ne!(loaded.fingerprint, fingerprint);
    assert_eq!(place.tokens(&loaded.fingerprint, "train.u16"), place.tokens(&fingerprint, "train.u16"));

    let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
    value["added_tokens"] = serde_json::json!([{
        "id": 300, "content": "<|endoftext|>", "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true
    }]);
    let named = place.prepare(&with(&value.to_string())).unwrap().facts();
    assert_eq!(named.vocab, 301);
    assert_eq!(place.tokens(&named.fingerprint, "train.u16").last(), Some(&300));

    let word_level = r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"</s>": 0, "a": 1}, "unk_token": "[UNK]"}}"#;
    let error = place.error(&with(word_level));
    assert!(error.contains("tokenizer.json: it cannot encode all of the text"), "{error}");

    let error = place.error(&with("{\"no\": \"tokenizer\"}"));
    assert!(error.contains("tokenizer.json"), "{error}");
    value["added_tokens"][0]["id"] = serde_json::json!(70_000);
    let error = place.error(&Data { vocab: Some(300), ..with(&json) });
    assert!(error.contains("data.vocab"), "{error}");
}

/// What is done to a file, in words and in bytes.
type Damage = (&'static str, fn(&mut Vec<u8>));

#[test]
fn a_damaged_cache_is_noticed_and_the_folder_to_delete_is_named() {
    let place = Place::new();
    let data = place.text(100);
    let fingerprint = place.prepare(&data).unwrap().facts().fingerprint;
    let folder = place.cache().join(&fingerprint);
    let damages: [Damage; 4] = [
        ("train.u16", |bytes| bytes[100] ^= 1),
        ("validation.u16", |bytes| bytes.truncate(50)),
        ("manifest.json", |bytes| bytes.truncate(20)),
        ("manifest.json", |bytes| bytes.clear()),
    ];
    for (name, damage) in damages {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let error = place.error(&data);
        assert!(error.contains(folder.to_str().unwrap()) && error.contains("delete"), "{name}: {error}");
        fs::write(&path, whole).unwrap();
        place.prepare(&data).unwrap();
    }
    fs::remove_dir_all(&folder).unwrap();
    let error = Corpus::open(&data, &fingerprint, CONTEXT, &place.cache()).err().unwrap().to_string();
    assert!(error.contains("runner data prepare"), "{error}");
    assert_eq!(place.prepare(&data).unwrap().facts().fingerprint, fingerprint);
}

#[test]
fn many_may_prepare_one_corpus_at_once() {
    let place = Place::new();
    let data = place.text(300);
    let facts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| place.prepare(&data).unwrap().facts())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(facts.iter().all(|each| *each == facts[0]));
    let left: Vec<_> = fs::read_dir(place.cache()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [facts[0].fingerprint.as_str()], "nothing temporary is left");
}

#[test]
fn raw_tokens_and_llm_c_files_give_the_same_tokens() {
    let place = Place::new();
    let ids: Vec<u16> = (0..1000).map(|i| i * 7 % 500).collect();
    let split = |file| Data { path: Some(file), vocab: Some(500), validation_fraction: Some(0.1), ..data(Source::Bin) };
    let raw = place.prepare(&split(place.file("raw.bin", bytes(&ids)))).unwrap();
    let with_header = place.prepare(&split(place.file("header.bin", llm_c(&ids)))).unwrap();
    assert_eq!(raw.facts(), with_header.facts());
    assert_eq!(place.tokens(&raw.facts().fingerprint, "train.u16"), ids[..900]);
    assert_eq!(place.tokens(&raw.facts().fingerprint, "validation.u16"), ids[900..]);
}

#[test]
fn broken_token_files_are_errors_that_say_where() {
    let place = Place::new();
    let ids: Vec<u16> = (0..1000).map(|i| i % 500).collect();
    let error = |content: Vec<u8>, vocab| {
        let path = Some(place.file("tokens.bin", content));
        place.error(&Data { path, vocab: Some(vocab), validation_fraction: Some(0.1), ..data(Source::Bin) })
    };
    let odd = error([bytes(&ids), vec![1]].concat(), 500);
    assert!(odd.contains("2001 bytes") && odd.contains("tokens.bin"), "{odd}");
    let above = error(bytes(&ids), 499);
    assert!(above.contains("499 at position 499") && above.contains("data.vocab"), "{above}");
    let mut cut = llm_c(&ids);
    cut.truncate(cut.len() - 100);
    let cut = error(cut, 500);
    assert!(cut.contains("states 1000 tokens of 2 bytes, and 1900 bytes follow"), "{cut}");
    let header_alone = error(llm_c(&ids)[..8].to_vec(), 500);
    assert!(header_alone.contains("cut short"), "{header_alone}");
    let mut version = llm_c(&ids);
    version[4] = 2;
    let version = error(version, 500);
    assert!(version.contains("version"), "{version}");
    assert!(error(Vec::new(), 500).contains("empty"));
    let short = error(bytes(&ids[..20]), 500);
    assert!(short.contains("at least") && short.contains("model.context"), "{short}");
}

#[test]
fn unusable_text_is_an_error_that_says_what_to_do() {
    let place = Place::new();
    let error = |content: &[u8]| {
        let path = Some(place.file("text.txt", content));
        place.error(&Data { path, validation_fraction: Some(0.2), ..data(Source::Text) })
    };
    assert!(error(b"").contains("no text"));
    assert!(error(b"\n \n\n").contains("no text"));
    assert!(error(b"good\n\nbad \xe9").contains("byte offset 10"));
    assert!(error(b"a\0b").contains("NUL character at byte offset 1"));
    let one = error(b"only one document\nof two lines\n");
    assert!(one.contains("of 1 documents") && one.contains("blank lines"), "{one}");
    let small = error("ab\n\ncd\n\nef\n\ngh\n\nij\n\nkl\n\nmn\n\nop\n\nqr\n\nst\n\nuv\n\nwx\n\n".as_bytes());
    assert!(small.contains("at least 17") && small.contains("model.context"), "{small}");
    let vocab = place.error(&Data { vocab: Some(5000), ..place.text(20) });
    assert!(vocab.contains("data.vocab") && vocab.contains("different tokens"), "{vocab}");
    let missing = place.error(&Data { path: Some(place.0.path().join("nowhere.txt")), ..place.text(20) });
    assert!(missing.contains("cannot read") && missing.contains("nowhere.txt"), "{missing}");
    let folder = place.error(&Data { path: Some(place.0.path().to_owned()), ..place.text(20) });
    assert!(folder.contains(place.0.path().to_str().unwrap()), "{folder}");
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let place = Place::new();
    let file = place.file("file", "not a folder");
    let cache = file.join("cache");
    let error = Corpus::prepare(&place.text(100), CONTEXT, &cache, &mut |_| ()).err().unwrap().to_string();
    assert!(error.contains(cache.to_str().unwrap()), "{error}");
}

#[test]
fn keys_that_mean_nothing_for_a_source_are_errors_that_name_them() {
    let place = Place::new();
    let text = place.text(50);
    let some = || Some(Path::new("x").to_owned());
    let bin = Data { path: Some(place.file("t.bin", [0; 1000])), ..data(Source::Bin) };
    let cases = [
        ("data.path", Data { path: some(), ..data(Source::Synthetic) }),
        ("data.tokenizer", Data { tokenizer: some(), ..data(Source::Synthetic) }),
        ("data.validation_fraction", Data { validation_fraction: Some(0.1), ..data(Source::Synthetic) }),
        ("data.vocab", Data { vocab: None, ..data(Source::Synthetic) }),
        ("data.vocab", Data { vocab: Some(70_000), ..data(Source::Synthetic) }),
        ("data.path", Data { path: None, ..text.clone() }),
        ("data.vocab", Data { vocab: None, ..text.clone() }),
        ("data.vocab", Data { vocab: Some(255), ..text.clone() }),
        ("data.validation_path", Data { validation_path: some(), ..text.clone() }),
        ("data.validation_fraction", Data { validation_fraction: None, ..text.clone() }),
        ("data.validation_fraction", Data { validation_fraction: Some(1.0), ..text.clone() }),
        ("data.validation_fraction", Data { validation_fraction: Some(f64::NAN), ..text.clone() }),
        ("data.path", Data { path: None, ..bin.clone() }),
        ("data.vocab", Data { vocab: None, validation_fraction: Some(0.1), ..bin.clone() }),
        ("data.tokenizer", Data { tokenizer: some(), ..bin.clone() }),
        ("data.validation_fraction", bin.clone()),
        ("data.validation_fraction", Data { validation_fraction: Some(0.1), validation_path: bin.path.clone(), ..bin }),
    ];
    for (key, data) in cases {
        let error = place.error(&data);
        assert!(error.starts_with(&format!("{key}: ")), "{key}: {error}");
    }
}

#[test]
fn a_corpus_error_ends_the_command_with_status_two() {
    let place = Place::new();
    let spec = place
        .file("spec.toml", spec("source = \"text\"\npath = \"/nowhere.txt\"\nvalidation_fraction = 0.1\nvocab = 600"));
    let command = Command::cargo_bin("runner").unwrap().args(["data", "info"]).arg(&spec).assert().code(2);
    let output = command.get_output();
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere.txt"));
}
