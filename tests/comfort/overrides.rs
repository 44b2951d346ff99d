//! Keys of a spec set on the command line.

use crate::common::{Place, QUICKSTART, SMALL, assert_code, assert_refused, text};

#[test]
fn a_key_that_is_set_changes_the_plan_and_is_in_the_spec_of_the_results() {
    let place = Place::with(QUICKSTART);
    let rehearse = |more: &[&str]| {
        let args = ["sweep", "spec.toml", "--device", "rehearsal", "--set", "sweep.min_steps=90"];
        place.run(&[&args[..], more].concat())
    };
    assert_code(&rehearse(&["--set", "sweep.seeds=[4, 5]"]), 0);
    let kept = place.read("results/quickstart-rehearsal/spec.toml");
    assert!(kept.contains("seeds = [4, 5]") && kept.contains("min_steps = 90"), "{kept}");
    let rows = place.read("results/quickstart-rehearsal/runs.csv").lines().count() - 1;
    assert_eq!(rows, 42);

    // The same again is the same sweep.
    assert_code(&rehearse(&["--set", "sweep.seeds=[4, 5]"]), 0);
    let refused = "sweep.seeds is [4, 5] there and [4] here";
    assert_refused(&rehearse(&["--set", "sweep.seeds=[4]"]), &[refused, "--set"]);
    // `plan` says so before.
    let plan = |seeds: &str| {
        let seeds = format!("sweep.seeds={seeds}");
        let args = ["plan", "spec.toml", "--device", "rehearsal", "--set", "sweep.min_steps=90", "--set", &seeds];
        text(&place.run(&args).stderr)
    };
    assert!(plan("[4]").contains("would refuse to go on there: sweep.seeds is"), "{}", plan("[4]"));
    assert!(!plan("[4, 5, 6]").contains("refuse") && plan("[4, 5, 6]").contains("42 of 63 runs are in"));
}

#[test]
fn train_and_plan_take_overrides_as_well() {
    let place = Place::with(SMALL);
    let plan = place.says(&["plan", "spec.toml", "--csv", "--set", "data.seed=9"]);
    assert!(plan.lines().nth(1).unwrap().contains(",9,"), "{plan}");
    place.says(&["train", "spec.toml", "--device", "rehearsal", "--set", "name=other"]);
    assert!(place.read("results/other-rehearsal/spec.toml").contains("name = \"other\""));
}

#[test]
fn overrides_that_make_no_sense_are_refused_by_their_name_with_what_to_write() {
    let place = Place::with(QUICKSTART);
    for (set, words) in [
        ("optimizer.weight_deacy=0.2", "there is no such key; write weight_decay"),
        ("sweeps.seeds=[1]", "sweeps: there is no such key; write sweep"),
        ("model.parameterization=mupp", "\"mupp\" is not one of standard, mup, completep; write \"mup\""),
        ("sweep.seeds=3", "expected a list, found integer 3; write for example [1]"),
        ("sweep.sizes=6", "6 sizes do not show a minimum"),
        ("sweep.seeds", "write KEY=VALUE"),
        ("=1", "the key is not a TOML key"),
        ("data.seed=[1", "not valid TOML"),
        ("model.context.x=1", "model.context"),
        ("name.x=1", "name is not a table"),
        ("schedule.decay_fraction=", "there is no such key to remove"),
        ("optimizer.beta1=", "optimizer.beta1: missing"),
    ] {
        let error = place.refusal(&["plan", "spec.toml", "--flops-per-second", "1e9", "--set", set]);
        assert!(error.contains(&format!("error: --set {set}: ")) && error.contains(words), "{set}: {error}");
    }
    let twice = ["plan", "spec.toml", "--set", "data.seed=1", "--set", "data.seed=2"];
    assert!(place.refusal(&twice).contains("set twice"));
}

#[test]
fn an_error_of_the_file_keeps_its_line_beside_an_override() {
    let place = Place::with(QUICKSTART);
    let text = place.read("spec.toml").replace("beta2 = 0.99 ", "beta2 = 1.99 ");
    place.write("spec.toml", &text);
    let line = 1 + text.lines().position(|line| line.starts_with("beta2")).unwrap();
    let error = place.refusal(&["plan", "spec.toml", "--set", "data.max_epochs=2.0"]);
    assert!(error.contains(&format!("spec.toml:{line}: optimizer.beta2")), "{error}");
}

#[test]
fn an_edit_keeps_comments_and_an_axis_needs_no_quotes() {
    let text = include_str!("../../sweeps/lr-grid.toml");
    let set = |set: &str| runner::spec::edit(text, &[set.to_owned()]).unwrap();
    let edited = set("optimizer.beta1=0.875");
    let changed: Vec<(&str, &str)> = text.lines().zip(edited.lines()).filter(|(a, b)| a != b).collect();
    assert_eq!(changed, [("beta1 = 0.9", "beta1 = 0.875")]);
    let comment = |text: &str| text.lines().find(|line| line.starts_with("context")).unwrap().find('#');
    assert_eq!(comment(&set("model.context=4096")), comment(text), "in the column where it was");
    assert_eq!(set("sweep.axes.optimizer.beta1=[0.8,0.9]").matches("\"optimizer.beta1\"").count(), 1);
    assert_eq!(runner::spec::edit(text, &[]).unwrap(), text);
}
