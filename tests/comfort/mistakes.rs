//! Mistakes that people make, and what they are told.

use crate::common::{Place, QUICKSTART, edited, text};

#[test]
fn every_mistake_of_a_spec_is_told_at_once_each_with_its_line() {
    let place = Place::new();
    let spec = QUICKSTART
        .replace("head_dim = 8 ", "head_dimm = 8 ")
        .replace("beta1 = 0.9\n", "beta1 = \"high\"\n")
        .replace("seeds = [1] ", "seeds = [] ")
        .replace("floor = 0.1 ", "floor = 7.0 ");
    for (name, spec) in [("unix.toml", spec.clone()), ("dos.toml", spec.replace('\n', "\r\n"))] {
        place.write(name, &spec);
        let refused = place.refusal(&["sweep", name, "--device", "rehearsal"]);
        let line = |words: &str| 1 + spec.lines().position(|line| line.starts_with(words)).unwrap();
        for (key, at) in [
            ("model.head_dimm: there is no such key", line("head_dimm")),
            ("optimizer.beta1: ", line("beta1")),
            ("schedule.floor: 7 is not a share", line("floor")),
            ("sweep.seeds: ", line("seeds")),
        ] {
            assert!(refused.contains(&format!("{name}:{at}: {key}")), "{key} at {at} is not in {refused}");
        }
    }
    // One mistake is told once, and a --set is blamed for its own.
    place.write("good.toml", QUICKSTART);
    let refused = place.refusal(&["plan", "good.toml", "--set", "sweep.sizes=2", "--set", "model.context=0"]);
    assert!(refused.contains("--set sweep.sizes=2: ") && refused.contains("--set model.context=0: "), "{refused}");
    let refused = place.refusal(&["plan", "good.toml", "--set", "sweep.sizes=2"]);
    assert_eq!(refused.matches("error: ").count(), 1, "{refused}");
}

#[test]
fn words_of_python_are_answered_with_those_of_toml() {
    let place = Place::new();
    for (word, told) in [
        ("True", "write true"),
        ("0,01", "write 0.01, with a point"),
        ("12_800M", "write 1.28e10"),
        ("655,360", "write 655360, or 655.360 if the comma is a decimal one"),
        ("1,000,000", "write 1000000"),
        ("1.5k", "write 1.5e3"),
        ("False", "write false"),
        ("None", "if zero_init_query may be left out, delete its line"),
    ] {
        place
            .write("spec.toml", QUICKSTART.replace("[optimizer]", &format!("zero_init_query = {word}\n\n[optimizer]")));
        let refused = place.refusal(&["plan", "spec.toml"]);
        assert!(refused.contains(told) && refused.contains("zero_init_query"), "{refused}");
    }
}

#[test]
fn lines_of_a_table_are_counted_whatever_ends_them_and_a_missing_value_has_a_remedy() {
    let place = Place::new();
    let table = "params,tokens,loss\n1e5,1e6,4\n1e5,2e6,3.9\n1e5,None,3.9\n";
    for (name, table) in [("unix.csv", table.to_owned()), ("dos.csv", table.replace('\n', "\r\n"))] {
        place.write(name, &table);
        let refused = place.refusal(&["fit", name]);
        assert!(
            refused.contains(&format!("{name}:4: "))
                && refused.contains("'None' is not a number")
                && refused.contains("--skip-incomplete"),
            "{refused}"
        );
        place.write(name, table.replace("params", "id").replace("None", "1,2"));
        let refused = place.refusal(&["export", "jsonl", name]);
        assert!(refused.contains('4') && refused.contains(name), "{refused}");
    }
}

#[test]
fn the_beginning_of_a_key_is_enough_to_explain_it() {
    let place = Place::new();
    let seeds = place.says(&["explain", "sweep.seeds"]);
    for begins in ["sweep.see", "seeds", "sweep.seeds"] {
        assert_eq!(place.says(&["explain", begins]), seeds, "{begins}");
    }
    assert!(place.refusal(&["explain", "s"]).contains("not a key"));
    assert!(place.refusal(&["explain", "nothing.of.it"]).contains("lists them all"));
    // A value, a slip in the last word of a key, and a word that is only spoken of.
    for (word, key) in [("muP", "parameterization"), ("tokns", "tokens"), ("kaplan", "")] {
        let refused = place.refusal(&["explain", word]);
        assert!(refused.contains("ask for ") && refused.contains(key), "{word}: {refused}");
    }
}

#[test]
fn a_corpus_is_looked_at_with_keys_set() {
    let place = Place::with(QUICKSTART);
    let info = place.says(&["data", "prepare", "spec.toml", "--set", "data.vocab=300"]);
    assert!(info.contains("300"), "{info}");
    assert!(place.refusal(&["data", "info", "spec.toml", "--set", "data.vocab=1"]).contains("--set data.vocab=1"));
}

#[test]
fn a_batch_below_one_sequence_is_raised_with_a_word() {
    let place = Place::with(&edited(QUICKSTART, &["optimizer.batch_tokens=10"]));
    let flags = ["--device", "rehearsal", "--flops-per-second", "1e9"];
    let output = place.run(&[&["plan", "spec.toml"][..], &flags].concat());
    let said = text(&output.stderr);
    assert!(
        said.contains("21 of 21 runs ask for a batch of less than one sequence (the smallest has 10 tokens"),
        "{said}"
    );
    let whole = place.run(&[&["plan", "spec.toml", "--set", "optimizer.batch_tokens=64"][..], &flags].concat());
    assert!(!text(&whole.stderr).contains("less than one sequence"), "{}", text(&whole.stderr));
}
