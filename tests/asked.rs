//! What `[fit]` of a spec asks: refused before anything is trained where the runs cannot answer, every law, and what is minimised.

use serde_json::Value;

use crate::common::{Place, assert_code, assert_refused, edited, text};
use crate::question::{SIZES, fits, spec};

/// A grid of four sizes and seven lengths.
const GRID: [&str; 3] =
    [SIZES, "sweep.axes.\"schedule.tokens\"=[1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9]", "optimizer.batch_tokens=1024"];

#[test]
fn a_question_that_the_runs_cannot_answer_is_refused_before_any_is_trained() {
    for (fit, key, words) in [
        (
            &["fit.formula=\"loss = E + A/tokns^a\""][..],
            "fit.formula",
            &["character 14", "'tokens' meant", "^^^^^"][..],
        ),
        (&["fit.formula=\"loss = E + A*device\""], "fit.formula", &["character 14", "is not a number"]),
        (&["fit.formula=\"loss = E + A/(width - 64)\""], "fit.formula", &["character 14", "division by zero"]),
        (&["fit.formula=\"loss = E + A*keep\""], "fit.formula", &["character 8", "no name is a column"]),
        (
            &[
                "fit.formula=\"loss = a{model.width} + b{model.width}*D^c{model.width} + d{model.width}*D^e{model.width} + f{model.width}*D^g{model.width}\"",
            ],
            "fit.formula",
            &["28 unknowns", "28 rows"],
        ),
        (
            &["fit.formula=\"loss = E{model.width} + A*D{model.width}\""],
            "fit.formula",
            &["character 27", "{model.width}\n"],
        ),
        (
            &["fit.formula=\"loss = E + A/N^a\"", "fit.unknown=[\"N > 0\"]"],
            "fit.unknown",
            &["fit.unknown N", "a column"],
        ),
        (&["fit.formula=\"loss = E + A/N^a\"", "fit.cost=\"6*N*tokns\""], "fit.cost", &["'tokns'", "^^^^^"]),
        (&["fit.law=\"pruning\""], "fit.law", &["no column 'keep'"]),
    ] {
        let place = Place::with(&spec(&GRID, fit));
        let line = place.read("spec.toml").lines().position(|line| line.starts_with(&key[4..])).unwrap() + 1;
        let told = format!("spec.toml:{line}: {key}: ");
        for command in [&["plan", "spec.toml"][..], &["sweep", "spec.toml", "--device", "rehearsal", "--out", "out"]] {
            let output = place.runner(command).output().unwrap();
            assert_refused(&output, &[&[told.as_str()], words].concat());
            let said = text(&output.stderr);
            assert!(!said.contains("{axis.") && !said.contains("--unknown"), "{said}");
        }
        assert!(!place.path("out").exists(), "{fit:?}");
        // Set from outside, the setting is named and not a line.
        if let [set] = fit {
            let place = Place::with(&spec(&GRID, &[]));
            let asked = place.runner(&["plan", "spec.toml", "--set", set]).output().unwrap();
            assert_refused(&asked, &[&format!("--set {set}: {key}: ")]);
        }
    }
}

#[test]
fn what_a_program_will_tell_is_a_column_before_it_does() {
    let formula = "fit.formula=\"loss = E + A/N^a + B*told.heat\"";
    let own = spec(&GRID, &[formula]);
    let of_program = edited(&own, &["train.command=[\"python3\", \"t.py\", \"{config}\"]", "train.inputs=[\"t.py\"]"]);
    let unknown = "fit.unknown=[\"told.heat any\"]";
    // Models of this program tell nothing else, so that it would be looked for.
    for (spec, set, refused) in
        [(&own, &[][..], false), (&own, &[unknown], false), (&of_program, &[], false), (&of_program, &[unknown], true)]
    {
        let place = Place::with(&edited(spec, set));
        place.write("t.py", "");
        let planned = place.runner(&["plan", "spec.toml", "--csv"]).output().unwrap();
        if refused {
            assert_refused(&planned, &["fit.unknown: ", "told.heat: this is a column"]);
        } else {
            assert_code(&planned, 0);
        }
    }
}

#[test]
fn every_law_is_asked_for_and_the_best_one_predicts() {
    let place = Place::with(&spec(&GRID, &["fit.law=all", "fit.multistart=8"]));
    assert_code(&place.rehearse(), 0);
    let laws = fits(&place);
    let [ranking, best] = &laws[..] else { panic!("{laws:?}") };
    assert_eq!((ranking["law"].as_str(), best["law"].as_str()), (Some("ranking"), Some("formula")));
    assert_eq!(best["name"], ranking["laws"][0]["name"]);
    let said = place.says(&["fit", "out/runs.csv", "--law", "all", "--multistart", "8", "--json"]);
    let same: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(same, laws);
    for place_told in
        [place.read("out/report.html"), place.says(&["ls", "."]).split_whitespace().collect::<Vec<_>>().join(" ")]
    {
        let sentence: Vec<&str> = ranking["conclusion"].as_str().unwrap().split(' ').take(3).collect();
        assert!(place_told.contains(&sentence.join(" ")), "{sentence:?}");
    }
    let predicted = place.says(&["predict", "--fit", "out", "--params", "1e6", "--tokens", "1e9", "--json"]);
    assert!(predicted.contains("\"loss\""), "{predicted}");
}

#[test]
fn a_spec_says_what_is_minimised_as_the_flags_do() {
    let formula = "loss = E + A/N^alpha + B/D^beta";
    let asked = [
        &format!("fit.formula=\"{formula}\"")[..],
        "fit.residuals=plain",
        "fit.objective=huber",
        "fit.delta=0.002",
        "fit.overestimates=10.0",
        "fit.multistart=16",
        "fit.cost=\"2*N*D\"",
    ];
    let place = Place::with(&spec(&GRID, &asked));
    let output = place.rehearse();
    assert_code(&output, 0);
    let flags = [
        "--residuals",
        "plain",
        "--objective",
        "huber",
        "--delta",
        "0.002",
        "--overestimates",
        "10",
        "--cost",
        "2*N*D",
    ];
    let fit = ["fit", "out/runs.csv", "--formula", formula, "--multistart", "16", "--json"];
    let first = |said: &str| serde_json::from_str::<Value>(said.lines().next().unwrap()).unwrap();
    let same = first(&place.says(&[&fit[..], &flags].concat()));
    let plain = first(&place.says(&fit));
    let law = &fits(&place)[0];
    for key in ["parameters", "residuals", "held_out", "draws", "cost"] {
        assert_eq!(law[key], same[key], "{key}");
        assert_ne!(law[key], plain[key], "{key}");
    }
    let said = text(&output.stdout);
    assert!(said.contains("residuals ") && !said.contains("in the logarithm"), "{said}");
    let refused = |fit: &[&str], key: &str, words: &[&str]| {
        let place = Place::with(&spec(&GRID, fit));
        assert_refused(&place.runner(&["plan", "spec.toml"]).output().unwrap(), &[&[key], words].concat());
    };
    for key in ["residuals=plain", "objective=squares", "overestimates=2.0", "multistart=8", "cost=\"N\""] {
        let name = key.split('=').next().unwrap();
        refused(&["fit.law=tokens", &format!("fit.{key}")], &format!("fit.{name}: "), &["does not belong here"]);
    }
    let with = |key: &'static str| [asked[0], key];
    refused(&with("fit.delta=0.1"), "fit.delta: ", &["fit.objective"]);
    refused(&with("fit.overestimates=0.0"), "fit.overestimates: ", &["above 0"]);
    refused(&with("fit.multistart=0"), "fit.multistart: ", &["from 1 to 10000"]);
    refused(&with("fit.cost=\"6*N*\""), "fit.cost: ", &["ends where"]);
    refused(&with("fit.residuals=cubic"), "fit.residuals: ", &["\"cubic\" is not one of log, plain"]);
}
