//! Names that would lead out of the results folder, or into a page.

use super::{Place, spec};
use crate::common::{assert_code, text};

#[test]
fn a_name_that_is_no_plain_name_is_refused_and_nothing_is_written() {
    let long = "a".repeat(300);
    for name in
        ["../up", "/tmp/absolute", "a/b", "nul\\u0000", &long, "<script>alert(1)</script>", "", ".", "..", "a\\nb"]
    {
        let place = Place::with(&spec(1).replace("\"tiny\"", &format!("\"{name}\"")));
        let output = place.run(&["sweep", "spec.toml", "--device", "rehearsal"]);
        assert_code(&output, 2);
        let said = text(&output.stderr);
        assert!(said.contains("name"), "{name}: {said}");
        assert!(!place.path("results").exists(), "{name}");
    }
}

#[test]
fn a_plan_whose_run_is_called_by_a_path_is_damaged() {
    let place = Place::of_runs(1);
    assert_code(&place.rehearse(), 0);
    let plan = std::fs::read_to_string(place.path("out/plan.json")).unwrap();
    let (_, rest) = plan.split_once("\"id\": \"").unwrap();
    let altered = plan.replace(&rest[..16], "../../../../tmp/");
    std::fs::write(place.path("out/plan.json"), altered).unwrap();
    assert_code(&place.run(&["worker", "--sweep", "out", "--device", "rehearsal"]), 2);
}
