//! A sweep that asks for a law by `[fit]`: the planted answer comes back in fits.json, on the terminal, in the report and in
//! `runner ls`, and another question is answered without training.

use std::fmt::Write as _;

use serde_json::Value;

use crate::common::{Place, QUICKSTART, assert_code, assert_refused, edited, files, repository, text, with_data};
use crate::data::words;

/// One model, varied as these axes say.
pub fn spec(axes: &[&str], fit: &[&str]) -> String {
    let alone = ["sweep.budgets=", "sweep.sizes=", "sweep.spread=", "sweep.expected_tokens_per_param="];
    let shape = ["name=question", "model.aspect_ratio=", "model.width=64", "model.depth=2", "schedule.tokens=1e6"];
    edited(QUICKSTART, &[&alone[..], &shape, axes, fit].concat())
}

pub fn fits(place: &Place) -> Vec<Value> {
    let fits: Value = serde_json::from_str(&place.read("out/fits.json")).unwrap();
    fits["laws"].as_array().unwrap().clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

const LENGTHS: &str = "sweep.axes.\"schedule.tokens\"=[1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9, 3e9, 1e10]";

#[test]
fn the_law_of_tokens_comes_back_everywhere() {
    let place = Place::with(&spec(&[LENGTHS, "sweep.seeds=[1, 2]"], &["fit.law=tokens"]));
    let output = place.rehearse();
    assert_code(&output, 0);
    let laws = fits(&place);
    assert_eq!(laws.len(), 1);
    let offset = laws[0]["laws"].as_array().unwrap().iter().find(|law| law["form"] == "offset").unwrap();
    let planted = runner::execute::rehearsal::SURFACE.beta;
    let [low, high] = [0, 1].map(|end| number(&offset["intervals"]["alpha"][end]));
    assert!(low <= planted && planted <= high, "{planted} is outside {low} to {high}");
    assert!((number(&offset["alpha"]) - planted).abs() < 0.02, "{offset}");
    // One sentence in all places, and what `runner fit` says of the table.
    let sentence = laws[0]["conclusion"].as_str().unwrap();
    assert!(text(&output.stderr).replace('\n', " ").contains(sentence), "{}", text(&output.stderr));
    assert!(place.read("out/report.html").contains("Loss against training tokens"));
    let fit = place.runner(&["fit", "out/runs.csv", "--law", "tokens", "--json"]).output().unwrap();
    assert_code(&fit, 0);
    assert_eq!(serde_json::from_str::<Value>(&text(&fit.stdout)).unwrap(), laws[0]);
    let ls = place.runner(&["ls", "."]).output().unwrap();
    let told = text(&ls.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(sentence.split_whitespace().take(4).collect::<Vec<_>>().join(" ").as_str()), "{told}");
}

#[test]
fn curves_on_other_tokens_have_exponents_and_no_factor_between_them() {
    let place = Place::with(&spec(
        &[LENGTHS, "sweep.axes.\"data.vocab\"=[256, 512]"],
        &["fit.law=tokens", "fit.by=data.vocab"],
    ));
    assert_code(&place.rehearse(), 0);
    let laws = fits(&place);
    assert_eq!(laws.len(), 3);
    assert!(laws[2]["conclusion"].as_str().unwrap().contains("a mean over other tokens: no factor"), "{}", laws[2]);
    assert!(laws.iter().all(|law| !law.to_string().contains("times the tokens")));
}

pub const SIZES: &str = "sweep.axes.\"model.width\"=[16, 32, 64, 128]";

#[test]
fn a_formula_of_ones_own_comes_back_and_predicts() {
    let lengths = "sweep.axes.\"schedule.tokens\"=[1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9]";
    let formula = "fit.formula=\"loss = E + A/N^alpha + B/D^beta\"";
    let place = Place::with(&spec(
        &[SIZES, lengths, "optimizer.batch_tokens=1024"],
        &[formula, "fit.unknown=[\"alpha in 0..2\"]"],
    ));
    let output = place.rehearse();
    assert_code(&output, 0);
    let laws = fits(&place);
    assert_eq!((laws.len(), laws[0]["law"].as_str()), (1, Some("formula")));
    let planted = runner::execute::rehearsal::SURFACE.beta;
    let beta = laws[0]["parameters"].as_array().unwrap().iter().find(|one| one["name"] == "beta").unwrap();
    assert!((number(&beta["value"]) - planted).abs() < 0.03, "{beta} and not {planted}");
    assert!(place.read("out/report.html").contains("Loss against training tokens"));
    // The folder is enough for what is read off a law.
    let predicted =
        place.runner(&["predict", "--fit", "out", "--params", "1e6", "--tokens", "1e9", "--json"]).output().unwrap();
    assert_code(&predicted, 0);
    let loss: Value = serde_json::from_str(&text(&predicted.stdout)).unwrap();
    let [low, high] = ["low", "high"].map(|end| number(&loss["loss"][end]));
    assert!(low < high && low > 1.0, "{loss}");
    let allocated = place.runner(&["allocate", "--fit", "out", "--flops", "1e15", "--json"]).output().unwrap();
    assert_code(&allocated, 0);
}

#[test]
fn a_formula_differs_by_an_axis() {
    let shapes = "sweep.axes.\"model.depth\"=[1, 2]";
    // A column may be written as anywhere in a formula.
    for index in ["model.depth", " `model.depth` "] {
        let formula = format!("fit.formula=\"loss = E{{{index}}} + B/D^beta\"");
        let place = Place::with(&spec(&[LENGTHS, shapes], &[&formula]));
        assert_code(&place.rehearse(), 0);
        let names: Vec<String> =
            fits(&place)[0]["parameters"].as_array().unwrap().iter().map(|one| one["name"].to_string()).collect();
        assert_eq!(names.iter().filter(|name| name.contains("E[")).count(), 2, "{names:?}");
    }
}

#[test]
fn the_critical_batch_comes_back() {
    let batches = "sweep.axes.\"optimizer.batch_tokens\"=[512, 1024, 2048, 4096, 8192, 16384, 32768]";
    let lengths = "sweep.axes.\"schedule.tokens\"=[4e6, 8e6, 1.6e7, 3.2e7, 6.4e7, 1.28e8]";
    let place = Place::with(&spec(&[batches, lengths], &["fit.law=critical-batch"]));
    assert_code(&place.rehearse(), 0);
    let planted = runner::execute::rehearsal::CRITICAL_BATCH;
    for target in fits(&place)[0]["targets"].as_array().unwrap() {
        let [value, low, high] = ["value", "low", "high"].map(|key| number(&target["critical_batch"][key]));
        assert!((value / planted).ln().abs() < 0.25, "{value} for {planted}");
        assert!(low <= planted * 1.1 && planted / 1.1 <= high, "{planted} is outside {low} to {high}");
    }
    assert!(place.read("out/report.html").contains("The critical batch size against the loss"));
}

#[test]
fn the_best_learning_rates_come_back() {
    let rates = "sweep.axes.\"optimizer.learning_rate\"=[0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064]";
    let widths = "sweep.axes.\"model.width\"=[16, 32, 64, 128, 256]";
    let place = Place::with(&spec(&[rates, widths, "optimizer.batch_tokens=1024"], &["fit.law=tuning"]));
    assert_code(&place.rehearse(), 0);
    let rule = &fits(&place)[0]["learning_rate"];
    let [at_1e5, exponent] = runner::execute::rehearsal::BEST_RATE;
    assert!((number(&rule["exponent"]["value"]) - exponent).abs() < 0.05, "{rule}");
    let expected = at_1e5 * (number(&rule["at"]) / 1e5).powf(exponent);
    assert!((number(&rule["value"]["value"]) / expected).ln().abs() < 0.1, "{rule}");
}

#[test]
fn the_best_value_of_a_setting_is_told_at_each_place_and_how_it_moves() {
    let rates = "sweep.axes.\"optimizer.learning_rate\"=[0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064]";
    let widths = "sweep.axes.\"model.width\"=[16, 32, 64, 128, 256]";
    let fit = ["fit.law=optimum", "fit.by=model.width", "fit.tuned=[\"optimizer.learning_rate\"]"];
    let place = Place::with(&spec(&[rates, widths, "optimizer.batch_tokens=1024"], &fit));
    assert_code(&place.rehearse(), 0);
    let found = &fits(&place)[0];
    let size = |width: f64| {
        let mut table = csv::Reader::from_path(place.path("out/runs.csv")).unwrap();
        let headers = table.headers().unwrap().clone();
        let column = |name: &str| headers.iter().position(|header| header == name).unwrap();
        let [at, params] = ["axis.model.width", "params_blocks_and_unembedding"].map(column);
        let row = table.records().map(Result::unwrap).find(|row| row[at].parse() == Ok(width)).unwrap();
        row[params].parse::<f64>().unwrap()
    };
    let [at_1e5, exponent] = runner::execute::rehearsal::BEST_RATE;
    let optima = found["optima"].as_array().unwrap();
    assert_eq!(optima.len(), 5);
    for optimum in optima {
        let planted = at_1e5 * (size(number(&optimum["at"])) / 1e5).powf(exponent);
        let best = ["value", "low", "high"].map(|key| number(&optimum["best"][key]));
        assert!((best[0] / planted).ln().abs() < 0.1, "{optimum}: {planted}");
    }
    let ends = [0, 4].map(|at| (size(number(&optima[at]["at"])) / 1e5).ln() * exponent);
    let planted = (ends[1] - ends[0]) / 16.0_f64.ln();
    assert!((number(&found["exponent"]["value"]) - planted).abs() < 0.05, "{found}: {planted}");
    assert!(found["conclusion"].as_str().unwrap().contains("The best optimizer.learning_rate goes as model.width^-0."));
    assert!(place.read("out/report.html").contains("The best optimizer.learning_rate against model.width"));
    // The same from the table.
    let flags = ["--tuned", "axis.optimizer.learning_rate", "--by", "axis.model.width", "--json"];
    let again = place.runner(&[&["fit", "out/runs.csv", "--law", "optimum"][..], &flags].concat()).output().unwrap();
    assert_eq!(&serde_json::from_str::<Value>(&text(&again.stdout)).unwrap(), found);
    for (flags, said) in [
        (&["--by", "axis.model.width"][..], "--tuned"),
        (&["--tuned", "axis.optimizer.rate", "--by", "axis.model.width"], "axis.optimizer.learning_rate"),
    ] {
        let refused =
            place.runner(&[&["fit", "out/runs.csv", "--law", "optimum"][..], flags].concat()).output().unwrap();
        assert_code(&refused, 2);
        assert!(text(&refused.stderr).contains(said), "{}", text(&refused.stderr));
    }
}

#[test]
fn the_best_values_are_told_for_each_value_of_one_more_axis() {
    let rates = "sweep.axes.\"optimizer.learning_rate\"=[0.002, 0.004, 0.008, 0.016, 0.032]";
    let axes = [rates, "sweep.axes.\"model.width\"=[32, 64, 128]", "sweep.axes.\"optimizer.weight_decay\"=[0.1, 0.0]"];
    let fit = ["fit.law=optimum", "fit.by=model.width", "fit.tuned=[\"optimizer.learning_rate\"]"];
    let place = Place::with(&spec(&[&axes[..], &["optimizer.batch_tokens=1024"]].concat(), &fit));
    let output = place.rehearse();
    assert_code(&output, 0);
    assert!(!text(&output.stderr).contains("are fitted as one curve"), "{}", text(&output.stderr));
    let laws = fits(&place);
    let groups: Vec<&str> = laws.iter().map(|law| law["group"].as_str().unwrap()).collect();
    assert_eq!(groups, ["0.1", "0.0"]);
    assert!(laws.iter().all(|law| law["points"] == 15 && law["optima"].as_array().unwrap().len() == 3));
    // Of two more axes the law would mix the values of one; an axis that goes along with the places is none of them.
    let two = [&axes[..], &["sweep.axes.\"optimizer.beta1\"=[0.9, 0.8]", "optimizer.batch_tokens=1024"]].concat();
    let said = Place::with(&spec(&two, &fit)).refusal(&["plan", "spec.toml"]);
    assert!(said.contains("differ in axis.optimizer.beta1 and axis.optimizer.weight_decay"), "{said}");
    let along = "sweep.zip=[{ \"model.width\" = [32, 64, 128], \"model.depth\" = [1, 2, 4] }]";
    let place = Place::with(&spec(&[rates, along, axes[2], "optimizer.batch_tokens=1024"], &fit));
    assert_code(&place.rehearse(), 0);
    let laws = fits(&place);
    assert!(laws.len() == 2 && laws.iter().all(|law| law["optima"].as_array().unwrap().len() == 3), "{laws:?}");
    // Two axes that vary together are one more axis, and the tuned one by another name is none.
    let together = "sweep.zip=[{ \"optimizer.weight_decay\" = [0.1, 0.0], \"optimizer.beta1\" = [0.9, 0.8] }]";
    let place = Place::with(&spec(&[rates, axes[1], together, "optimizer.batch_tokens=1024"], &fit));
    assert_code(&place.rehearse(), 0);
    assert_eq!(fits(&place).len(), 2);
    let flags = ["--law", "optimum", "--tuned", "learning_rate", "--by", "axis.model.width", "--json"];
    let told = place.runner(&[&["fit", "out/runs.csv"][..], &flags].concat()).output().unwrap();
    assert_eq!(text(&told.stdout).lines().count(), 2, "{}", text(&told.stderr));
}

#[test]
fn settings_are_compared_pair_by_pair_at_their_best_rates() {
    let rates = "sweep.axes.\"optimizer.learning_rate\"=[0.004, 0.008, 0.016]";
    let shapes = "sweep.zip=[{ \"model.width\" = [64, 128], \"model.depth\" = [2, 4] }]";
    let fit = ["fit.law=contrast", "fit.by=model.depth", "fit.tuned=[\"optimizer.learning_rate\"]"];
    let place = Place::with(&spec(&[rates, shapes, "sweep.seeds=[1, 2, 3]"], &fit));
    assert_code(&place.rehearse(), 0);
    let contrast = &fits(&place)[0];
    assert_eq!((contrast["reference"].as_str(), contrast["points"].as_u64()), (Some("2"), Some(6)));
    let larger = &contrast["settings"][1];
    assert_eq!(larger["pairs"], 3);
    // The larger model is better on the planted surface, by far more than the noise.
    assert!(number(&larger["difference"]["high"]) < 0.0, "{contrast}");
    let page = place.read("out/report.html");
    assert!(page.contains("Loss of each setting against 2") && page.contains("better by"));
}

#[test]
fn settings_with_rates_of_their_own_are_compared_too() {
    let place = Place::with(&spec(&[], &[]));
    // The best rate moves with the batch, and no setting has a rate of another.
    let mut table = "axis.optimizer.kind,axis.optimizer.learning_rate,axis.optimizer.batch_tokens,loss\n".to_owned();
    for (kind, least, above) in [("adamw", 0.01, 0.0), ("lion", 0.001, 0.1)] {
        for (batch, best) in [(256, 1), (1024, 2), (4096, 3)] {
            for step in 0..5 {
                let rate = least * 2.0_f64.powi(step);
                let loss = 4.0 + above + 0.1 * f64::from((step - best).abs()) + f64::from(batch) / 1e5;
                writeln!(table, "{kind},{rate},{batch},{loss}").unwrap();
            }
        }
    }
    place.write("runs.csv", table);
    let flags = ["--by", "axis.optimizer.kind", "--tuned", "axis.optimizer.learning_rate", "--json"];
    let output = place.runner(&[&["fit", "runs.csv", "--law", "contrast"][..], &flags].concat()).output().unwrap();
    assert_code(&output, 0);
    let contrast: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    let lion = &contrast["settings"][1];
    assert_eq!((lion["name"].as_str(), lion["pairs"].as_u64()), (Some("lion"), Some(3)), "{contrast}");
    assert!((number(&lion["difference"]["value"]) - 0.1).abs() < 1e-9, "{contrast}");
}

#[test]
fn settings_of_a_plain_table_are_compared_where_they_stand_alike() {
    let place = Place::with(&spec(&[], &[]));
    // Lengths differ by a nat, and the second setting was trained at fewer of them: 0.02 worse at each that both have.
    let mut table = "optimizer,params,tokens,seed,loss\n".to_owned();
    for (kind, lengths, above) in [("adamw", 4, 0.0), ("lion", 2, 0.02)] {
        for (length, seed) in (0..lengths).flat_map(|length| [(length, 1), (length, 2)]) {
            let loss =
                6.0 - f64::from(length) + 0.01 * f64::from(seed) + above + 1e-4 * f64::from((length * 7 + seed) % 3);
            writeln!(table, "{kind},1e6,{},{seed},{loss}", 1e7 * 4_f64.powi(length)).unwrap();
        }
    }
    place.write("runs.csv", table);
    let output =
        place.runner(&["fit", "runs.csv", "--law", "contrast", "--by", "optimizer", "--json"]).output().unwrap();
    assert_code(&output, 0);
    let contrast: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    let lion = &contrast["settings"][1];
    assert_eq!(lion["pairs"].as_u64(), Some(4), "{contrast}");
    assert!((number(&lion["difference"]["value"]) - 0.02).abs() < 1e-9, "{contrast}");
}

#[test]
fn mixtures_need_no_loss_of_all_parts() {
    let place = Place::with(&spec(&[], &[]));
    // The second part's column could be a loss in bits.
    let mut table = "share_a,share_b,params,tokens,val_loss_a,val_loss_b\n".to_owned();
    for (params, tenths) in [1e5, 4e5].into_iter().flat_map(|params| (1..10).map(move |tenths| (params, tenths))) {
        let share = f64::from(tenths) / 10.0;
        let loss = |share: f64| 3.0 + 1e5 / params + (-3.0 * share).exp();
        writeln!(table, "{share},{},{params},1e7,{},{}", 1.0 - share, loss(share), loss(1.0 - share)).unwrap();
    }
    place.write("runs.csv", table);
    let output =
        place.runner(&["fit", "runs.csv", "--law", "composition", "--json", "--bootstrap", "100"]).output().unwrap();
    assert_code(&output, 0);
    let found: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    let best = &found["targets"][0]["best"][1]["shares"][0];
    assert!((number(&best["value"]) - 0.5).abs() < 0.01, "{found}");
}

#[test]
fn another_question_is_answered_without_training_again() {
    let place = Place::with(&spec(&[LENGTHS], &["fit.law=tokens"]));
    assert_code(&place.rehearse(), 0);
    let before = place.tables();
    place.write("spec.toml", spec(&[LENGTHS], &["fit.law=kaplan"]));
    let output = place.rehearse();
    assert_code(&output, 0);
    assert_eq!(place.tables(), before);
    assert_eq!(fits(&place)[0]["law"], "kaplan");
    assert!(place.read("out/spec.toml").contains("kaplan"));
    // Without the table it is a sweep like any other.
    place.write("spec.toml", spec(&[LENGTHS], &[]));
    assert_code(&place.rehearse(), 0);
    assert!(!place.read("out/fits.json").contains("\"laws\""));
}

#[test]
fn what_cannot_be_asked_is_refused_with_file_line_and_key() {
    for (fit, said) in [
        (&["fit.law=parabola"][..], &["is not one of", "contrast"][..]),
        (&["fit.law=contrast"], &["fit.by", "missing"]),
        (&["fit.law=optimum", "fit.by=schedule.tokens"], &["fit.tuned", "0 settings"]),
        (&["fit.law=tokens", "fit.by=model.depth"], &["fit.by", "not an axis of this sweep", "schedule.tokens"]),
        (&["fit.law=tokens", "fit.tuned=[\"model.width\"]"], &["fit.tuned", "schedule.tokens"]),
        (&["fit.law=tokens", "fit.target_loss=[3.0]"], &["fit.target_loss", "critical-batch"]),
        (&["fit.law=critical-batch", "fit.target_loss=[-1.0]"], &["fit.target_loss"]),
        (&["fit.law=gradient-noise"], &["fit.law", "norms of its gradients"]),
        (&["fit.law=tokens", "fit.colour=red"], &["fit.colour"]),
        (&["fit.law=composition"], &["fit.law", "one mixture only", "data.weights"]),
        (&["fit.law=mixtures"], &["fit.law", "one mixture only"]),
        (&["fit.target_loss=[3.0]"], &["fit.law", "missing", "fit.formula"]),
        (&["fit.law=tokens", "fit.formula=\"loss = E + A/N^a\""], &["fit.formula", "fit.law asks for another"]),
        (&["fit.law=tokens", "fit.unknown=[\"a any\"]"], &["fit.unknown", "only a formula"]),
        (&["fit.formula=\"loss = E + (A/N^a\""], &["fit.formula", "never closed"]),
        (&["fit.formula=\"error = E + A/N^a\""], &["fit.formula", "one number to predict"]),
        (&["fit.formula=\"loss = E{optimizer.kind} + A/N^a\""], &["fit.formula", "not an axis"]),
        (&["fit.formula=\"loss = E + A/N^a\"", "fit.unknown=[\"b any\"]"], &["fit.unknown", "has no \"b\""]),
        (&["fit.formula=\"loss = E + A/N^a\"", "fit.unknown=[\"a in 2..1\"]"], &["fit.unknown", "above"]),
    ] {
        let place = Place::new();
        // By hand: `edit` checks what it writes.
        let table: Vec<String> = fit
            .iter()
            .map(|line| line.split_once('=').unwrap())
            .map(|(key, value)| {
                let plain = value.chars().next().is_some_and(char::is_alphabetic);
                let value = if plain { format!("\"{value}\"") } else { value.to_owned() };
                format!("{} = {value}\n", key.trim_start_matches("fit."))
            })
            .collect();
        place.write("spec.toml", format!("{}\n[fit]\n{}", spec(&[LENGTHS], &[]), table.concat()));
        let output = place.rehearse();
        assert_refused(&output, said);
        assert!(text(&output.stderr).contains("spec.toml:"), "{}", text(&output.stderr));
    }
}

/// The built-in language, so that no text is needed.
const LANGUAGE: &str = "source = \"synthetic\"\nvocab = 1024\nmax_epochs = 1.0\nseed = 1\n";

/// A committed spec on data that are there: on small texts where it asks about texts, else on the built-in language.
fn with_data_here(spec: &str, place: &Place) -> String {
    if !spec.contains("source = \"mixture\"") && !spec.contains("data.keep") {
        // As often as the spec allows.
        let epochs = spec.lines().find(|line| line.starts_with("max_epochs")).unwrap();
        return with_data(spec, &LANGUAGE.replace("max_epochs = 1.0", epochs));
    }
    std::fs::create_dir_all(place.path("corpora")).unwrap();
    let all = words(3000);
    let documents: Vec<&str> = all.split("\n\n").collect();
    let paths = spec.lines().filter_map(|line| line.strip_prefix("path = \"")?.split('"').next());
    for (at, path) in paths.enumerate() {
        // One text alone has more of them, of which a quarter is kept.
        let each = if spec.contains("data.keep") { 3000 } else { 1000 };
        place.write(path, documents[each * at..each * (at + 1)].join("\n\n"));
    }
    // Short enough that nothing is seen twice.
    let lengths = "sweep.axes.\"schedule.tokens\"=[1.5e4, 2.2e4, 3.2e4, 4.5e4, 6.5e4, 9e4, 1.3e5]";
    let short = if spec.contains("\ntokens_per_param = ") { "schedule.tokens_per_param=1.0" } else { lengths };
    let spec = edited(spec, &["data.vocab=256", "data.validation_fraction=0.2", "eval.tokens=3072", short]);
    // The splits of an axis of seeds, the first of which is that of `[data]`, and their files of scores.
    let files = spec.lines().find_map(|line| line.strip_prefix("\"data.keep_file\" = "));
    let files = files.map_or_else(Vec::new, |list| list.split('"').skip(1).step_by(2).map(str::to_owned).collect());
    for (seed, scores) in (1..).zip(&files) {
        place.write("whole.toml", edited(&spec, &[&format!("data.seed={seed}")]));
        let whole = place.run(&["data", "prepare", "whole.toml", "--json"]);
        assert_code(&whole, 0);
        let facts: Value = serde_json::from_str(&text(&whole.stdout)).unwrap();
        let tokens =
            std::fs::read(place.path("cache").join(facts["fingerprint"].as_str().unwrap()).join("train.u16")).unwrap();
        let documents = tokens.chunks_exact(2).filter(|token| **token == [0, 0]).count();
        let scores_of_all = (0..documents).fold(String::new(), |all, at| all + &format!("{}\n", at * 7919 % 1000));
        place.write(scores, scores_of_all);
    }
    spec
}

#[test]
fn the_best_mixture_comes_back_and_that_mixtures_differ_by_an_offset() {
    let place = Place::new();
    let spec = std::fs::read_to_string(repository().join("sweeps/laws/mixture.toml")).unwrap();
    place.write("spec.toml", with_data_here(&spec, &place));
    let output = place.rehearse();
    assert_code(&output, 0);
    assert!(!text(&output.stderr).contains("fitted as one curve"), "{}", text(&output.stderr));
    let corpora = std::fs::read_dir(place.path("cache")).map_or(0, Iterator::count);
    assert!(corpora <= 1, "one corpus for all mixtures");
    let composition = &fits(&place)[0];
    let names =
        |key: &str| composition[key].as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names("targets"), ["all parts", "c", "docs", "rfc"]);
    assert_eq!((names("mixtures").len(), composition["sizes"].as_array().unwrap().len()), (10, 3));
    // By the planted losses, over all mixtures of a fine grid. The columns are in the order of names, the parts in that of the spec.
    let planted = |shares: [f64; 3]| -> f64 {
        use runner::execute::rehearsal::{MIXTURE_NATS, MIXTURE_RATE};
        let [c, docs, rfc] = shares;
        [rfc, docs, c].iter().zip(0..).map(|(s, at)| MIXTURE_NATS * (-(MIXTURE_RATE + f64::from(at)) * s).exp()).sum()
    };
    let grid = (10..=80).flat_map(|a| (10..=80).map(move |b| [f64::from(a) / 100.0, f64::from(b) / 100.0]));
    let grid = grid.map(|[a, b]| [a, b, 1.0 - a - b]).filter(|shares| (0.1..=0.8).contains(&shares[2]));
    let best = grid.min_by(|a, b| planted(*a).total_cmp(&planted(*b))).unwrap();
    let all = &composition["targets"][0];
    for size in all["best"].as_array().unwrap() {
        assert_eq!(size["status"], "converged", "{size}");
        for (share, planted) in size["shares"].as_array().unwrap().iter().zip(best) {
            let [value, low, high] = ["value", "low", "high"].map(|key| number(&share[key]));
            assert!((value - planted).abs() < 0.02 && high - low < 0.06, "{share} and not {planted}");
            assert!(low - 0.01 <= planted && planted <= high + 0.01, "{share} and not {planted}");
        }
    }
    // Each part alone wants as much of itself as there is.
    assert_eq!(composition["targets"][1]["best"][0]["status"], "edge_minimum");
    assert!((number(&composition["targets"][1]["best"][0]["shares"][0]["value"]) - 0.8).abs() < 0.01);
    let [value, low, high] = ["value", "low", "high"].map(|key| number(&all["growth"][key]));
    assert!((value - 1.0).abs() < 0.1 && low < 1.0 && 1.0 < high, "{all}");
    assert!(number(&all["rank"]["value"]) > 0.9, "{all}");
    let sentence = composition["conclusion"].as_str().unwrap();
    assert!(
        sentence.contains("an offset") && sentence.starts_with("The best mixture for all parts: c 0."),
        "{sentence}"
    );
    told_of_mixtures(&place, composition);
}

/// That tables, commands and the report tell mixtures and parts.
fn told_of_mixtures(place: &Place, composition: &Value) {
    let mut table = csv::Reader::from_path(place.path("out/runs.csv")).unwrap();
    let headers = table.headers().unwrap().clone();
    let row = table.records().next().unwrap().unwrap();
    let number = |name: &str| -> f64 {
        let at = headers.iter().position(|header| header == name).unwrap_or_else(|| panic!("{name}"));
        row[at].parse().unwrap()
    };
    assert!((number("share_rfc") - 1.0 / 3.0).abs() < 1e-12);
    let parts = ["val_loss_rfc", "val_loss_docs", "val_loss_c"].map(number);
    assert!((parts.iter().sum::<f64>() / 3.0 - number("val_loss")).abs() < 1e-9, "{parts:?}");
    assert!(number("val_loss_c_se") > 0.0);
    let shown = place.says(&["show", &format!("out/{}", &row[0])]);
    assert!(shown.contains("validation loss on docs"), "{shown}");
    let page = place.read("out/report.html");
    assert!(
        page.contains("Loss of each mixture against size")
            && page.contains("The best mixture for all parts against size")
    );
    assert!(place.read("out/figures/best_mixture.csv").contains("all parts"));
    let again = place.says(&["fit", "out/runs.csv", "--law", "composition", "--json"]);
    assert_eq!(&serde_json::from_str::<Value>(&again).unwrap(), composition);
    // The law of one size from the same columns, and tables alone are as good as results.
    let law =
        place.says(&["fit", "out/runs.csv", "--law", "mixtures", "--by", "axis.model.width", "--bootstrap", "100"]);
    assert!(law.contains("share_docs"), "{law}");
    std::fs::remove_dir_all(place.path("out/runs")).unwrap();
    let exported = place.says(&["export", "jsonl", "out"]);
    assert!(exported.lines().next().unwrap().contains("\"val_loss_rfc\":"), "{exported}");
}

#[test]
fn what_pruning_is_worth_comes_back_against_as_much_at_random() {
    let place = Place::new();
    let spec = std::fs::read_to_string(repository().join("sweeps/laws/pruning.toml")).unwrap();
    place.write("spec.toml", with_data_here(&spec, &place));
    let output = place.rehearse();
    assert_code(&output, 0);
    assert!(!text(&output.stderr).contains("fitted as one curve"), "{}", text(&output.stderr));
    let laws = fits(&place);
    let [random, ngram, file, against] = &laws[..] else { panic!("{laws:?}") };
    assert_eq!([random, ngram, file].map(|law| law["group"].as_str().unwrap()), ["random", "ngram", "file"]);
    // Runs that keep everything belong to each, and what is planted grows with what is left out.
    assert_eq!((random["points"].as_u64(), ngram["points"].as_u64()), (Some(63), Some(63)));
    for best in ngram["envelope"].as_array().unwrap() {
        assert!((number(&best["keep"]) - 0.25).abs() < 1e-9, "{best}");
    }
    let surface = runner::execute::rehearsal::SURFACE;
    let table = place.read("out/runs.csv");
    let mut table = csv::Reader::from_reader(table.as_bytes());
    let gains: Vec<f64> = table
        .deserialize::<std::collections::BTreeMap<String, String>>()
        .map(Result::unwrap)
        .filter(|row| row["keep_by"] == "ngram")
        .map(|row| {
            let [keep, tokens, params] =
                ["keep", "tokens", "params_blocks_and_unembedding"].map(|key| row[key].parse().unwrap());
            let worth = 1.0 + runner::execute::rehearsal::KEPT_WORTH * (1.0 - keep);
            assert_eq!(row["keep_scores"], "middle");
            surface.loss(params, tokens * worth) - surface.loss(params, tokens)
        })
        .collect();
    let planted = gains.iter().sum::<f64>() / gains.len() as f64;
    let compared = against["settings"].as_array().unwrap().iter().find(|one| one["name"] == "ngram").unwrap();
    let [value, low, high] = ["value", "low", "high"].map(|key| number(&compared["difference"][key]));
    assert_eq!((against["reference"].as_str(), compared["pairs"].as_u64()), (Some("random"), Some(42)));
    assert!((value - planted).abs() < 0.005 && low <= planted && planted <= high, "{against}: {planted}");
    assert!(place.read("out/report.html").contains(against["conclusion"].as_str().unwrap()));
}

#[test]
fn each_committed_question_is_answered_in_a_rehearsal() {
    let specs = files(&repository().join("sweeps/laws"));
    assert!(specs.len() >= 4, "{specs:?}");
    for path in specs {
        let spec = std::fs::read_to_string(&path).unwrap();
        for line in ["# Source: ", "# Expected: "] {
            assert!(spec.contains(line), "{}: {line}", path.display());
        }
        // The built-in language has no digits to add: copying has the same measures.
        let spec = spec.replace("\"addition", "\"copy");
        let place = Place::new();
        place.write("spec.toml", with_data_here(&spec, &place));
        let output = place.rehearse();
        assert_code(&output, 0);
        assert!(!text(&output.stderr).contains("fitted as one curve"), "{}", text(&output.stderr));
        let said = place.read("out/fits.json");
        assert!(said.contains("\"laws\""), "{}: {}{}", path.display(), text(&output.stdout), text(&output.stderr));
        let laws = fits(&place);
        assert!(!laws.is_empty(), "{}", path.display());
        for law in &laws {
            let compared = law["conclusion"].as_str().is_some_and(|told| !told.contains("a mean over other tokens"));
            assert!(!compared || law["status"] == "converged", "{}: {law}", path.display());
        }
        assert!(place.read("out/report.html").contains(laws[0]["conclusion"].as_str().unwrap_or("-")));
    }
}
