//! Keys of `[data]` that do not go together, and what the command says.

use std::collections::BTreeMap;
use std::path::Path;

use runner::spec::{self, Data, KeepBy, KeepScores, Part, Source, TokenType};

use super::mixture::letters;
use super::{data, mixture, of, part, words};
use crate::common::{Place, SMALL, assert_refused, with_data};

#[test]
fn keys_that_mean_nothing_for_a_source_are_errors_that_name_them() {
    let place = Place::new();
    let text = place.text(50);
    let some = || Some(Path::new("x").to_owned());
    let bin = Data { path: Some(place.write("t.bin", [0; 1000])), ..data(Source::Bin) };
    let cases = [
        ("data.path", Data { path: some(), ..data(Source::Synthetic) }),
        ("data.tokenizer", Data { tokenizer: some(), ..data(Source::Synthetic) }),
        ("data.validation_fraction", Data { validation_fraction: Some(0.1), ..data(Source::Synthetic) }),
        ("data.vocab", Data { vocab: None, ..data(Source::Synthetic) }),
        ("data.vocab", Data { vocab: Some(70_000), ..data(Source::Synthetic) }),
        ("data.path", Data { path: None, ..text.clone() }),
        ("data.train_tokens", Data { train_tokens: Some(u64::MAX as f64), ..data(Source::Synthetic) }),
        ("data.train_tokens", Data { train_tokens: Some(1e300), ..text.clone() }),
        ("data.vocab", Data { vocab: None, ..text.clone() }),
        ("data.vocab", Data { vocab: Some(1), ..text.clone() }),
        ("data.vocab", Data { vocab: Some(255), ..data(Source::Synthetic) }),
        ("data.history", Data { history: Some(0), ..data(Source::Synthetic) }),
        ("data.history", Data { history: Some(4), ..data(Source::Synthetic) }),
        ("data.history", Data { history: Some(1), ..text.clone() }),
        ("data.validation_fraction", Data { validation_path: some(), ..text.clone() }),
        ("data.separator", Data { separator: Some(String::new()), ..text.clone() }),
        ("data.separator", Data { separator: Some("line".to_owned()), ..data(Source::Bin) }),
        ("data.deduplicate", Data { deduplicate: true, ..data(Source::Synthetic) }),
        ("data.validation_fraction", Data { validation_fraction: None, ..text.clone() }),
        ("data.validation_fraction", Data { validation_fraction: Some(1.0), ..text.clone() }),
        ("data.validation_fraction", Data { validation_fraction: Some(f64::NAN), ..text.clone() }),
        ("data.dtype", Data { dtype: Some(TokenType::Uint32), ..text.clone() }),
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

fn weights(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
    pairs.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
}

fn kept(data: Data, share: f64) -> Data {
    Data { keep: Some(share), keep_by: Some(KeepBy::Ngram), keep_scores: Some(KeepScores::Low), ..data }
}

fn named(mut data: Data, names: [&str; 2]) -> Data {
    for (part, name) in data.parts.iter_mut().zip(names) {
        part.name = Some(name.to_owned());
    }
    data
}

#[test]
fn keys_that_do_not_go_together_are_errors_that_name_them() {
    let place = Place::new();
    let path = || place.write("t.txt", words(50));
    let text = || of(Source::Text, path());
    let two = |first, second| mixture(vec![part(Source::Text, path(), first), part(Source::Text, path(), second)]);
    let cases = [
        ("data.column", Data { column: Some("x".to_owned()), ..text() }),
        ("data.parts", Data { parts: vec![part(Source::Text, path(), None)], ..text() }),
        ("data.column", Data { column: None, ..of(Source::Jsonl, path()) }),
        ("data.path", Data { path: None, ..of(Source::Parquet, path()) }),
        ("data.path", Data { path: Some(path()), ..two(None, None) }),
        ("data.parts", mixture(Vec::new())),
        ("data.keep", kept(text(), 0.0)),
        ("data.keep", kept(text(), 1.5)),
        ("data.keep", kept(text(), f64::NAN)),
        ("data.keep", kept(data(Source::Synthetic), 0.5)),
        ("data.keep", Data { vocab: Some(30), ..kept(text(), 0.5) }),
        ("data.keep", kept(two(Some(1.0), Some(1.0)), 0.5)),
        ("data.keep_by", Data { keep_by: None, ..kept(text(), 0.5) }),
        ("data.keep_by", Data { keep: None, ..kept(text(), 0.5) }),
        ("data.keep_scores", Data { keep_scores: None, ..kept(text(), 0.5) }),
        ("data.keep_scores", Data { keep_by: Some(KeepBy::Random), ..kept(text(), 0.5) }),
        ("data.keep_file", Data { keep_by: Some(KeepBy::File), ..kept(text(), 0.5) }),
        ("data.keep_file", Data { keep_file: Some("scores.txt".into()), ..kept(text(), 0.5) }),
        ("data.weights", Data { weights: weights(&[("t", 1.0)]), ..text() }),
        ("data.parts[1].name", Data { weights: weights(&[("t", 1.0)]), ..two(None, None) }),
        ("data.parts[0].name", named(two(None, None), ["a b", "c"])),
        ("data.parts[0].name", named(two(None, None), ["se", "c"])),
        ("data.parts[1].name", named(two(None, None), ["a", "b_se"])),
        ("data.parts[1].name", named(two(None, None), ["a", "a"])),
        ("data.weights.x", Data { weights: weights(&[("x", 1.0)]), ..named(two(None, None), ["a", "b"]) }),
        ("data.weights.a", Data { weights: weights(&[("a", -1.0)]), ..named(two(None, None), ["a", "b"]) }),
        ("data.weights.b", Data { weights: weights(&[("b", f64::NAN)]), ..named(two(None, None), ["a", "b"]) }),
        (
            "data.weights",
            Data { weights: weights(&[("a", 1e308), ("b", 1e308)]), ..named(two(None, None), ["a", "b"]) },
        ),
        ("data.parts", two(Some(1e308), Some(1e308))),
        ("data.weights", Data { weights: weights(&[("b", 0.0)]), ..named(two(None, None), ["a", "b"]) }),
        (
            "data.parts[0].weight",
            Data { weights: weights(&[("b", 1.0)]), ..named(two(Some(1.0), Some(1.0)), ["a", "b"]) },
        ),
        ("data.vocab", Data { vocab: None, ..two(None, None) }),
        ("data.parts[1].weight", two(Some(1.0), None)),
        ("data.parts[1].weight", two(Some(1.0), Some(0.0))),
        ("data.parts[0].weight", two(Some(f64::NAN), Some(1.0))),
        ("data.parts", two(Some(1.0), Some(1e-6))),
        ("data.parts[0].source", mixture(vec![part(Source::Bin, path(), None)])),
        ("data.parts[0].column", mixture(vec![Part { column: None, ..part(Source::Jsonl, path(), None) }])),
    ];
    for (key, data) in cases {
        let error = place.error(&data);
        assert!(error.starts_with(&format!("{key}: ")), "{key}: {error}");
    }
    let mut small = letters(&place, [Some(1.0), Some(1.0)]);
    small.parts[0].path = place.write("one.jsonl", "{\"body\": \"ab\"}\n{\"body\": \"cd\"}\n");
    let error = place.error(&small);
    assert!(error.contains("need some") || error.contains("part 1 has only"), "{error}");
}

#[test]
fn a_corpus_error_ends_the_command_with_status_two() {
    let data = "source = \"text\"\npath = \"/nowhere.txt\"\nvalidation_fraction = 0.1\nvocab = 600\nmax_epochs = 1.0\nseed = 1";
    let output = Place::with(&with_data(SMALL, data)).run(&["data", "info", "spec.toml"]);
    assert_refused(&output, &["/nowhere.txt"]);
    assert!(output.stdout.is_empty());
}

#[test]
fn a_mixture_in_a_spec_is_read_and_its_faults_are_told_with_their_line() {
    let with = |data: &str| spec::parse(&with_data(SMALL, data), "spec.toml");
    let common = "source = \"mixture\"\nvocab = 512\nvalidation_fraction = 0.1\nmax_epochs = 1.0\nseed = 1\n";
    let part = |rest: &str| format!("[[data.parts]]\nsource = \"jsonl\"\npath = \"web/*.jsonl\"\n{rest}\n");
    let read = with(
        &(common.to_owned() + &part("column = \"text\"\nweight = 0.7") + &part("column = \"text\"\nweight = 0.3")),
    );
    let read = read.unwrap();
    assert_eq!(read.data.parts[1].weight, Some(0.3));
    assert_eq!(spec::parse(&read.to_toml(), "again").unwrap(), read);
    let error = with(&(common.to_owned() + &part("column = \"text\"") + &part("colum = \"text\""))).unwrap_err();
    assert!(error.line.is_some() && error.to_string().contains("colum"), "{error}");
    let error =
        with(&(common.to_owned() + &part("column = \"text\"\nweight = 1.0") + &part("column = \"text\""))).unwrap_err();
    assert_eq!(error.key, "data.parts[1].weight", "{error}");
    assert!(error.line.is_some());
}
