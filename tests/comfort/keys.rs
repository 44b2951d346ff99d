//! The schema of a spec, and what is told of its keys.

use runner::spec::{self, Entry};
use serde_json::Value;

use super::schema::is_valid;
use crate::common::{Place, QUICKSTART, repository, specs};

/// TOML as the JSON that an editor checks.
fn json(toml: &str) -> Value {
    serde_json::to_value(toml.parse::<toml::Table>().unwrap()).unwrap()
}

#[test]
fn every_spec_of_the_repository_is_valid_by_the_schema() {
    let schema = spec::schema();
    for path in specs() {
        let spec = json(&std::fs::read_to_string(&path).unwrap());
        assert!(is_valid(&schema, &schema, &spec), "{}", path.display());
    }
}

#[test]
fn what_the_program_refuses_for_its_form_the_schema_refuses_too() {
    let schema = spec::schema();
    let valid = |toml: &str| is_valid(&schema, &schema, &json(toml));
    for (from, to) in [
        ("sizes = 7", "sizes = \"7\""),
        ("sizes = 7", "size = 7"),
        ("seeds = [1]", "seeds = 1"),
        ("seeds = [1]", ""),
        ("kind = \"cosine\"", "kind = \"sine\""),
        ("beta1 = 0.9", "beta1 = true"),
        ("learning_rate = { value = 0.01, at_params = 1e5,", "learning_rate = { value = 0.01,"),
        ("learning_rate = { value = 0.01, at_params = 1e5,", "learning_rate = { value = 0.01, at_parms = 1e5,"),
        ("[sweep]", "[sweeps]"),
    ] {
        assert!(QUICKSTART.contains(from), "{from}");
        let edited = QUICKSTART.replace(from, to);
        assert!(spec::parse(&edited, "x.toml").is_err() && !valid(&edited), "{from} -> {to}");
    }
    let tuned = QUICKSTART.replace("{ value = 0.01, at_params = 1e5, exponent = -0.333 }", "\"tuned\"");
    assert!(spec::parse(&tuned, "x.toml").is_ok() && valid(&tuned));
}

/// Part of the schema that stands at a key.
fn at<'a>(schema: &'a Value, key: &str) -> &'a Value {
    key.split('.').fold(schema, |schema, name| {
        let forms = schema["anyOf"].as_array().into_iter().flatten().chain([schema]);
        forms.map(|form| &form["properties"][name]).find(|found| !found.is_null()).unwrap_or(&Value::Null)
    })
}

#[test]
fn every_key_is_explained_and_its_example_is_valid() {
    let schema = spec::schema();
    let entries = spec::entries();
    assert!(entries.len() > 60);
    for Entry { key, text, kind, example, .. } in &entries {
        assert!(text.ends_with('.') && !example.is_empty(), "{key}: {text:?} {example:?}");
        assert!(!text.contains("[`") && kind != "anything", "{key}: {text} {kind}");
        if kind == "table" {
            assert_eq!(example, &format!("[{key}]"));
            continue;
        }
        let value = &json(&format!("value = {example}"))["value"];
        let part = at(&schema, key);
        assert!(!part.is_null(), "{key} is not in the schema");
        assert!(is_valid(&schema, part, value), "{key} = {example}");
    }
}

#[test]
fn the_reference_in_docs_is_what_the_types_say() {
    let written = std::fs::read_to_string(repository().join("docs/spec.md")).unwrap_or_default();
    assert!(written == spec::markdown(), "run: runner schema --markdown > docs/spec.md");
}

#[test]
fn explain_tells_text_unit_default_and_example_of_a_key_or_a_table_and_the_nearest_of_others() {
    let place = Place::new();
    let one = place.says(&["explain", "launcher.checkpoint_seconds"]);
    for words in ["Seconds before the time limit", "unit     seconds", "default  120", "checkpoint_seconds = 120"] {
        assert!(one.contains(words), "{words} is not in {one}");
    }
    let table = place.says(&["explain", "sweep"]);
    assert!(table.contains("sweep.budgets") && table.contains("sweep.zip") && !table.contains("eval."), "{table}");
    assert!(place.says(&["explain"]).lines().any(|line| line == "optimizer.learning_rate.at_params"));
    for (asked, words) in [
        ("sweep.sedes", "ask for sweep.seeds"),
        ("tokens", "ask for schedule.tokens or eval.tokens"),
        ("colour", "`runner explain` lists them all"),
        ("", "`runner explain` lists them all"),
        ("a", "`runner explain` lists them all"),
        ("xy", "`runner explain` lists them all"),
        ("wd", "ask for optimizer.weight_decay or optimizer.weight_decay_tokens"),
    ] {
        let error = place.refusal(&["explain", asked]);
        assert!(error.contains(words), "{error}");
    }
    // Another name of the field for one key is enough.
    for (asked, key) in
        [("lr", "optimizer.learning_rate"), ("batch size", "optimizer.batch_tokens"), ("n_layers", "model.depth")]
    {
        assert_eq!(place.says(&["explain", asked]), place.says(&["explain", key]));
    }
}
