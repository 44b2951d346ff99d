//! What a report says where there is no answer, or half of one.

use runner::fit::{Estimate, Status};

use super::fixture::{Sweep, sweep};
use super::{FIGURES, assert_all_sound, assert_sound, between, csv_rows, html, marks, svg};

#[test]
fn a_fit_that_is_not_identified_is_said_in_words_and_shows_no_number() {
    let mut sweep = sweep();
    for fit in &mut sweep.fits {
        // The numbers stay in place: it is the report that must not show them.
        fit.status = Status::NotIdentified;
        for optimum in &mut fit.optima {
            optimum.status = Status::EdgeMinimum;
            optimum.params = Some(Estimate { value: 77_700_000.0, low: 77_600_000.0, high: 77_800_000.0 });
            optimum.tokens_per_param = Some(Estimate { value: 777.0, low: 776.0, high: 778.0 });
        }
        for law in [&mut fit.n_opt, &mut fit.d_opt] {
            law.as_mut().unwrap().exponent = Estimate { value: 0.777, low: 0.776, high: 0.778 };
        }
        for ratio in &mut fit.tokens_per_param {
            ratio.ratio = Estimate { value: 777.0, low: 776.0, high: 778.0 };
        }
    }
    for fit in &mut sweep.approaches {
        fit.status = Status::NotIdentified;
        (fit.n_exponent, fit.e) = (Some(0.777), Some(7.77));
        for interval in fit.intervals.values_mut() {
            *interval = [0.776, 0.778];
        }
        for ratio in &mut fit.tokens_per_param {
            ratio.ratio = Estimate { value: 777.0, low: 776.0, high: 778.0 };
        }
    }
    for held in &mut sweep.held_out {
        held.fit.status = Status::NotIdentified;
    }
    let dir = sweep.write("not-identified");
    let page = html(&dir);
    assert!(page.contains("There is no compute-optimal ratio to report: not identified"));
    assert!(page.contains("0 budgets have a minimum inside the range of sizes"));
    assert!(page.contains("Use a wider range of sizes at this budget"));
    assert!(page.contains("approach 3, smaller budgets only: not identified"));
    assert!(page.contains("Not drawn: approach 3 (not identified"));
    assert!(csv_rows(&dir, "surface").is_empty() && csv_rows(&dir, "residuals").iter().all(|r| r["approach"] == "2"));
    assert!(csv_rows(&dir, "forecast").iter().all(|r| r["predicted"].is_empty() && !r["measured"].is_empty()));
    for number in ["77.7M", "776 to 778", "0.776"] {
        assert!(!between(&page, "<body>", "</body>").contains(number), "{number}");
    }
    for figure in FIGURES {
        let text = svg(&dir, figure);
        assert_sound(&text);
        assert!(marks(&roxmltree::Document::parse(&text).unwrap(), "estimate").is_empty());
        assert!(csv_rows(&dir, figure).iter().filter(|r| r["kind"] != "run").all(|r| r["value"].is_empty()));
    }
    let legend = svg(&dir, "isoflop");
    assert!(legend.contains("1e12: no interior minimum: the lowest loss is at an end of what was trained"));
    assert_eq!(marks(&roxmltree::Document::parse(&legend).unwrap(), "run").len(), 42);
}

#[test]
fn one_budget_at_the_edge_is_named_and_the_others_keep_their_minima() {
    let mut sweep = sweep();
    for fit in &mut sweep.fits {
        fit.optima[2].status = Status::EdgeMinimum;
    }
    let dir = sweep.write("edge");
    let page = html(&dir);
    assert!(page.contains("2 budgets have a minimum inside the range of sizes"));
    assert!(page.contains("Budget 1e13: no interior minimum"));
    assert!(page.contains("100 times beyond the largest budget trained"));
    let text = svg(&dir, "isoflop");
    assert_eq!(marks(&roxmltree::Document::parse(&text).unwrap(), "estimate").len(), 2);
}

#[test]
fn nothing_and_one_point_give_a_page_that_says_so() {
    let empty = Sweep { name: "empty".to_owned(), ..Sweep::default() };
    let dir = empty.write("empty");
    let page = html(&dir);
    assert!(page.contains("There is no answer yet") && page.contains("No run has finished."));
    assert!(page.contains("No run has finished, so there is no result") && page.contains("<dd>0 FLOPs</dd>"));
    assert_all_sound(&dir);
    assert!(svg(&dir, "isoflop").contains("nothing to draw"));

    let mut one = sweep();
    one.observations.truncate(1);
    one.fits.clear();
    (one.approaches, one.held_out, one.curves) = (Vec::new(), Vec::new(), Vec::new());
    let dir = one.write("one");
    assert!(html(&dir).contains("No fit was made"));
    assert_all_sound(&dir);
    let text = svg(&dir, "isoflop");
    assert_eq!(marks(&roxmltree::Document::parse(&text).unwrap(), "run").len(), 1);
    assert!(text.contains("1e12: not fitted"));
}

#[test]
fn a_known_entropy_stands_beside_the_lowest_loss_and_a_loss_below_it_is_called_impossible() {
    let mut sweep = sweep();
    let lowest = sweep.observations.iter().map(|o| o.loss).fold(f64::INFINITY, f64::min);
    sweep.entropy = Some((lowest - 0.25, 0.001));
    let page = html(&sweep.write("entropy"));
    assert!(page.contains("true entropy of the language") && page.contains("0.2500 nats per token"));
    assert!(!page.contains("impossible"));
    // How far the runs are from it was measured, and why they are was not.
    assert!(page.contains("0.25 nats above the entropy of the same window") && !page.contains("not yet learned"));
    sweep.entropy = Some((lowest + 0.25, 0.001));
    assert!(html(&sweep.write("entropy-above")).contains("which is impossible"));
}

#[test]
fn seeds_are_missed_only_where_no_point_was_repeated() {
    let mut sweep = sweep();
    assert!(!html(&sweep.write("seeds")).contains("one seed only"));
    sweep.observations.retain(|o| o.seed == Some(0));
    assert!(html(&sweep.write("one-seed")).contains("one seed only"));
}
