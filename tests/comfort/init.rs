//! Specs to begin with.

use std::collections::BTreeSet;

use runner::spec::{self, Precision, Source};

use crate::common::{Place, files, repository};

/// Each kind with its file: those that stand in one line of a table, which is compared with the folder.
fn kinds() -> Vec<(String, String)> {
    let named = |folder: &str, before: &str| -> Vec<(String, String)> {
        let stem = |path: &std::path::Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let inside = repository().join(folder);
        let specs = files(&inside).into_iter().filter(|path| path.parent() == Some(&inside));
        specs.map(|path| stem(&path)).map(|stem| (format!("{before}{stem}"), format!("{folder}/{stem}.toml"))).collect()
    };
    let mut kinds = named("sweeps/laws", "laws-");
    kinds.extend(named("sweeps", "").into_iter().filter(|(kind, _)| !NOT_WRITTEN.contains(&kind.as_str())));
    kinds.push(("run".to_owned(), "configs/small.toml".to_owned()));
    kinds
}

/// Those that are about one text, which another may replace.
fn kinds_of_one_text() -> impl Iterator<Item = (String, String)> {
    kinds().into_iter().filter(|(kind, _)| !MIXTURES.contains(&kind.as_str()) && !OWN_TEXT.contains(&kind.as_str()))
}

/// Sweeps that `runner init` does not write: their texts are this repository's own.
const NOT_WRITTEN: [&str; 3] = ["isoflop-c", "synthetic", "synthetic-near"];

/// Kinds that mix several texts.
const MIXTURES: [&str; 2] = ["laws-corpora", "laws-mixture"];

/// Kinds whose questions are of a language that is made for them.
const OWN_TEXT: [&str; 2] = ["laws-emergence", "laws-language"];

#[test]
fn a_question_of_a_language_of_its_own_takes_no_text() {
    for kind in OWN_TEXT {
        let refused = Place::new().refusal(&["init", kind, "--text", "my.txt"]);
        assert!(refused.contains(kind) && refused.contains("--text means nothing"), "{refused}");
    }
}

#[test]
fn every_kind_that_is_offered_is_a_file_of_the_repository() {
    let offered: BTreeSet<String> = spec::TEMPLATES.iter().map(|template| template.kind.to_owned()).collect();
    assert_eq!(offered, kinds().into_iter().map(|(kind, _)| kind).collect());
    assert_eq!(offered.len(), spec::TEMPLATES.len(), "a kind is offered twice");
}

#[test]
fn every_kind_is_a_spec_of_the_repository_under_its_own_name() {
    let place = Place::new();
    for (kind, file) in &kinds() {
        place.says(&["init", kind]);
        // On a card in bf16, which the spec says, and nowhere else; but for the one that compares precisions.
        let written = |device: &str| place.says(&["init", kind, "--device", device, "--out", "-"]);
        let spec = runner::spec::parse(&written("cuda:1"), kind).unwrap();
        let precision = if kind == "laws-precision" { Precision::F32 } else { Precision::Bf16 };
        assert_eq!(spec.train.precision, precision, "{kind}");
        assert_eq!(written("cpu"), place.read(&format!("{kind}.toml")));
        let written = spec::load(&place.path(&format!("{kind}.toml"))).unwrap();
        let theirs = spec::load(&repository().join(file)).unwrap();
        assert_eq!(written, spec::Spec { name: kind.clone(), ..theirs });
        if kind != "run" {
            let file = std::fs::read_to_string(repository().join(file)).unwrap();
            assert_eq!(place.read(&format!("{kind}.toml")), file, "comments and all");
        }
    }
}

#[test]
fn a_text_of_ones_own_is_trained_on_whatever_the_kind() {
    let place = Place::new();
    for (kind, _) in &kinds_of_one_text().collect::<Vec<_>>() {
        let written = place.says(&["init", kind, "--text", "my \"own\".txt", "--name", "mine", "--out", "-"]);
        let spec = spec::parse(&written, kind).unwrap();
        assert_eq!((spec.data.source, spec.name.as_str()), (Source::Text, "mine"));
        assert_eq!(spec.data.path.unwrap().to_str(), Some("my \"own\".txt"));
        assert!(!written.contains("corpus-rfc") && written.contains("# results go to results/mine\n"), "{written}");
        assert!(!written.contains("of the language"), "{written}");
    }
    for kind in MIXTURES {
        let refused = place.refusal(&["init", kind, "--text", "mine.txt"]);
        assert!(refused.contains("mixes several texts") && refused.contains("[[data.parts]]"), "{refused}");
    }
}

#[test]
fn nothing_is_overwritten_and_nothing_invalid_is_written() {
    let place = Place::new();
    place.says(&["init", "quickstart", "--set", "sweep.seeds=[1,2]"]);
    let before = place.read("quickstart.toml");
    assert!(before.contains("seeds = [1,2]                       # of initialization"), "{before}");
    assert!(place.refusal(&["init", "quickstart"]).contains("quickstart.toml exists and is not overwritten"));
    assert_eq!(place.read("quickstart.toml"), before);
    for (args, words) in [
        (&["--name", "../up"][..], "cannot name a results folder"),
        (&["--set", "sweep.sizes=2"], "2 sizes do not show a minimum"),
        (&["--out", "nowhere/x.toml"], "cannot create nowhere/x.toml"),
    ] {
        let error = place.refusal(&[&["init", "isoflop"], args].concat());
        assert!(error.contains(words), "{error}");
    }
    assert!(!place.path("isoflop.toml").exists());
}

#[test]
fn the_source_follows_from_the_file_and_the_comments_speak_of_it() {
    let place = Place::new();
    place.write("named.jsonl", "{\"id\": \"x\", \"body\": \"a longer text than its id\"}\n");
    for (file, source, column) in [
        ("my.txt", Source::Text, None),
        ("my.txt.gz", Source::Text, None),
        ("my.jsonl", Source::Jsonl, Some("text")),
        ("my.jsonl.zst", Source::Jsonl, Some("text")),
        ("named.jsonl", Source::Jsonl, Some("body")),
        ("part-*.parquet", Source::Parquet, Some("text")),
    ] {
        for (kind, _) in &kinds_of_one_text().collect::<Vec<_>>() {
            let written = place.says(&["init", kind, "--text", file, "--name", "mine", "--out", "-"]);
            let spec = spec::parse(&written, kind).unwrap();
            assert_eq!((spec.data.source, spec.data.column.as_deref()), (source, column), "{kind} {file}");
            for words in ["RFC", "English", "rfc.txt", "known entropy", "whatever else"] {
                assert!(!written.contains(words), "{kind} {file}: {words} in {written}");
            }
            let blank = written.contains("separated by blank lines");
            assert!(blank == (source == Source::Text) || !written.contains("# UTF-8"), "{written}");
        }
    }
    let written = place.says(&["init", "isoflop", "--text", "my.jsonl", "--out", "-"]);
    assert!(written.starts_with("# IsoFLOP curves on my.jsonl: how"), "{written}");
}

#[test]
fn a_short_text_gets_budgets_validation_and_heads_that_fit_it_and_a_name_of_its_own() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("results/isoflop")).unwrap();
    let length = |bytes: u64| std::fs::File::create(place.path("my.txt")).unwrap().set_len(bytes).unwrap();
    length(11_000_000);
    let written = place.says(&["init", "isoflop", "--text", "my.txt", "--out", "-"]);
    let spec = spec::parse(&written, "isoflop").unwrap();
    assert_eq!(spec.name, "isoflop-2", "results/isoflop belongs to another sweep");
    let sweep = spec.sweep.unwrap();
    let budgets = sweep.budgets.unwrap();
    assert!(budgets.len() == 4 && budgets[3] < 5e11 && budgets[0] > 1e10, "{budgets:?}");
    // A thirtieth of the tokens that there are at the least.
    assert!(spec.eval.tokens <= 11_000_000 / 3 / 30 && spec.eval.tokens.is_multiple_of(128), "{}", spec.eval.tokens);
    // A long one, and one that is not there, leave the template as it is.
    length(300_000_000);
    for file in ["my.txt", "nowhere.txt"] {
        let written = place.says(&["init", "isoflop", "--text", file, "--out", "-"]);
        assert_eq!(spec::parse(&written, "isoflop").unwrap().sweep.unwrap().budgets.unwrap().len(), 5, "{file}");
    }
}
