//! Parts of the documents of a text: which are kept, and that the rest stays as it is.

use std::fs;

use runner::spec::{Data, KeepBy, KeepScores};

use super::{documents_of_words, words};
use crate::common::{Place, SMALL, assert_code, with_data};

/// Half of the documents are one phrase again and again, the others words of their own.
fn two_kinds(place: &Place) -> Data {
    let own = documents_of_words(600);
    // As long as those, and no two are the same.
    let phrase = |at: usize| format!("the same words again {at} ").repeat(10);
    let mixed: Vec<String> = own.iter().enumerate().flat_map(|(at, own)| [own.clone(), phrase(at)]).collect();
    let text = place.text(10);
    place.write("text.txt", mixed.join("\n\n"));
    text
}

fn keep(data: &Data, share: f64, by: KeepBy, scores: Option<KeepScores>) -> Data {
    Data { keep: Some(share), keep_by: Some(by), keep_scores: scores, ..data.clone() }
}

/// Share of documents that are the phrase, in tokens that are bytes.
fn phrases(tokens: &[u16]) -> f64 {
    let text: String = tokens.iter().map(|token| char::from(u8::try_from(*token).unwrap())).collect();
    let documents: Vec<&str> = text.split('\0').filter(|document| !document.is_empty()).collect();
    documents.iter().filter(|document| document.starts_with("the same")).count() as f64 / documents.len() as f64
}

#[test]
fn the_share_is_kept_of_training_tokens_alone_and_the_whole_is_made_once() {
    let place = Place::new();
    let data = place.text(600);
    let whole = place.split(&data);
    let fingerprint = |data: &Data| place.prepare(data).unwrap().facts().fingerprint;
    let all = fingerprint(&data);
    assert_eq!(fingerprint(&keep(&data, 1.0, KeepBy::Random, None)), all, "all of them is the whole");
    let mut seen = vec![all.clone()];
    for (share, by, scores) in [
        (0.5, KeepBy::Random, None),
        (0.25, KeepBy::Random, None),
        (0.5, KeepBy::Ngram, Some(KeepScores::Low)),
        (0.5, KeepBy::Ngram, Some(KeepScores::Middle)),
        (0.5, KeepBy::Ngram, Some(KeepScores::High)),
    ] {
        let pruned = keep(&data, share, by, scores);
        let [train, validation] = place.split(&pruned);
        assert!((train.len() as f64 / whole[0].len() as f64 - share).abs() < 0.01, "{} tokens", train.len());
        assert_eq!(validation, whole[1]);
        let kept = place.prepare(&pruned).unwrap().manifest().kept.clone().unwrap();
        assert_eq!((kept.whole.as_str(), kept.of_tokens), (all.as_str(), whole[0].len() as u64));
        assert_eq!(kept.scores.is_some(), by == KeepBy::Ngram);
        let own = fingerprint(&pruned);
        assert!(!seen.contains(&own), "each is a corpus of its own");
        seen.push(own);
    }
    assert_eq!(fs::read_dir(place.cache()).unwrap().count(), seen.len());
    // Another draw by another seed: of documents, beside the split.
    let [first, _] = place.split(&keep(&data, 0.5, KeepBy::Random, None));
    let [other, _] = place.split(&Data { seed: 8, ..keep(&data, 0.5, KeepBy::Random, None) });
    assert_ne!(first, other);
}

#[test]
fn an_ngram_model_tells_documents_that_say_the_same_from_others() {
    let place = Place::new();
    let data = two_kinds(&place);
    let share = |scores| phrases(&place.split(&keep(&data, 0.4, KeepBy::Ngram, Some(scores)))[0]);
    let random = phrases(&place.split(&keep(&data, 0.4, KeepBy::Random, None))[0]);
    assert!((random - 0.5).abs() < 0.1, "{random}");
    let (low, middle, high) = (share(KeepScores::Low), share(KeepScores::Middle), share(KeepScores::High));
    assert!(low > 0.99 && high < 0.01 && (0.2..0.8).contains(&middle), "{low} {middle} {high}");
}

#[test]
fn scores_of_a_file_decide_and_a_file_that_does_not_fit_is_refused() {
    let place = Place::new();
    let data = two_kinds(&place);
    let [train, _] = place.split(&data);
    let count = train.iter().filter(|token| **token == 0).count();
    let of_file = |scores: KeepScores, name: &str| Data {
        keep_file: Some(place.path(name)),
        ..keep(&data, 0.3, KeepBy::File, Some(scores))
    };
    // The number of a document in their order is its score.
    let numbers = |first: usize| (first..first + count).map(|at| at.to_string()).collect::<Vec<_>>().join("\n");
    place.write("scores.txt", numbers(0));
    let [low, _] = place.split(&of_file(KeepScores::Low, "scores.txt"));
    let [high, _] = place.split(&of_file(KeepScores::High, "scores.txt"));
    assert_eq!(low, train[..low.len()], "the first documents");
    assert_eq!(high, train[train.len() - high.len()..], "the last ones");
    let fingerprint = |data: &Data| place.prepare(data).unwrap().facts().fingerprint;
    let own = fingerprint(&of_file(KeepScores::Low, "scores.txt"));
    place.write("moved.txt", numbers(0));
    assert_eq!(fingerprint(&of_file(KeepScores::Low, "moved.txt")), own, "a name does not count");
    place.write("other.txt", numbers(1));
    assert_ne!(fingerprint(&of_file(KeepScores::Low, "other.txt")), own, "what is in it does");
    for (content, said) in [
        ("1\n2\n".to_owned(), format!("it has 2 scores and the text {count} training documents")),
        (numbers(0).replacen('7', "seven", 1), "line 8: \"seven\" is no number".to_owned()),
        (numbers(0).replacen('7', "nan", 1), "line 8: \"nan\" is no number".to_owned()),
    ] {
        place.write("bad.txt", content);
        let error = place.error(&of_file(KeepScores::Low, "bad.txt"));
        assert!(error.contains(&said), "{error}");
    }
    let error = place.error(&of_file(KeepScores::Low, "none.txt"));
    assert!(error.starts_with("data.keep_file: there is no ") && error.contains("`runner data score`"), "{error}");
}

#[test]
fn a_share_that_keeps_no_document_is_refused_and_info_tells_what_was_kept() {
    let place = Place::new();
    let data = place.text(50);
    let error = place.error(&keep(&data, 1e-6, KeepBy::Random, None));
    assert!(error.starts_with("data.keep: ") && error.contains("write a larger share"), "{error}");
    place.write("long.txt", words(2000));
    let table = "source = \"text\"\npath = \"long.txt\"\nvocab = 256\nvalidation_fraction = 0.2\nmax_epochs = 99.0\nseed = 1\n\
        keep = 0.5\nkeep_by = \"ngram\"\nkeep_scores = \"middle\"\n";
    place.write("spec.toml", with_data(SMALL, table));
    let told = place.says(&["data", "prepare", "spec.toml"]);
    for words in ["of middle score, 50% of", "by ngram", "scores of those kept", "fingerprint of the whole"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(place.says(&["data", "info", "spec.toml"]), told);
}

#[test]
fn scores_are_found_in_the_home_of_who_runs_this_and_by_an_address_of_the_machine() {
    let place = Place::new();
    place.write("long.txt", words(400));
    let table = |keep_file: &str| {
        format!(
            "source = \"text\"\npath = \"long.txt\"\nvocab = 256\nvalidation_fraction = 0.2\nmax_epochs = 99.0\nseed = 1\n\
             keep = 0.5\nkeep_by = \"file\"\nkeep_scores = \"low\"\nkeep_file = {keep_file:?}\n"
        )
    };
    let whole = place.prepare(&Data { seed: 1, ..place.text(400) }).unwrap();
    let about = whole.manifest().text.clone().unwrap();
    let count = about.documents - about.validation_documents;
    fs::create_dir(place.path("home")).unwrap();
    let scores = place.write("home/scores.txt", (0..count).map(|at| at.to_string()).collect::<Vec<_>>().join("\n"));
    for keep_file in ["~/scores.txt".to_owned(), format!("file://{}", scores.display())] {
        place.write("spec.toml", with_data(SMALL, &table(&keep_file)));
        let mut command = place.runner(&["data", "prepare", "spec.toml", "--cache", "cache"]);
        let output = command.env("HOME", place.path("home")).output().unwrap();
        assert_code(&output, 0);
    }
}
