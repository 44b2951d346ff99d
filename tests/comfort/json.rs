//! `--json`: one object, with the version of its form, wherever a table is printed; docs/json.md lists every key.

use serde_json::Value;

use crate::common::{Place, QUICKSTART, repository};

#[test]
fn every_table_is_an_object_too_whose_keys_the_documentation_lists() {
    let place = Place::with(QUICKSTART);
    place.says(&["sweep", "spec.toml", "--device", "rehearsal", "--set", "name=\"one\""]);
    let runs = place.read("results/one-rehearsal/runs.csv");
    let run = format!("results/one-rehearsal/{}", &runs.lines().nth(1).unwrap()[..16]);
    let fit = ["--fit", "one-rehearsal"];
    let page = std::fs::read_to_string(repository().join("docs/json.md")).unwrap();
    let commands: Vec<Vec<&str>> = vec![
        vec!["ls"],
        vec!["show", &run],
        vec!["show", "one-rehearsal"],
        vec!["compare", "one-rehearsal", "one-rehearsal"],
        vec!["compare", &run, &run],
        vec!["plan", "spec.toml", "--device", "rehearsal"],
        [&["allocate"][..], &fit, &["--flops", "1e13"]].concat(),
        [&["predict"][..], &fit, &["--params", "100k", "--tokens", "2M"]].concat(),
        vec!["data", "prepare", "spec.toml"],
        vec!["data", "info", "spec.toml"],
        vec!["devices"],
        vec!["status", "results/one-rehearsal"],
        vec!["fit", "results/one-rehearsal/runs.csv", "--approach", "2"],
        vec!["fit", "results/one-rehearsal/runs.csv", "--law", "flops"],
    ];
    for command in commands {
        let said = place.says(&[&command[..], &["--json"]].concat());
        assert_eq!(said.lines().count(), 1, "{command:?}: {said}");
        let object: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(object["schema_version"], 1, "{command:?}");
        if command[0] != "fit" {
            for key in object.as_object().unwrap().keys() {
                assert!(page.contains(&format!("`{key}`")), "{command:?}: docs/json.md does not list {key}");
            }
        }
    }
    let listed: Value = serde_json::from_str(&place.says(&["ls", "--json"])).unwrap();
    assert_eq!(listed["sweeps"][0]["finished"], 21);
    let plan: Value =
        serde_json::from_str(&place.says(&["plan", "spec.toml", "--device", "rehearsal", "--json"])).unwrap();
    assert_eq!((plan["runs"].as_array().unwrap().len(), &plan["fittable"]["parabolas"]), (21, &Value::Bool(true)));
    assert!(place.refusal(&["plan", "spec.toml", "--json", "--csv"]).contains("--csv"));
}
