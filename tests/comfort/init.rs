//! Specs to begin with.

use std::collections::BTreeSet;
use std::path::Path;

use runner::spec::{self, Precision, Source};

use crate::common::{Place, assert_code, assert_said, files, repository, text};

/// Each kind with its file: those that stand in one line of a table, which is compared with the folder.
fn kinds() -> Vec<(String, String)> {
    let named = |folder: &str, before: &str| -> Vec<(String, String)> {
        let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let inside = repository().join(folder);
        let specs = files(&inside).into_iter().filter(|path| path.parent() == Some(&inside));
        specs.map(|path| stem(&path)).map(|stem| (format!("{before}{stem}"), format!("{folder}/{stem}.toml"))).collect()
    };
    let mut kinds = named("sweeps/laws", "laws-");
    kinds.extend(named("sweeps", "").into_iter().filter(|(kind, _)| !NOT_WRITTEN.contains(&kind.as_str())));
    kinds.push(("run".to_owned(), "configs/small.toml".to_owned()));
    kinds.push((PROGRAM.to_owned(), "examples/program/program.toml".to_owned()));
    kinds
}

/// Those that are about one text, which another may replace.
fn kinds_of_one_text() -> impl Iterator<Item = (String, String)> {
    let others = [&MIXTURES[..], &OWN_TEXT, &[PROGRAM]].concat();
    kinds().into_iter().filter(move |(kind, _)| !others.contains(&kind.as_str()))
}

/// Sweeps that `runner init` does not write: their texts are this repository's own.
const NOT_WRITTEN: [&str; 4] = ["isoflop-c", "isoflop-docs", "synthetic", "synthetic-near"];

/// The kind whose runs a program of somebody else trains, on data of its own.
const PROGRAM: &str = "program";

/// Kinds that mix several texts.
const MIXTURES: [&str; 2] = ["laws-corpora", "laws-mixture"];

/// Kinds whose questions are of a language that is made for them.
const OWN_TEXT: [&str; 2] = ["laws-emergence", "laws-language"];

#[test]
fn a_question_of_a_language_of_its_own_takes_no_text() {
    for kind in OWN_TEXT.into_iter().chain([PROGRAM]) {
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
        // On a card in bf16, which the spec says, and nowhere else; but for those that have precisions of their own.
        let written = |device: &str| place.says(&["init", kind, "--device", device, "--out", "-"]);
        let spec = runner::spec::parse(&written("cuda:1"), kind).unwrap();
        let own = ["laws-precision", PROGRAM].contains(&kind.as_str());
        let precision = if own { Precision::F32 } else { Precision::Bf16 };
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
        (&["--out", "nowhere/x.toml"], "cannot write nowhere/x.toml"),
    ] {
        let error = place.refusal(&[&["init", "isoflop"], args].concat());
        assert!(error.contains(words), "{error}");
    }
    assert!(!place.path("isoflop.toml").exists());
}

#[test]
fn the_source_follows_from_the_file_and_the_comments_speak_of_it() {
    let place = Place::new();
    let line = format!("{{\"id\": \"x\", \"body\": \"{}\"}}\n", "a longer text than its id ".repeat(40_000));
    place.write("named.jsonl", line.repeat(40));
    std::fs::create_dir(place.path("folder")).unwrap();
    std::fs::copy(place.path("named.jsonl"), place.path("folder/a.jsonl")).unwrap();
    for (file, source, column) in [
        ("my.txt", Source::Text, None),
        ("my.txt.gz", Source::Text, None),
        ("my.jsonl", Source::Jsonl, Some("text")),
        ("my.jsonl.zst", Source::Jsonl, Some("text")),
        ("named.jsonl", Source::Jsonl, Some("body")),
        ("folder", Source::Jsonl, Some("body")),
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
fn a_folder_is_known_by_its_shards_and_a_file_by_what_it_holds() {
    let place = Place::new();
    let line = format!("{{\"id\": \"x\", \"body\": \"{}\"}}\n", "a longer text than its id ".repeat(4000));
    std::fs::create_dir_all(place.path("set/data")).unwrap();
    for (name, content) in
        [("README.md", "# About"), ("LICENSE", "MIT"), ("dataset_infos.json", "{}"), ("_SUCCESS", "")]
    {
        place.write(&format!("set/{name}"), content);
    }
    place.write("set/.gitattributes", "*.jsonl lfs");
    place.write("set/data/train-0.jsonl", line.repeat(400));
    place.write("lines.txt", line.repeat(400));
    for text in ["set", "lines.txt"] {
        let written = place.says(&["init", "run", "--text", text, "--out", "-"]);
        let spec = spec::parse(&written, text).unwrap();
        assert_eq!((spec.data.source, spec.data.column.as_deref()), (Source::Jsonl, Some("body")), "{written}");
        assert_eq!(spec.data.path.as_deref(), Some(std::path::Path::new(text)));
    }
    place.write("set/data/train-1.parquet", "PAR1");
    let refused = place.refusal(&["init", "run", "--text", "set"]);
    assert!(refused.contains("train-0.jsonl is JSON Lines, and set/data/train-1.parquet is Parquet"), "{refused}");
    place.write("list.json", format!("[{}]", line.trim()));
    let refused = place.refusal(&["init", "run", "--text", "list.json"]);
    assert!(refused.contains("`jq -c '.[]' list.json > list.jsonl`"), "{refused}");
}

#[test]
fn a_text_that_is_not_there_is_told_without_the_script_of_another() {
    let place = Place::new();
    let said = |args: &[&str]| text(&place.run(&[&["init", "isoflop"], args].concat()).stderr);
    let own = said(&["--text", "mine.txt", "--name", "mine"]);
    assert!(own.contains("its text mine.txt does not exist yet, so nothing was sized to it"), "{own}");
    assert!(!own.contains("rfc"), "{own}");
    let theirs = said(&[]);
    assert!(theirs.contains("corpora/rfc.txt does not exist yet") && theirs.contains("corpus-rfc.sh"), "{theirs}");
}

#[test]
fn a_short_text_gets_budgets_validation_and_heads_that_fit_it_and_a_name_of_its_own() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("results/isoflop")).unwrap();
    let length = |bytes: u64| long_text(&place.path("my.txt"), bytes);
    length(11_000_000);
    let written = place.says(&["init", "isoflop", "--text", "my.txt", "--out", "-"]);
    let spec = spec::parse(&written, "isoflop").unwrap();
    assert_eq!(spec.name, "isoflop-2", "results/isoflop belongs to another sweep");
    let sweep = spec.sweep.unwrap();
    let budgets = sweep.budgets.unwrap();
    assert!(budgets.len() == 4 && budgets[3] < 5e11 && budgets[0] > 1e10, "{budgets:?}");
    // A thirtieth of the tokens that there are at the least.
    assert!(spec.eval.tokens <= 11_000_000 / 3 / 30 && spec.eval.tokens.is_multiple_of(128), "{}", spec.eval.tokens);
    // Each budget keeps the sizes of a curve.
    length(3_900_000);
    let short = place.says(&["init", "isoflop", "--text", "my.txt", "--out", "-"]);
    assert_eq!(spec::parse(&short, "isoflop").unwrap().sweep.unwrap().budgets.unwrap().len(), 3, "{short}");
    // A long one, and one that is not there, leave the template as it is.
    length(300_000_000);
    for file in ["my.txt", "nowhere.txt"] {
        let written = place.says(&["init", "isoflop", "--text", file, "--out", "-"]);
        assert_eq!(spec::parse(&written, "isoflop").unwrap().sweep.unwrap().budgets.unwrap().len(), 5, "{file}");
    }
}

/// A file of so many bytes that is text as far as it is looked through, and takes little room.
fn long_text(path: &Path, bytes: u64) {
    let text = b"words\n\n".repeat(1 << 22);
    std::fs::write(path, &text[..text.len().min(bytes as usize)]).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

/// A text of so many bytes: words that are drawn, in documents of some hundred.
fn text_of(bytes: usize, between: &str) -> String {
    let mut state = 1_u64;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Some two bytes a token, as prose has: of these pairs of letters few are merged further.
        let mut rest = state >> 40;
        let mut word = String::new();
        while rest > 0 {
            word.extend([char::from(b'a' + (rest % 26) as u8), char::from(b'a' + (rest / 26 % 26) as u8)]);
            rest /= 676;
        }
        word
    };
    let mut text = String::new();
    while text.len() < bytes {
        let words: Vec<String> = (0..150).map(|_| word()).collect();
        text += &(words.join(" ") + between);
    }
    text
}

#[test]
fn every_kind_is_sized_to_the_text_or_says_how_much_it_needs() {
    let place = Place::new();
    let length = |bytes: u64| long_text(&place.path("my.txt"), bytes);
    for (kind, _) in &kinds_of_one_text().collect::<Vec<_>>() {
        let init = ["init", kind, "--text", "my.txt", "--out", "-"];
        length(600_000_000);
        assert!(!place.says(&init).contains("# Sized for"), "{kind}: as it is, where all is there");
        length(12_000_000);
        let written = place.says(&init);
        let spec = spec::parse(&written, kind).unwrap();
        let held = spec.data.validation_fraction.unwrap() * 12e6 / 3.0;
        assert!((spec.eval.tokens as f64) < held, "{kind}: {} of {held}", spec.eval.tokens);
        length(60_000);
        let refused = place.refusal(&init);
        assert!(refused.contains(&format!("my.txt has 60000 bytes of text: {kind} needs at least ")), "{refused}");
        let megabytes = refused.split("at least ").nth(1).unwrap().split(' ').next().unwrap();
        let needed = (megabytes.parse::<f64>().unwrap() * 1e6) as u64;
        assert!(needed < 30_000_000, "{refused}");
        length(needed);
        place.says(&init);
        length(0);
        let refused = place.refusal(&init);
        assert!(refused.contains(&format!("my.txt is empty: {kind} needs at least {megabytes} MB")), "{refused}");
    }
}

#[test]
fn a_text_too_short_for_one_kind_is_told_the_kinds_that_it_is_long_enough_for() {
    let place = Place::new();
    long_text(&place.path("my.txt"), 2_000_000);
    let refused = place.refusal(&["init", "isoflop", "--text", "my.txt"]);
    let kinds = refused.trim().split("It is long enough for ").nth(1).expect(&refused);
    for kind in kinds.split(", ") {
        place.says(&["init", kind, "--text", "my.txt", "--out", "-"]);
    }
    long_text(&place.path("my.txt"), 60_000);
    assert!(!place.refusal(&["init", "isoflop", "--text", "my.txt"]).contains("long enough"));
}

#[test]
fn what_is_sized_to_a_short_text_can_be_planned_whatever_holds_it() {
    let place = Place::new();
    let plain = text_of(8_000_000, "\n\n");
    std::fs::create_dir(place.path("folder")).unwrap();
    let (first, second) = plain.split_at(plain[..4_000_000].rfind("\n\n").unwrap() + 2);
    place.write("folder/a.txt", first);
    place.write("folder/b.txt", second);
    let lines: String = plain.split("\n\n").fold(String::new(), |all, text| all + "{\"text\": \"" + text + "\"}\n");
    place.write("my.jsonl", lines);
    for (kind, text) in [
        ("isoflop", "my.jsonl"),
        ("quickstart", "folder"),
        ("lengths", "folder"),
        ("laws-size", "folder"),
        ("laws-repetition", "my.jsonl"),
        ("run", "folder"),
    ] {
        let spec = format!("{kind}.toml");
        place.says(&["init", kind, "--text", text]);
        assert!(place.read(&spec).contains("# Sized for 8.0 MB of text: "), "{kind}");
        place.says(&["plan", &spec, "--csv"]);
    }
    // Sizes and budgets keep the comment of the template, but for one whose numbers are no longer true.
    let written = place.read("laws-repetition.toml");
    assert!(!written.contains("5120 sequences") && written.contains("# of the training-loss curve"), "{written}");
}

#[test]
fn a_text_that_is_set_otherwise_is_sized_by_whoever_sets_it() {
    let place = Place::new();
    place.write("my.jsonl", "{\"body\": \"short\"}\n");
    let refused = place.refusal(&["init", "run", "--text", "my.jsonl", "--set", "data.column=text"]);
    assert!(
        refused.contains("my.jsonl has no text in \"text\"") && refused.contains("--set data.column=NAME"),
        "{refused}"
    );
    assert!(place.refusal(&["init", "run", "--text", "my.jsonl"]).contains("has 5 bytes of text: run needs at least"));
    place.says(&["init", "run", "--text", "my.jsonl", "--set", "eval.tokens=256"]);
}

#[test]
fn scores_of_documents_are_those_of_this_text_and_it_is_said_how_to_make_them() {
    let place = Place::new();
    place.write("my own.txt", text_of(100_000, "\n\n"));
    let output = place.run(&["init", "laws-pruning", "--text", "my own.txt", "--set", "eval.tokens=2048"]);
    let said = crate::common::text(&output.stderr);
    for words in [
        "do not exist yet: my-own-scores-1.txt, ",
        "runner init run --text 'my own.txt' --out",
        "runner data score",
        "--set data.seed=3",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let written = place.read("laws-pruning.toml");
    assert!(!written.contains("rfc-scores") && !written.contains("corpus-scores"), "{written}");
    // A quarter of the documents is enough for the longest run.
    let longest = |text: &str| {
        let values = spec::parse(text, "").unwrap().sweep.unwrap().axes.remove("schedule.tokens").unwrap();
        values.iter().filter_map(toml::Value::as_float).fold(0.0, f64::max)
    };
    let bytes = 12_000_000;
    long_text(&place.path("long.txt"), bytes);
    let sized = longest(&place.says(&["init", "laws-pruning", "--text", "long.txt", "--out", "-"]));
    assert!(sized < bytes as f64 / 3.0 / 4.0, "{sized}");
    // And the plan asks for them before it prepares anything.
    let refused = place.refusal(&["plan", "laws-pruning.toml"]);
    assert!(refused.contains("data.keep_file: there is no my-own-scores-1.txt"), "{refused}");
    assert!(refused.contains("`runner data score`") && !place.path("cache").exists(), "{refused}");
    let said = crate::common::text(&place.run(&["init", "laws-pruning", "--name", "theirs"]).stderr);
    assert!(said.contains("rfc-scores-1.txt") && said.contains("scripts/corpus-scores.sh"), "{said}");
}

#[test]
fn token_ids_are_no_text_and_the_keys_are_told_that_read_them() {
    let place = Place::new();
    let ids_before: Vec<u8> = (0..50_000_u32).flat_map(|at| ((at * 31 % 100) as u16).to_le_bytes()).collect();
    place.write("tok.bin", &ids_before);
    let refused = place.refusal(&["init", "isoflop", "--text", "tok.bin"]);
    assert!(
        refused.contains("tok.bin holds token ids and no text") && refused.contains("--set data.source=bin"),
        "{refused}"
    );
    let set = ["--set", "data.source=bin", "--set", "data.path=tok.bin", "--set", "data.vocab=50257"];
    place.says(&[&["init", "isoflop", "--set", "data.validation_fraction=0.02"], &set[..]].concat());
    // Many of them: the spec is sized to them as to a text.
    let many: Vec<u8> = (0..3_000_000_u32).flat_map(|at| ((at * 31 % 100) as u16).to_le_bytes()).collect();
    place.write("tok.bin", &many);
    let few = [&["init", "isoflop", "--name", "few", "--set", "data.validation_fraction=0.02"], &set[..]].concat();
    assert!(text(&place.run(&few).stderr).contains("3M tokens of a vocabulary of 50257 are too few"));
    let args = ["init", "isoflop", "--name", "ids", "--set", "data.validation_fraction=0.02"];
    place.says(&[&args, &set[..4], &["--set", "data.vocab=1000"]].concat());
    let ids = place.read("ids.toml");
    assert!(ids.contains("# Sized for 3M tokens: budgets, validation."), "{ids}");
    place.says(&["plan", "ids.toml", "--device", "rehearsal"]);
    place.write("tok.bin", &ids_before);
    // A text may have any name.
    place.write("words.bin", text_of(3_000_000, "\n\n"));
    place.says(&["init", "run", "--text", "words.bin"]);
    place.write("other.toml", place.read("run.toml").replace("words.bin", "tok.bin"));
    let refused = place.refusal(&["plan", "other.toml"]);
    assert!(refused.contains("source = \"bin\"") && !refused.contains("iconv"), "{refused}");
}

/// Rows enough for a law of three numbers.
const RUNS: &str = "\
params,tokens,loss
1000000,20000000,4.0
2000000,40000000,3.5
4000000,80000000,3.2
8000000,160000000,2.98
16000000,320000000,2.83
";

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_leaves_no_file_and_the_one_before_it() {
    let place = Place::with(crate::common::QUICKSTART);
    let program = env!("CARGO_BIN_EXE_runner");
    // No file may have a byte, which is told like a full disk.
    let on_full_disk = |args: &str| {
        let line = format!("trap '' XFSZ; ulimit -f 0; exec {program} {args}");
        let output = std::process::Command::new("sh").args(["-c", &line]).current_dir(place.path("")).output().unwrap();
        crate::common::assert_refused(&output, &["cannot write"]);
    };
    let there = || crate::common::files(&place.path(""));
    place.write("runs.csv", RUNS);
    place.write("runs.jsonl", "before\n");
    let before = there();
    on_full_disk("init quickstart");
    on_full_disk("export jsonl runs.csv --out runs.jsonl");
    on_full_disk("fit runs.csv --formula 'loss=E+A/N^alpha' --figure law.svg --bootstrap 100");
    assert_eq!(there(), before);
    assert_eq!(place.read("runs.jsonl"), "before\n");
    place.says(&["init", "quickstart"]);
    place.says(&["export", "jsonl", "runs.csv", "--out", "runs.jsonl"]);
    assert!(place.read("runs.jsonl").contains("4.0"));
}

#[test]
fn a_trainer_is_written_beside_its_spec_and_takes_no_other_files_place() {
    let stand_in = std::fs::read_to_string(repository().join("examples/program/train.py")).unwrap();
    let place = Place::new();
    let output = place.run(&["init", PROGRAM]);
    assert_said(&output, &["wrote train.py, a stand-in that trains nothing", "put your trainer in its place"]);
    assert_eq!(place.read("train.py"), stand_in);
    // As it was written it serves another spec as well.
    let output = place.run(&["init", PROGRAM, "--name", "second"]);
    assert_code(&output, 0);
    assert_said(&output, &["as it was: train.py, a stand-in"]);
    // A trainer of one's own stays, and must be named to be taken for one.
    place.write("train.py", "mine");
    let third = ["init", PROGRAM, "--name", "third"];
    let refused = place.refusal(&third);
    assert!(refused.contains("train.py exists and is not overwritten by a stand-in"), "{refused}");
    let (_, command) = refused.split_once("name it with ").unwrap();
    assert!(command.starts_with("--set 'train.command=[\"python3\", \"train.py\", \"{config}\"]'"), "{command}");
    assert!(!place.path("third.toml").exists());
    let named = "train.command=[\"python3\", \"train.py\", \"{config}\"]";
    let output = place.run(&[&third[..], &["--set", named]].concat());
    assert_code(&output, 0);
    assert!(!text(&output.stderr).contains("stand-in"), "{}", text(&output.stderr));
    assert_eq!(place.read("train.py"), "mine");
    // A spec that is there leaves no trainer behind, and neither does one that is printed or is another's.
    std::fs::remove_file(place.path("train.py")).unwrap();
    assert!(place.refusal(&third).contains("third.toml exists and is not overwritten"));
    let output = place.run(&["init", PROGRAM, "--out", "-"]);
    assert_said(&output, &["train.py is not there, and is not written beside a spec that is printed"]);
    let printed = text(&output.stdout);
    assert!(!printed.contains("It works as it is written") && printed.contains("# It needs a trainer"), "{printed}");
    assert_eq!(spec::parse(&printed, PROGRAM).unwrap().train.inputs, [Path::new("train.py")]);
    let other = ["--set", "train.command=[\"./mine\", \"{config}\"]", "--set", "train.inputs=[\"mine\"]"];
    place.says(&[&["init", PROGRAM, "--name", "fourth"], &other[..]].concat());
    assert!(!place.path("train.py").exists());
    let fourth = place.read("fourth.toml");
    assert!(!fourth.contains("stand-in") && fourth.contains("What is marked by > is yours"), "{fourth}");
    // In a folder of its own it is named from where sweeps are started.
    std::fs::create_dir(place.path("lab")).unwrap();
    place.says(&["init", PROGRAM, "--out", "lab/mine.toml"]);
    assert_eq!(place.read("lab/train.py"), stand_in);
    let spec = spec::load(&place.path("lab/mine.toml")).unwrap();
    assert_eq!(spec.train.command, ["python3", "lab/train.py", "{config}"]);
    place.says(&["plan", "lab/mine.toml"]);
}
