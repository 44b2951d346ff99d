//! Mixtures of corpora, by weight and by size.

use std::fs;

use parquet::basic::Compression;
use runner::data::Corpus;
use runner::spec::{Data, Source};

use super::formats::{gzip, parquet};
use super::{CONTEXT, bytes, data as data_of, documents_of_words, jsonl, mixture, part};
use crate::common::{Place, QUICKSTART, SMALL, assert_code, assert_refused, edited, with_data};

#[test]
fn a_mixture_is_planned_and_rehearsed() {
    let place = Place::new();
    place.write("web.jsonl.gz", gzip(jsonl(&documents_of_words(4000))));
    place.write("books.txt", documents_of_words(6000)[4000..].join("\n\n"));
    let data = "source = \"mixture\"\nvocab = 256\nvalidation_fraction = 0.1\nmax_epochs = 50.0\nseed = 1\n\
        [[data.parts]]\nsource = \"jsonl\"\npath = \"web*.jsonl.gz\"\ncolumn = \"body\"\nweight = 3.0\n\
        [[data.parts]]\nsource = \"text\"\npath = \"books.txt\"\nweight = 1.0\n";
    // The corpus is small, and so is what it holds out.
    place.write("spec.toml", edited(&with_data(QUICKSTART, data), &["eval.tokens=16384"]));
    assert!(place.says(&["data", "prepare", "spec.toml"]).contains("75.000% of the tokens"));
    assert!(place.says(&["plan", "spec.toml"]).contains("21 runs"));
    assert_code(&place.rehearse(), 0);
    assert_eq!(place.read("out/spec.toml").matches("[[data.parts]]").count(), 2);
    assert_eq!(place.read("out/runs.csv").matches(",finished,").count(), 21);
}

/// Two parts told apart by their letters: one of small words, one of capitals, with six times as much text.
pub fn letters(place: &Place, weights: [Option<f64>; 2]) -> Data {
    let small = place.write("small.jsonl", jsonl(&documents_of_words(100)));
    let capitals: Vec<String> =
        documents_of_words(700)[100..].iter().map(|text| text.to_uppercase().replace('É', "E")).collect();
    let capitals = place.write("capitals.parquet", parquet(&capitals, Compression::SNAPPY));
    mixture(vec![part(Source::Jsonl, small, weights[0]), part(Source::Parquet, capitals, weights[1])])
}

/// Share of sequences with more small letters than capitals.
fn share(tokens: &[u16]) -> f64 {
    let small = |row: &&[u16]| {
        let count = |range: std::ops::RangeInclusive<u8>| {
            row.iter().filter(|id| u8::try_from(**id).is_ok_and(|byte| range.contains(&byte))).count()
        };
        count(b'a'..=b'z') > count(b'A'..=b'Z')
    };
    let rows = tokens.chunks(CONTEXT + 1);
    rows.clone().filter(small).count() as f64 / rows.len() as f64
}

#[test]
fn weights_are_shares_of_the_tokens_whatever_the_sizes_in_training_and_validation() {
    let place = Place::new();
    for weight in [0.25, 0.5] {
        let data = letters(&place, [Some(weight), Some(1.0 - weight)]);
        let corpus = place.prepare(&data).unwrap();
        let mut tokens = Vec::new();
        // Every batch has the shares, not only all of them together.
        for step in 0..20 {
            corpus.train_batch(3, 64, step, &mut tokens);
            assert!((share(&tokens) - weight).abs() < 0.02, "step {step}: {} instead of {weight}", share(&tokens));
        }
        let sequences = corpus.validation_sequences(u64::MAX);
        corpus.validation_batch(u64::MAX, 0, sequences, &mut tokens);
        assert!((share(&tokens) - weight).abs() < 0.02, "validation: {} instead of {weight}", share(&tokens));
        // An epoch ends with the part that is used up first.
        let facts = corpus.manifest().parts[0].clone();
        let epoch = corpus.facts().train_tokens.unwrap() as f64;
        assert!((epoch * weight / facts.train_tokens as f64 - 1.0).abs() < 0.05, "{epoch} of {facts:?}");
    }
    let unweighted = place.prepare(&letters(&place, [None, None])).unwrap();
    let mut tokens = Vec::new();
    unweighted.train_batch(3, 1000, 0, &mut tokens);
    assert!((share(&tokens) - 1.0 / 7.0).abs() < 0.04, "by size: {}", share(&tokens));
}

#[test]
fn a_mixture_is_another_corpus_with_other_weights_and_the_same_wherever_its_files_lie() {
    let place = Place::new();
    let fingerprint = |data: &Data| place.prepare(data).unwrap().facts().fingerprint;
    let data = letters(&place, [Some(1.0), Some(3.0)]);
    let first = fingerprint(&data);
    assert_eq!(fingerprint(&letters(&place, [Some(2.0), Some(6.0)])), first, "only the shares count");
    assert_ne!(fingerprint(&letters(&place, [Some(1.0), Some(1.0)])), first);
    assert_ne!(fingerprint(&letters(&place, [None, None])), first);
    let mut moved = data.clone();
    moved.parts[0].path = place.write("elsewhere.jsonl", fs::read(&data.parts[0].path).unwrap());
    assert_eq!(fingerprint(&moved), first);
    let (one, two) = (place.prepare(&data).unwrap(), Corpus::open(&moved, &first, CONTEXT, &place.cache()).unwrap());
    let [mut a, mut b] = [Vec::new(), Vec::new()];
    one.train_batch(5, 32, 7, &mut a);
    two.train_batch(5, 8, 28, &mut b);
    assert_eq!(a[..8 * (CONTEXT + 1)], b, "the stream does not depend on how it is cut into batches");
}

#[test]
fn mixtures_by_name_are_one_corpus_measured_on_the_same_tokens_and_only_their_shares_count() {
    let place = Place::new();
    let weighed = |weights: &[(&str, f64)]| Data {
        weights: weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect(),
        ..letters(&place, [None, None])
    };
    let validation = |data: &Data| {
        let corpus = place.prepare(data).unwrap();
        let mut tokens = Vec::new();
        corpus.validation_batch(400, 0, corpus.validation_sequences(400), &mut tokens);
        let parts: Vec<_> = corpus.validation_parts(400).into_iter().map(|(name, of)| (name.to_owned(), of)).collect();
        (corpus.facts().fingerprint, tokens, parts)
    };
    let even = weighed(&[("small", 1.0), ("capitals", 1.0)]);
    let (corpus, tokens, parts) = validation(&even);
    // 25 sequences are asked for, and each part has as many.
    assert_eq!(parts, [("small".to_owned(), 0..13), ("capitals".to_owned(), 13..26)]);
    assert!(share(&tokens[..13 * (CONTEXT + 1)]) > 0.99 && share(&tokens[13 * (CONTEXT + 1)..]) < 0.01);
    for weights in [&[("small", 1.0)][..], &[("capitals", 2.0)], &[("small", 0.3), ("capitals", 0.7)]] {
        let other = validation(&weighed(weights));
        assert_eq!((&other.0, &other.1, &other.2), (&corpus, &tokens, &parts), "{weights:?}");
    }
    assert_eq!(fs::read_dir(place.cache()).unwrap().count(), 1, "tokens are made once");
    let mut tokens = Vec::new();
    place.prepare(&weighed(&[("small", 0.25), ("capitals", 0.75)])).unwrap().train_batch(3, 640, 0, &mut tokens);
    assert!((share(&tokens) - 0.25).abs() < 0.02, "{}", share(&tokens));
    place.prepare(&weighed(&[("capitals", 5.0)])).unwrap().train_batch(3, 640, 0, &mut tokens);
    assert!(share(&tokens) < 0.01, "a part without a weight is not trained on");
    // A part that is called otherwise has another column, and is another corpus.
    let mut renamed = even.clone();
    renamed.parts[0].name = Some("lower".to_owned());
    renamed.weights = [("lower".to_owned(), 1.0), ("capitals".to_owned(), 1.0)].into();
    assert_ne!(validation(&renamed).0, corpus);
    let tiny = place.error(&weighed(&[("small", 1.0), ("capitals", 1e-9)]));
    assert!(tiny.contains("less than a 65536th"), "{tiny}");
}

#[test]
fn a_corpus_that_is_open_takes_other_weights_and_parts_as_if_it_were_opened_with_them() {
    let place = Place::new();
    let weighed = |small: f64, train_tokens: Option<f64>| Data {
        weights: [("small".to_owned(), small), ("capitals".to_owned(), 1.0)].into(),
        train_tokens,
        ..letters(&place, [None, None])
    };
    let mut open = place.prepare(&weighed(1.0, None)).unwrap();
    for data in [weighed(3.0, None), weighed(3.0, Some(2000.0)), weighed(0.5, Some(4000.0)), weighed(1.0, None)] {
        open = open.reordered(&data).unwrap();
        let anew = place.prepare(&data).unwrap();
        assert_eq!(open.facts(), anew.facts());
        let [mut here, mut there] = [Vec::new(), Vec::new()];
        open.train_batch(5, 200, 1, &mut here);
        anew.train_batch(5, 200, 1, &mut there);
        assert_eq!(here, there, "{data:?}");
    }
    assert!(open.reordered(&weighed(1.0, Some(1e12))).is_err(), "more than there is");
}

#[test]
fn a_loss_is_of_two_sequences_of_each_part_at_least() {
    let place = Place::new();
    place.write("a.txt", documents_of_words(400).join("\n\n"));
    place.write("b.txt", documents_of_words(800)[400..].join("\n\n"));
    let data = "source = \"mixture\"\nvocab = 256\nvalidation_fraction = 0.2\nmax_epochs = 50.0\nseed = 1\nweights = { a = 1, b = 1 }\n\
        [[data.parts]]\nsource = \"text\"\npath = \"a.txt\"\n[[data.parts]]\nsource = \"text\"\npath = \"b.txt\"\n";
    place.write("spec.toml", with_data(SMALL, data));
    let plan = |tokens: &str| place.run(&["plan", "spec.toml", "--flops-per-second", "1e9", "--set", tokens]);
    assert_refused(&plan("eval.tokens=255"), &["eval.tokens", "two sequences of 64 of each of 2 parts"]);
    assert_code(&plan("eval.tokens=256"), 0);
    // A part that holds one sequence out has no error either.
    let ids: Vec<u16> = (0..333).map(|id| id % 256).collect();
    let held_out = |tokens: usize| {
        let path = Some(place.write("few.bin", bytes(&ids[..300 + tokens])));
        let validation_fraction = Some(tokens as f64 / (300 + tokens) as f64);
        place.prepare(&Data { path, validation_fraction, ..data_of(Source::Bin) })
    };
    let error = held_out(32).err().unwrap().to_string();
    assert!(error.contains("only 32 validation tokens, and this context needs at least 33"), "{error}");
    assert_eq!(held_out(33).unwrap().validation_sequences(u64::MAX), 2);
}
