//! IsoFLOP curves of a sweep that varies something else as well: a panel and a fit for each group.

use std::collections::BTreeMap;

use super::csv_rows;
use crate::common::Place;

/// Runs of the figure of IsoFLOP curves by group, under the convention that it draws.
fn drawn(place: &Place) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for row in csv_rows(&place.path("out"), "isoflop") {
        if row["counting"] == "blocks_and_unembedding" && row["kind"] == "run" {
            *counts.entry(row["group"].clone()).or_insert(0) += 1;
        }
    }
    counts
}

#[test]
fn each_group_of_isoflop_curves_has_a_panel_and_a_fit_of_its_own() {
    let place = Place::rehearsed(&["sweep.axes.optimizer.weight_decay=[0.0, 0.2]"]);
    let groups = ["optimizer.weight_decay 0.0", "optimizer.weight_decay 0.2"];
    assert_eq!(drawn(&place), groups.map(|group| (group.to_owned(), 21)).into());
    let (svg, page) = (place.read("out/figures/isoflop.svg"), place.read("out/report.html"));
    for group in groups {
        assert!(svg.contains(&format!(">{group}<")), "{group}");
        assert!(page.contains(&format!("{group}: 2, IsoFLOP parabolas")), "{group}");
    }
    assert!(!page.contains("no fit was made"));
    let fits: serde_json::Value = serde_json::from_str(&place.read("out/fits.json")).unwrap();
    for group in groups {
        let of_group = fits["isoflop_groups"][group].as_array().unwrap();
        assert!(of_group.len() == 3 && of_group.iter().all(|fit| fit["status"] == "converged"), "{of_group:?}");
    }
}

#[test]
fn what_is_tuned_at_each_size_is_no_group_and_the_best_of_it_counts() {
    let place = Place::rehearsed(&["sweep.axes.optimizer.learning_rate=[0.005, 0.01]"]);
    assert_eq!(drawn(&place), [("the best of what was tuned".to_owned(), 21)].into());
}
