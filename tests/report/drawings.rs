//! Drawings and their tables: what is drawn is what was measured and fitted.

use std::collections::BTreeMap;

use runner::observation::{Counting, Observation};

use super::fixture::sweep;
use super::{FIGURES, assert_all_sound, assert_sound, between, csv_rows, html, marks, svg};

/// Figures of what follows from all runs at once.
const MORE: [&str; 4] = ["surface", "residuals", "forecast", "loss_curves"];

/// First corner of a path.
fn corner(node: roxmltree::Node<'_, '_>) -> (f64, f64) {
    let d = node.attribute("d").unwrap();
    let numbers = between(d, "M", if d.contains('a') { "a" } else { "L" });
    let (x, y) = numbers.split_once(' ').unwrap();
    (x.parse().unwrap(), y.parse().unwrap())
}

#[test]
fn every_run_and_every_minimum_is_drawn_where_its_numbers_say() {
    let sweep = sweep();
    let dir = sweep.write("whole");
    assert_all_sound(&dir);
    for (figure, of) in [
        ("isoflop", (|o| o.params_blocks_and_unembedding.unwrap()) as fn(&Observation) -> f64),
        ("isoflop_tokens", |o| o.tokens),
    ] {
        let text = svg(&dir, figure);
        let document = roxmltree::Document::parse(&text).unwrap();
        let runs = marks(&document, "run");
        let mut drawn: Vec<[f64; 2]> =
            runs.iter().map(|n| ["data-x", "data-y"].map(|key| n.attribute(key).unwrap().parse().unwrap())).collect();
        let mut wanted: Vec<[f64; 2]> = sweep.observations.iter().map(|o| [of(o), o.loss]).collect();
        drawn.sort_by(|a, b| a.partial_cmp(b).unwrap());
        wanted.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(drawn, wanted, "{figure}");
        let minima = marks(&document, "estimate");
        assert_eq!(minima.len(), 3);
        let interval = |n: &roxmltree::Node<'_, '_>| n.attribute("class") == Some("interval");
        assert_eq!(document.descendants().filter(interval).count(), 3);
        // The same budget's runs lie about its minimum, on the canvas as in the numbers.
        for minimum in minima {
            let number = |n: &roxmltree::Node<'_, '_>, key| n.attribute(key).unwrap().parse::<f64>().unwrap();
            for run in runs.iter().filter(|r| r.parent() == minimum.parent()) {
                let left = number(run, "data-x") < number(&minimum, "data-x") / 1.2;
                let right = number(run, "data-x") > number(&minimum, "data-x") * 1.2;
                assert!(!left || corner(*run).0 < corner(minimum).0);
                assert!(!right || corner(*run).0 > corner(minimum).0);
            }
        }
    }
    let text = svg(&dir, "optimal");
    assert_eq!(marks(&roxmltree::Document::parse(&text).unwrap(), "estimate").len(), 6);
    let text = svg(&dir, "tokens_per_param");
    assert_eq!(marks(&roxmltree::Document::parse(&text).unwrap(), "estimate").len(), 3);
}

#[test]
fn the_surface_the_residuals_and_the_forecast_say_what_the_fit_says() {
    let sweep = sweep();
    let dir = sweep.write("surface");
    for figure in MORE {
        assert_sound(&svg(&dir, figure));
    }
    let number = |row: &BTreeMap<String, String>, key: &str| row[key].parse::<f64>().unwrap();
    // The frontier spends its budget, and no neighbour of that budget has a smaller loss.
    let surface = sweep.approaches[3].surface().unwrap();
    let frontier = csv_rows(&dir, "surface");
    assert_eq!(frontier.len(), 3);
    for row in &frontier {
        let [c, n, d] = ["flops", "params", "tokens"].map(|key| number(row, key));
        assert!((6.0 * n * d / c - 1.0).abs() < 1e-9);
        assert!([0.9, 1.1].iter().all(|by| surface.loss(n * by, d / by) > number(row, "loss")));
    }
    // On a contour the loss is the one that stands beside it.
    let text = svg(&dir, "surface");
    let document = roxmltree::Document::parse(&text).unwrap();
    let labels = document.descendants().filter(|n| n.attribute("class") == Some("label")).count();
    let contours = document.descendants().find(|n| n.attribute("data-series") == Some("equal loss")).unwrap();
    assert!(labels > 4 && contours.children().filter(|n| n.has_tag_name("path")).count() == labels);
    let residuals = csv_rows(&dir, "residuals");
    assert_eq!(residuals.len(), 2 * 42);
    let of_surface = residuals.iter().filter(|row| row["approach"] == "3");
    assert!(of_surface.clone().count() == 42);
    for row in of_surface {
        let predicted = surface.loss(number(row, "params"), number(row, "tokens"));
        assert!((number(row, "predicted") - predicted).abs() < 1e-12);
    }
    let forecast = csv_rows(&dir, "forecast");
    assert_eq!(forecast.len(), 3 * 14);
    assert!(
        forecast
            .iter()
            .all(|r| number(r, "low") < number(r, "predicted") && number(r, "predicted") < number(r, "high"))
    );
    assert_eq!(csv_rows(&dir, "loss_curves").len(), 3 * 42);
}

#[test]
fn the_tables_hold_every_convention_and_the_figures_draw_one() {
    let sweep = sweep();
    let dir = sweep.write("tables");
    let rows = csv_rows(&dir, "isoflop");
    for (counting, fit) in Counting::ALL.into_iter().zip(&sweep.fits) {
        let of = |kind: &str| {
            rows.iter().filter(|r| r["counting"] == counting.name() && r["kind"] == kind).collect::<Vec<_>>()
        };
        assert_eq!((of("run").len(), of("minimum").len()), (42, 3));
        for (row, optimum) in of("minimum").iter().zip(&fit.optima) {
            assert_eq!(row["value"], optimum.params.unwrap().value.to_string());
            assert_eq!(row["p"], optimum.parabola_params.unwrap()[0].to_string());
        }
    }
    let laws = csv_rows(&dir, "optimal").into_iter().filter(|r| r["kind"] == "law").count();
    assert_eq!(laws, 6);
    let ratios = csv_rows(&dir, "tokens_per_param");
    assert_eq!(ratios.iter().filter(|r| r["kind"] == "laws").count(), 15);
    assert_eq!(ratios.iter().filter(|r| r["kind"] == "optimum").count(), 9);
}

#[test]
fn the_same_input_gives_the_same_bytes_in_whatever_order_runs_finished() {
    let mut sweep = sweep();
    let (one, two) = (sweep.write("order-one"), {
        sweep.observations.reverse();
        sweep.write("order-two")
    });
    for figure in FIGURES {
        assert_eq!(svg(&one, figure), svg(&two, figure));
        assert_eq!(csv_rows(&one, figure), csv_rows(&two, figure));
    }
    assert_eq!(html(&one), html(&two));
}

#[test]
fn numbers_that_are_none_and_numbers_without_end_do_not_break_a_drawing() {
    let mut sweep = sweep();
    let wild = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300, f64::MIN_POSITIVE];
    for (o, x) in sweep.observations.iter_mut().zip(wild.into_iter().cycle()) {
        o.loss = x;
        o.tokens = x;
    }
    for fit in &mut sweep.fits {
        for (optimum, x) in fit.optima.iter_mut().zip([f64::INFINITY, 1e300, f64::NAN]) {
            optimum.params.as_mut().unwrap().high = x;
            optimum.tokens_per_param.as_mut().unwrap().low = -x;
            optimum.parabola_tokens = Some([x; 3]);
        }
        fit.d_opt.as_mut().unwrap().coefficient = f64::MAX;
        fit.tokens_per_param[4].ratio.high = f64::INFINITY;
    }
    sweep.entropy = Some((f64::NAN, f64::NAN));
    let dir = sweep.write("wild");
    assert_all_sound(&dir);
}

#[test]
fn a_table_that_knows_only_all_parameters_is_drawn_by_those() {
    let mut sweep = sweep();
    for o in &mut sweep.observations {
        (o.params_non_embedding, o.params_blocks_and_unembedding) = (None, None);
    }
    sweep.fits.truncate(1);
    let dir = sweep.write("all-only");
    assert!(html(&dir).contains("parameters counted as all parameters."));
    let text = svg(&dir, "isoflop");
    assert_eq!(marks(&roxmltree::Document::parse(&text).unwrap(), "run").len(), 42);
    assert!(csv_rows(&dir, "isoflop").iter().all(|r| r["counting"] == "all"));
}
