//! Text: documents, tokenizers, the split, and the cache that is the same everywhere.

use std::collections::BTreeSet;
use std::fs;

use runner::data::Corpus;
use runner::spec::{Data, Source};

use super::{CONTEXT, data, train_rows, words};
use crate::common::{Place, SMALL, assert_code, files, text, with_data};

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
    let original = words(200);
    for document in train.union(&validation) {
        let text: Vec<u8> = document.iter().map(|id| u8::try_from(*id).unwrap()).collect();
        assert!(original.contains(std::str::from_utf8(&text).unwrap()));
    }
    let mut reversed: Vec<&str> = original.split("\n\n").collect();
    reversed.reverse();
    place.write("text.txt", reversed.join("\n\n\n\n"));
    assert_eq!(documents("validation.u16"), validation);
}

#[test]
fn a_corpus_is_the_same_whatever_the_number_of_threads_and_in_every_process() {
    let place = Place::new();
    place.write("text.txt", words(3000));
    let data =
        "source = \"text\"\npath = \"text.txt\"\nvalidation_fraction = 0.1\nvocab = 600\nmax_epochs = 1.0\nseed = 1";
    place.write("spec.toml", with_data(SMALL, data));
    let seen = ["1", "2", "5"].map(|threads| {
        let mut prepare = place.runner(&["data", "prepare", "spec.toml", "--cache", threads]);
        let output = prepare.env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert_code(&output, 0);
        let outputs: Vec<Vec<u8>> =
            files(&place.path(threads)).into_iter().map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(outputs.len(), 4, "manifest, tokenizer, training and validation tokens");
        (outputs, text(&output.stdout))
    });
    assert!(seen.iter().all(|outputs| *outputs == seen[0]));
    let table = &seen[0].1;
    for line in ["vocabulary", "training tokens", "bytes per token", "near-duplicates", "fingerprint"] {
        assert!(table.contains(line), "{table}");
    }
}

#[test]
fn a_tokenizer_json_is_used_as_it_is_with_its_own_end_of_text() {
    let place = Place::new();
    let trained = Data { vocab: Some(300), ..place.text(200) };
    let fingerprint = place.prepare(&trained).unwrap().facts().fingerprint;
    let json = fs::read_to_string(place.cache().join(&fingerprint).join("tokenizer.json")).unwrap();
    let with =
        |json: &str| Data { tokenizer: Some(place.write("tokenizer.json", json)), vocab: None, ..trained.clone() };

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
    let error = place.error(&Data { vocab: Some(300), ..with(&json) });
    assert!(error.contains("data.vocab"), "{error}");
}

#[test]
fn unusable_text_is_an_error_that_says_what_to_do() {
    let place = Place::new();
    let error = |content: &[u8]| {
        let path = Some(place.write("text.txt", content));
        place.error(&Data { path, validation_fraction: Some(0.2), ..data(Source::Text) })
    };
    assert!(error(b"").contains("no text"));
    assert!(error(b"\n \n\n").contains("no text"));
    assert!(error(b"good\n\nbad \xe9").contains("byte offset 10"));
    assert!(error(b"a\0b").contains("NUL character at byte offset 1"));
    let path = Some(place.write("text.txt", "only one document\nof two lines\n"));
    let separator = Some("blank line".to_owned());
    let one = place.error(&Data { path, separator, validation_fraction: Some(0.2), ..data(Source::Text) });
    assert!(one.contains("of 1 documents") && one.contains("blank lines"), "{one}");
    let small = error("ab\n\ncd\n\nef\n\ngh\n\nij\n\nkl\n\nmn\n\nop\n\nqr\n\nst\n\nuv\n\nwx\n\n".as_bytes());
    assert!(small.contains("at least 33") && small.contains("model.context"), "{small}");
    let vocab = place.error(&Data { vocab: Some(5000), ..place.text(20) });
    assert!(vocab.contains("data.vocab") && vocab.contains("different tokens"), "{vocab}");
    let missing = place.error(&Data { path: Some(place.path("nowhere.txt")), ..place.text(20) });
    assert!(missing.contains("cannot read") && missing.contains("nowhere.txt"), "{missing}");
    let folder = place.error(&Data { path: Some(place.path("")), ..place.text(20) });
    assert!(folder.contains(place.path("").to_str().unwrap()), "{folder}");
}

/// A tokenizer of words: each word of the text that `knows` gets the id that `id` gives it; 0 ends documents and 1 is unknown.
fn of_words(text: &str, knows: impl Fn(&str) -> bool, id: impl Fn(usize) -> usize) -> String {
    let words: std::collections::BTreeSet<&str> = text.split_whitespace().collect();
    let mut vocab = serde_json::json!({"</s>": 0, "[UNK]": 1});
    for (at, word) in words.into_iter().enumerate().filter(|(_, word)| knows(word)) {
        vocab[word] = id(at).into();
    }
    serde_json::json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"}})
    .to_string()
}

#[test]
fn a_tokenizer_of_more_than_16_bits_is_numbered_anew_by_what_occurs() {
    let place = Place::new();
    let text = super::words(200);
    let with = |id: fn(usize) -> usize| {
        let json = of_words(&text, |_| true, id);
        Data { tokenizer: Some(place.write("tokenizer.json", json)), vocab: None, ..place.text(200) }
    };
    let small = place.prepare(&with(|at| at + 2)).unwrap().facts().fingerprint;
    let large = place.prepare(&with(|at| 70_000 + 13 * at)).unwrap();
    let (facts, manifest) = (large.facts(), large.manifest());
    let folder = place.cache().join(&facts.fingerprint);
    let ids: Vec<u32> = fs::read(folder.join("ids.u32"))
        .unwrap()
        .chunks(4)
        .map(|id| u32::from_le_bytes(id.try_into().unwrap()))
        .collect();
    // All words and the end of a document; the unknown token does not occur.
    assert_eq!((ids.len(), ids[0], ids[1], ids[2]), (facts.vocab, 0, 70_000, 70_013));
    assert_eq!(manifest.text.as_ref().unwrap().numbered_from, Some(70_000 + 13 * (facts.vocab as u64 - 2) + 1));
    for name in ["train.u16", "validation.u16"] {
        let renumbered = place.tokens(&facts.fingerprint, name);
        let plain = place.tokens(&small, name).into_iter().map(|id| id.saturating_sub(1)).collect::<Vec<_>>();
        assert_eq!(renumbered, plain, "{name}");
    }
}

#[test]
fn unknown_tokens_are_counted_and_too_many_refused() {
    let place = Place::new();
    let text = super::words(200);
    let mut counts = std::collections::BTreeMap::new();
    text.split_whitespace().for_each(|word| *counts.entry(word).or_insert(0) += 1);
    let rare: Vec<&str> = counts.iter().filter(|(_, count)| **count == 1).map(|(word, _)| *word).collect();
    let known = |unknown: usize| {
        let json = of_words(&text, |word| !rare[..unknown].contains(&word), |at| at + 2);
        Data { tokenizer: Some(place.write("tokenizer.json", json)), vocab: None, ..place.text(200) }
    };
    for unknown in [0, 2] {
        let corpus = place.prepare(&known(unknown)).unwrap();
        assert_eq!(corpus.manifest().text.as_ref().unwrap().unknown_tokens, unknown as u64);
    }
    let error = place.error(&known(rare.len()));
    assert!(error.contains("tokenizer.json: ") && error.contains("unknown to the tokenizer"), "{error}");
    assert!(error.contains("data.vocab"), "{error}");
}

/// A BPE without an unknown token leaves out what it has no token for, and its library says nothing.
#[test]
fn text_that_a_tokenizer_drops_is_counted_and_too_much_refused() {
    let place = Place::new();
    let tokenizer = |letters: &str| {
        let mut vocab = serde_json::json!({"</s>": letters.chars().count()});
        for (id, letter) in letters.chars().enumerate() {
            vocab[letter.to_string()] = id.into();
        }
        let json = serde_json::json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
            "model": {"type": "BPE", "vocab": vocab, "merges": []}});
        Some(place.write("tokenizer.json", json.to_string()))
    };
    let plain = words(200).replace('\u{e9}', "e");
    let path = Some(place.write("rare.txt", plain.replacen("ka", "\u{df}a", 20)));
    let rare = Data { path, tokenizer: tokenizer("aehiklmnoprstuv"), vocab: None, ..place.text(200) };
    let mut said = Vec::new();
    let corpus = Corpus::prepare(&rare, CONTEXT, &place.cache(), &mut |line| said.push(line.to_owned())).unwrap();
    assert_eq!(corpus.manifest().text.as_ref().unwrap().dropped_bytes, 40);
    assert!(
        said.iter().any(|line| line.starts_with("40 of ") && line.contains("have no token in the tokenizer")),
        "{said:?}"
    );
    let many = Data { tokenizer: tokenizer("aehiklmnoprstuv"), vocab: None, ..place.text(200) };
    let error = place.error(&many);
    assert!(error.contains("tokenizer.json: ") && error.contains("have no token in the tokenizer"), "{error}");
    assert!(error.contains("data.vocab"), "{error}");
    let all = Data { tokenizer: tokenizer("aehiklmnoprstuv\u{e9}"), ..many };
    assert_eq!(place.prepare(&all).unwrap().manifest().text.as_ref().unwrap().dropped_bytes, 0);
}
